"""Attention made visible: a page, or JSON, of the weights of one pair of sentences."""
