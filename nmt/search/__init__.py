"""Search over a step function, independent of models and text."""
