"""The local stack: a Supabase project's Data API and a PostgreSQL server, made of packages, without Docker.

    with LocalSupabase(folder, free_port(), "sb_publishable_…", "sb_secret_…") as supabase:
        supabase.migrate()
        supabase.start()
        supabase.wait_ready()
        ...  # supabase.url

    with LocalPostgres() as postgres:
        ...  # postgres.dsn(); give it to LocalSupabase as database_url for Lite in front of a real server

Every error is a StackError whose message says why. No process outlives the one that started it.
"""

from scripts.local.children import LOOPBACK, Child, StackError, free_port, is_taken
from scripts.local.npm import ROOT, STATE, find_node, install
from scripts.local.postgres import LocalPostgres
from scripts.local.supabase import MIGRATIONS, LocalSupabase

__all__ = [
    "LOOPBACK",
    "MIGRATIONS",
    "ROOT",
    "STATE",
    "Child",
    "LocalPostgres",
    "LocalSupabase",
    "StackError",
    "find_node",
    "free_port",
    "install",
    "is_taken",
]
