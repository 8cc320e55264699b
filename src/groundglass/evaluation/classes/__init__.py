"""Scores of a classifier on labelled slices: answers, numbers, figures, page."""
