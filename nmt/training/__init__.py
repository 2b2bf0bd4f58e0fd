"""Loss, schedule and the training loop."""
