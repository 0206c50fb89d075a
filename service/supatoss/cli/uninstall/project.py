"""A project's database: which parts of supatoss it has, and their removal."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from supatoss.cli.copies import read_release
from supatoss.errors import NotAllowed, StoreRefused, StoreUnavailable

if TYPE_CHECKING:
    import psycopg

_INVENTORY = Path(__file__).with_name("inventory.sql")
_IS_INSTALLED = "select to_regprocedure('public.supatoss_schema_version()') is not null"
RECORDS = ("operator_actions", "reconciliations", "reconciliation_findings", "alerts", "refused_deliveries")
"""Tables of the schema supatoss whose rows are worth saving before they are removed."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with the merchant's rows. subject: its name in the migrations. times: columns that lose their zone."""

    name: str
    subject: str
    is_adopted: bool
    times: Sequence[str]
    rows: int

    def is_dropped(self, *, delete_data: bool) -> bool:
        """Whether it is dropped. Adopted tables never are; an empty settlements is, because supatoss created it."""
        return not self.is_adopted and (delete_data or (self.subject == "settlements" and not self.rows))


@dataclass(frozen=True, slots=True)
class Inventory:
    """What is installed. unfinished: pending and failed events. opened: statements that open the inbox as before."""

    version: int
    tables: Sequence[Table]
    views: Sequence[str]
    functions: int
    triggers: int
    records: Mapping[str, int]
    unfinished: int
    processes: Sequence[str]
    hooks: Sequence[str]
    opened: Sequence[str]


def read_inventory(connection: "psycopg.Connection[Any]") -> Inventory | None:
    """What is installed; None without supatoss. Raises StoreRefused or StoreUnavailable."""
    with _asking():
        if connection.execute(_IS_INSTALLED).fetchone() != (True,):
            return None
        found: dict[str, Any] = (connection.execute(_INVENTORY.read_bytes()).fetchone() or ({},))[0]
        tables = [Table(**table, rows=_count(connection, table["name"])) for table in found.pop("tables")]
        inbox = next(table.name for table in tables if table.subject == "webhook_events")
        records = {name: _count(connection, f"supatoss.{name}") for name in RECORDS}
        unfinished = _count(connection, inbox, "where status in ('pending', 'failed')")
        return Inventory(
            **found,
            tables=tables,
            records={name: rows for name, rows in records.items() if rows},
            unfinished=unfinished,
        )


def _count(connection: "psycopg.Connection[Any]", table: str, condition: str = "") -> int:
    # The names come from our own function, quoted where they need it.
    (rows,) = connection.execute(f"select count(*) from {table} {condition}".encode()).fetchone() or (0,)  # noqa: S608
    return int(rows)


def remove(connection: "psycopg.Connection[Any]", text: str, migration: Path | None) -> list[str]:
    """Executes the text in one transaction, and updates the Supabase CLI's history. Returns what was done.

    migration: the file with this text in the repository. None: our migrations count as reverted instead.
    """
    said: list[str] = []
    connection.add_notice_handler(lambda notice: _note(said, notice.message_primary or ""))
    with _asking(), connection.transaction():
        connection.execute("set local client_min_messages = notice")
        connection.execute(text.encode())
        said += _write_history(connection, text, migration)
    return said


def _note(said: list[str], message: str) -> None:
    if message.startswith("supatoss: "):
        said.append(message.removeprefix("supatoss: "))


def _write_history(connection: "psycopg.Connection[Any]", text: str, migration: Path | None) -> list[str]:
    exists = "select to_regclass('supabase_migrations.schema_migrations') is not null"
    if connection.execute(exists).fetchone() != (True,):
        return []
    if migration:
        version, _, name = migration.stem.partition("_")
        connection.execute(
            "insert into supabase_migrations.schema_migrations (version, name, statements) values (%s, %s, %s)"
            " on conflict do nothing",
            (version, name, [text]),
        )
        return [f"{migration.name} counts as applied"]
    names = [name.removesuffix(".sql") for name in read_release()]
    reverted = connection.execute(
        "delete from supabase_migrations.schema_migrations h"
        r" where h.name like 'supatoss\_%%' or h.version || '_' || h.name = any (%s)",
        [names],
    ).rowcount
    return [f"{reverted} migrations count as reverted"] if reverted else []


@contextmanager
def _asking() -> Iterator[None]:
    """Turns PostgreSQL's errors into ours. Their messages name objects, never values of rows."""
    import psycopg

    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise NotAllowed(f"{error.diag.message_primary}: connect as postgres, who ran the migrations") from None
    except psycopg.errors.LockNotAvailable as error:
        raise StoreUnavailable(f"{error.diag.message_primary}; {error.diag.message_hint}") from None
    except psycopg.OperationalError:
        raise StoreUnavailable("the database ended the connection; nothing was changed") from None
    except psycopg.Error as error:
        raise StoreRefused(_in_the_way(error)) from None


def _in_the_way(error: "psycopg.Error") -> str:
    diag = error.diag
    said = diag.message_primary or "the database refuses it"
    if not said.startswith("nothing was changed"):
        said = f"nothing was changed: {said}"
    hint = (
        diag.message_hint
        if "CASCADE" not in (diag.message_hint or "")
        else "drop or change what it names, then try again"
    )
    return "; ".join(part.replace("\n", "; ") for part in (said, diag.message_detail, hint) if part)
