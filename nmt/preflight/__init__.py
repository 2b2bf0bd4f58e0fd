"""What can be told about a training before it begins: `nmt check`."""
