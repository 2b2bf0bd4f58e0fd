"""nmt reproduce: proof that a configuration with a section `recipe` reaches its score."""
