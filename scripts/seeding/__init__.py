"""A made-up shop's week: what its buyers did, what Toss knows of it, and the webhooks that told of it."""
