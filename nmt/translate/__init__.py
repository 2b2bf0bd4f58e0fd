"""Text to text: engines, batches, formats."""
