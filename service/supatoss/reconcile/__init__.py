"""Reconciliation: compares Toss's records with ours, shows the differences, and repairs them on request."""
