"""PostgreSQL itself, for what the Data API can't do: the preflight and the uninstallation."""

from typing import TYPE_CHECKING, Any

from supatoss.errors import ConfigurationError, StoreUnavailable

if TYPE_CHECKING:
    import psycopg

DATABASE_URL = "SUPABASE_DB_URL"
CONNECT_SECONDS = 10

_NOT_A_URL = f"{DATABASE_URL}: not a connection string: postgresql://…"
_CAUSES = {
    "password authentication failed": "the password is wrong (Project Settings > Database resets it)",
    "Tenant or user not found": "the pooler doesn't know the project: check host and user, postgres.<project-ref>",
    "could not translate host name": "the host has no address: check its spelling",
    "failed to resolve host": "the host has no address: check its spelling",
    "Name or service not known": "the host has no address: check its spelling",
    "Network is unreachable": "this network has no IPv6: use the session pooler's connection string",
    "refused": "nothing listens there: connection refused",
    "timeout": f"no answer within {CONNECT_SECONDS} seconds",
    "does not exist": "there is no such user or database",
    "SSL": "TLS failed",
}
"""By a part of libpq's message, which names the address but would be foreign beside our own words."""


def connect(database_url: str, purpose: str) -> "psycopg.Connection[Any]":
    """A connection. Raises ConfigurationError without a driver or a usable address, StoreUnavailable without answer."""
    try:
        import psycopg
    except ImportError:
        raise ConfigurationError(
            [f"{purpose} needs a PostgreSQL driver: pip install 'supatoss[adopt]' (or paste the SQL of --print)"]
        ) from None
    try:
        return psycopg.connect(database_url, connect_timeout=CONNECT_SECONDS)
    except psycopg.OperationalError as error:
        raise StoreUnavailable(f"the database at {place_of(database_url)} does not answer: {cause_of(error)}") from None
    except psycopg.ProgrammingError:
        # Its message would show the password.
        raise ConfigurationError([_NOT_A_URL]) from None


def place_of(database_url: str) -> str:
    """Host and port of a connection string, without user and password."""
    from psycopg.conninfo import conninfo_to_dict

    parts = conninfo_to_dict(database_url)
    return f"{parts.get('host') or 'localhost'}:{parts.get('port') or 5432}"


def cause_of(error: Exception) -> str:
    """Why there is no connection, in our words."""
    text = str(error)
    return next((words for part, words in _CAUSES.items() if part in text), "the connection failed")
