"""A made-up shop's week: what its buyers did, what Toss knows about it, and the webhooks that reported it."""
