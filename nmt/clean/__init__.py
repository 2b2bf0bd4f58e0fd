"""Cleaning of parallel text for training."""
