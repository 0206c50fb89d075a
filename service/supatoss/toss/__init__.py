"""All that is known about Toss Payments, and nothing about Supabase."""
