"""Attacks on the server itself: connections, heads, bodies. `python -m tests.attack.server` measures them."""
