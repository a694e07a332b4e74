"""A run as a file."""
