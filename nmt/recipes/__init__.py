"""Recipes: configurations with a section `recipe`, which says what they reach, and its proof."""
