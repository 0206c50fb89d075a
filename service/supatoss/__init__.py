"""supatoss: the webhook target for Toss Payments beside a Supabase project."""

__version__ = "0.2.0"
