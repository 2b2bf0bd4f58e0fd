"""nmt check: findings about data, settings, time and memory before training."""
