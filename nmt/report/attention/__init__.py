"""Attention weights of a sentence pair, as data and as an HTML page."""
