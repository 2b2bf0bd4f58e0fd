"""Export to other toolkits."""
