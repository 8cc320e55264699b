"""Networks that classify slices."""
