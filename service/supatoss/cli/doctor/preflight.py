"""Whether the migrations can be pushed into this project: runs the first one and rolls it back."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from supatoss.cli.copies import read_release
from supatoss.cli.database import DATABASE_URL, connect
from supatoss.cli.doctor import Verdict, failed, ok, warning
from supatoss.cli.naming import Naming, read_naming, relations_of
from supatoss.errors import ConfigurationError, StoreUnavailable

if TYPE_CHECKING:
    import psycopg

CHECK = "preflight"

_REFUSED = "SUPA0"
"""SQLSTATE of the message that lists obstacles."""

_SETUP = "set local lock_timeout = '5s'"  # it only reads the tables, so only a running migration can block it
_IS_INSTALLED = "select to_regprocedure('public.supatoss_schema_version()') is not null"
_NOTHING = "nothing stands in the way of the migrations"
_NO_URL = (
    f"{DATABASE_URL}: missing; set it, or --database-url, to the connection string of Project Settings > Database,"
    " or paste the SQL of --print into the SQL Editor"
)
_NO_PRIVILEGE = "connect as postgres, who owns the tables, and runs the migrations too"


def preflight_sql(schema: str | None, tables: Sequence[str]) -> str:
    """The text of the first migration, with the names of `migrations copy`. Raises NotAllowed."""
    release = read_release()
    relations = relations_of(release.values())
    naming = read_naming(schema, tables, relations) or Naming()
    return naming.rename(release[min(release)], relations)


def editor_sql(preflight: str) -> str:
    """The same for the SQL Editor, which shows an error or the last result."""
    return f"{preflight}\nselect '{_NOTHING}' as supatoss;\n"


def check_project(preflight: str, database_url: str | None) -> list[Verdict]:
    """Obstacles, or else warnings. Nothing is changed.

    Raises ConfigurationError without a driver or a usable address, StoreUnavailable if the database does not answer.
    """
    if not database_url:
        raise ConfigurationError([_NO_URL])
    connection = connect(database_url, "doctor --adopt")
    try:
        return _dry_run(connection, preflight)
    finally:
        connection.rollback()
        connection.close()


def _dry_run(connection: "psycopg.Connection[Any]", preflight: str) -> list[Verdict]:
    import psycopg

    notices: list[Verdict] = []
    connection.add_notice_handler(lambda notice: notices.extend(_read_notice(notice.message_primary or "")))
    try:
        connection.execute(_SETUP)
        if connection.execute(_IS_INSTALLED).fetchone() == (True,):
            return [ok(CHECK, "supatoss is installed already")]
        connection.execute(preflight)
    except psycopg.OperationalError as error:
        raise StoreUnavailable(f"the database ended the check: {error}") from error
    except psycopg.Error as error:
        if error.sqlstate != _REFUSED:
            return [failed(CHECK, f"cannot be checked: {error.diag.message_primary}", _NO_PRIVILEGE)]
        return [failed(CHECK, what, fix) for what, fix in read_obstacles(error.diag.message_primary or "")]
    return [*notices, ok(CHECK, _NOTHING)]


def read_obstacles(message: str) -> list[tuple[str, str]]:
    """Each obstacle with its remedies, one per line."""
    _, *obstacles = re.split(r"^\d+\. ", message, flags=re.MULTILINE)
    return [_read_entry(obstacle) for obstacle in obstacles]


def _read_notice(message: str) -> list[Verdict]:
    if not message.startswith("supatoss: "):
        return []
    return [warning(CHECK, *_read_entry(message.removeprefix("supatoss: ")))]


def _read_entry(text: str) -> tuple[str, str]:
    what, *remedies = text.strip().split("\n   → ")
    return what, "\n".join(remedies)
