"""Scores and test data."""
