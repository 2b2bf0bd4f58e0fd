"""nmt recipe: a configuration for given parallel text and a given time."""
