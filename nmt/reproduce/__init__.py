"""nmt reproduce: proof that a recipe, a configuration with a section `recipe`, reaches its score."""
