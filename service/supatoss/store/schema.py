"""The version of the database's schema against the one that this release needs, in the same words everywhere."""

SCHEMA_VERSION = 4
"""supatoss_schema_version() of the newest migration that this release relies on."""

MIGRATE = "run the migrations (supatoss migrations copy <repository>, and there npx supabase@3.1.0 db push --remote)"
"""Into the project that `supabase link` has chosen; without --remote the CLI pushes to the local stack."""

UPDATE = "update supatoss"
RELOAD = "reload its schema cache (in the SQL Editor: notify pgrst, 'reload schema')"


def mismatch(version: int | None) -> tuple[str, str] | None:
    """What differs and the remedy, or None. version: None if the database has none of our functions."""
    if version is None:
        return f"the database has no schema of supatoss, this release needs version {SCHEMA_VERSION}", MIGRATE
    if version < SCHEMA_VERSION:
        return f"the database has schema version {version}, this release needs {SCHEMA_VERSION}", MIGRATE
    if version > SCHEMA_VERSION:
        return f"the database has schema version {version}, this release was made for {SCHEMA_VERSION}", UPDATE
    return None


def sentence(version: int | None) -> str | None:
    """Both in one line."""
    found = mismatch(version)
    return ": ".join(found) if found else None
