"""What scripts/seed.py tells: stories of made-up orders and customers, as Toss would report them."""
