"""Export to other toolkits, and import from Marian and Hugging Face."""
