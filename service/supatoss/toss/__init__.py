"""Toss Payments: its deliveries, events and API. Nothing about Supabase."""
