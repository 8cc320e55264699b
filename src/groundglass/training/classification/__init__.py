"""Classifiers of slices: data sets, networks, training, explanation."""
