"""Toss's records against ours, for days that are over: what differs, shown first, and repaired when told to."""
