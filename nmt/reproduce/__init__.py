"""nmt reproduce: proof that a recipe, a configuration with a section `recipe`, is what it says."""
