"""Floods of unsigned deliveries, each of which would have the service ask Toss."""
