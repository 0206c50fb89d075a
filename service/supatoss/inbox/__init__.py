"""All that is known about events and rows, and nothing about HTTP."""
