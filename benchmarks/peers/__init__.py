"""What is measured: supatoss, and what could stand in its place. One module a kind of peer."""
