"""The labelled slices that networks learn from, by the layout they lie in on disk."""
