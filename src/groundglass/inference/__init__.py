"""From slices to probabilities, lungs and infection."""
