"""Faster equivalents of simple expressions, one module per kind of processor."""
