"""Models for other toolkits."""
