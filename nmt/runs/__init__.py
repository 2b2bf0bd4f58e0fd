"""The run directory, which is the model."""
