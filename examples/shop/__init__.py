"""A shop of one product, paid with Toss Payments: docs/integrate.md explains it step by step."""
