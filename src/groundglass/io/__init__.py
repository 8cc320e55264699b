"""Reading scans and pictures, writing results."""
