"""Constituency parsing as translation (paper, section 6.3)."""
