"""Attacks on a running service, on loopback only, and what honest deliveries notice of them."""
