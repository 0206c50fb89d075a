"""What is measured: supatoss and its alternatives, one module for each kind of peer."""
