"""Events and what they change: everything about rows, nothing about HTTP."""
