"""Projects that push our migrations: the preflight's answer, the push, and whether events are stored afterwards."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from scripts.local_stack import MIGRATIONS
from supatoss.cli.doctor.preflight import read_obstacles
from supatoss.cli.naming import Naming, relations_of
from tests.database.support import Database, at, payment_event

HERE = Path(__file__).parent
PROJECTS = {file.stem: file for file in (HERE / "guide.sql", *sorted((HERE / "projects").glob("*.sql")))}
FILES = {file.name: file.read_text(encoding="utf-8") for file in sorted(MIGRATIONS.glob("*.sql"))}
PREFLIGHT = next(iter(FILES))
RELATIONS = relations_of(FILES.values())
OURS = Naming()


def renamed(naming: Naming) -> Iterator[str]:
    """The texts that `supatoss migrations copy` writes."""
    for name, text in FILES.items():
        yield naming.rename(text, RELATIONS) + (naming.setup() if name == PREFLIGHT else "")


def with_option(naming: Naming, remedy: str) -> Naming:
    """These names, and those that a remedy's option asks for."""
    if "--schema toss" in remedy:
        return Naming("toss")
    old, new = remedy.split("--table ")[1].split("=")
    return naming if naming.schema == "toss" else Naming("public", {**naming.tables, old: new})


def obstacles(connection: psycopg.Connection[Any], naming: Naming = OURS) -> list[tuple[str, list[str]]]:
    """What stands in the way, with the remedies of each. The connection is in autocommit, as a push is."""
    try:
        connection.execute(next(renamed(naming)))
    except psycopg.Error as error:
        if error.sqlstate != "SUPA0":
            raise
        message = error.diag.message_primary or ""
        found = [(what, fix.splitlines()) for what, fix in read_obstacles(message)]
        count = f"{len(found)} obstacle{'s' if len(found) > 1 else ''}"
        assert message.startswith(f"supatoss: nothing was changed. {count}:\n1. ")
        assert all(remedies for _, remedies in found)
        return found
    return []


def push(connection: psycopg.Connection[Any], naming: Naming = OURS) -> None:
    """Applies the files after the preflight, each in a transaction of its own."""
    _, *files = renamed(naming)
    for text in files:
        connection.execute(text)


def stored(database: Database, naming: Naming = OURS) -> list[str]:
    """What becomes of events about a new order, one that waits, a billing key and a settlement; each comes twice."""
    long = {"order": "o" * 64, "key": "k" * 200}
    bodies = [
        payment_event("DONE", 10, **long, orderName="주" * 100, method="도서문화상품권", receipt={"url": "r" * 200}),
        payment_event("CANCELED", 20, **long),
        payment_event("ABORTED", 10, order="refused", key="r", failure={"code": "C" * 50, "message": "m" * 510}),
        {"eventType": "BILLING_KEY_ISSUED", "data": {"billingKey": "b", "customerKey": "c", "issuedAt": at(5)}},
        {"eventType": "SETTLEMENT_COMPLETED", "data": {"orderId": "o" * 64, "amount": 10000}},
    ]
    table = f"{naming.schema}.{naming.tables.get('payments', 'payments')}"
    waiting = database.rows(f"select order_id, amount from {table} where payment_status = 'PENDING' limit 1")
    bodies += [
        payment_event("DONE", 10, order=row["order_id"], key="w", method="카드", totalAmount=int(row["amount"]))
        for row in waiting
    ]
    outcomes = [str(outcome["status"]) for _ in ("once", "again") for outcome in database.record(*bodies)]
    query = f"select payment_status from {table} where order_id = %s and approved_at is not null"
    return outcomes if database.rows(query, long["order"]) == [{"payment_status": "CANCELED"}] else ["not shown"]


def is_broken(project: Database) -> bool:
    """Whether our files stop half-way, or events are not stored afterwards."""
    try:
        push(project.connection)
        return set(stored(project)) != {"processed"}
    except psycopg.Error:
        return True


CATALOGUE = """
    pg_attrdef pg_attribute pg_cast pg_collation pg_constraint pg_default_acl pg_depend pg_description pg_enum
    pg_event_trigger pg_extension pg_index pg_inherits pg_namespace pg_opclass pg_operator pg_policy pg_proc
    pg_publication pg_publication_rel pg_rewrite pg_sequence pg_shdepend pg_statistic_ext pg_trigger pg_type
"""


def snapshot(connection: psycopg.Connection[Any]) -> dict[str, Any]:
    """Every row of the catalogue, and of the project's tables, as text."""
    tables = {f"pg_catalog.{name}": "*" for name in CATALOGUE.split()}
    tables["pg_catalog.pg_class"] = "oid, relname, relkind, relowner, relfilenode, relacl, reloptions, relrowsecurity"
    found = connection.execute(
        "select oid::regclass::text from pg_class where relkind in ('r', 'm') and relnamespace = 'public'::regnamespace"
    )
    tables |= {name: "*" for (name,) in found.fetchall()}
    rows = "select string_agg(t::text, E'\\n' order by t::text) from (select {} from {}) t"
    return {name: connection.execute(rows.format(columns, name)).fetchone() for name, columns in tables.items()}


def result(connection: psycopg.Connection[Any]) -> tuple[str, str]:
    """What docs/preflight.md says of a project: what a push does, and the remedies."""
    said: list[str] = []
    connection.add_notice_handler(lambda notice: said.append(notice.message_primary or ""))
    found = obstacles(connection)
    ways = {way_of(line) for _, remedies in found for line in remedies}
    ways |= {"`on_payment_changed`" for text in said if "looks as if it holds Toss payments" in text}
    outcome = f"refused: {len(found)}" if found else "done, with a warning" if said else "done"
    return outcome, ", ".join(sorted(ways - {""}))


def way_of(remedy: str) -> str:
    """Which kind of remedy a line is."""
    if remedy.startswith("after the push: "):
        return ""
    option = re.search(r"--(schema|table) \S+", remedy)
    return "SQL" if remedy.startswith("run: ") else f"`{option[0]}`" if option else "by hand"
