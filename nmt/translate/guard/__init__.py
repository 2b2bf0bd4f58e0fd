"""Detecting translations that are better not used."""
