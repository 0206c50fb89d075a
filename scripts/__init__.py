"""Programs for people who work on supatoss; nothing here is part of the service."""
