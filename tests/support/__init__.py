"""Builders of test data shared by several tests."""
