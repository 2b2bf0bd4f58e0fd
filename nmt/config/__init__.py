"""The configuration of a training run: schema, loading, and error messages."""
