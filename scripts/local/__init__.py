"""The parts of the local stack; `scripts.local_stack` is the way in."""
