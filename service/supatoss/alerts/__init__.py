"""Alerts: invariants that are looked at every minute, and telling operators when one begins or ceases not to hold."""
