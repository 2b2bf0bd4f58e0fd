"""Comparisons of systems as text and as a page of HTML."""
