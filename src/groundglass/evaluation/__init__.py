"""How good a model is: metrics, curves, intervals."""
