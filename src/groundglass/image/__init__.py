"""Functions on arrays: windows, resizing, morphology."""
