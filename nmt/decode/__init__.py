"""Search, translation and forced scoring."""
