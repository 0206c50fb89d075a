"""Applications that use the tables."""
