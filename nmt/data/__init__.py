"""Parallel text, tokenization, preparation and batching."""
