"""A stand-in for Toss Payments: its API, payments and webhooks, in memory. It shares no code with the service."""
