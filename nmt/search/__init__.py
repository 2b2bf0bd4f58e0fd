"""Search over a step function; knows no model and no text."""
