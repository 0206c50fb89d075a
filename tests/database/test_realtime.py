"""What Supabase Realtime would hear after the step of docs/integrate.md: the changes of payments, and nothing else.

A server of its own, whose log tells changes (wal_level = logical) as a Supabase project's does. The messages are those
of PostgreSQL's own output plug-in; Realtime reads them by another one, and asks row level security who may have them.
"""

import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from scripts.local.postgres import TEST_SETTINGS
from scripts.local_stack import ROOT, LocalPostgres
from tests.database.conftest import migrate
from tests.database.support import Database, payment_event

HANA, DUL = UUID(int=1), UUID(int=2)
Change = tuple[str, str, dict[str, str | None]]


@pytest.fixture(scope="module")
def published() -> Iterator[Database]:
    """A migrated database with a project's publication, after the step, and with a slot that keeps what follows."""
    other = os.environ.get("POSTGRES_BINARIES")
    settings = {**TEST_SETTINGS, "wal_level": "logical"}
    with LocalPostgres(settings=settings, binaries=Path(other) if other else None) as server:
        migrate(server.dsn())
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute("create publication supabase_realtime")
            connection.execute(step())
            connection.execute("select pg_create_logical_replication_slot('realtime', 'pgoutput')")
            yield Database(connection, server.dsn())


def step() -> bytes:
    """The SQL that the document prints."""
    text = (ROOT / "docs" / "integrate.md").read_text(encoding="utf-8")
    (sql,) = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    return str(sql).encode()


def heard(database: Database) -> list[Change]:
    """The changes since the last call: INSERT, UPDATE or DELETE, the table, and its new row."""
    query = """
      select data from pg_logical_slot_get_binary_changes(
        'realtime', null, null, 'proto_version', '1', 'publication_names', 'supabase_realtime')
    """
    return list(read_messages([row["data"] for row in database.rows(query)]))


def read_messages(messages: list[bytes]) -> Iterator[Change]:
    tables: dict[int, tuple[str, list[str]]] = {}
    for message in messages:
        kind, rest = message[:1], message[1:]
        if kind == b"R":
            number, table = struct.unpack_from("!I", rest)[0], rest[4:].split(b"\0")
            name = b".".join(table[:2]).decode()
            tables[number] = (name, _column_names(rest[4 + len(table[0]) + len(table[1]) + 2 :]))
        elif kind in (b"I", b"U", b"D"):
            (number,) = struct.unpack_from("!I", rest)
            name, columns = tables[number]
            values = _values(rest[5:])  # behind the number comes N: the step leaves the replica identity as it is
            yield {b"I": "INSERT", b"U": "UPDATE", b"D": "DELETE"}[kind], name, dict(zip(columns, values, strict=True))


def _column_names(data: bytes) -> list[str]:
    (count,) = struct.unpack_from("!H", data, 1)
    names, data = [], data[3:]
    for _ in range(count):
        name, _, rest = data[1:].partition(b"\0")
        names.append(name.decode())
        data = rest[8:]  # type and its modifier
    return names


def _values(data: bytes) -> Iterator[str | None]:
    (count,), data = struct.unpack_from("!H", data), data[2:]
    for _ in range(count):
        if data[:1] in (b"n", b"u"):
            yield None
            data = data[1:]
        else:
            (length,) = struct.unpack_from("!I", data, 1)
            yield data[5 : 5 + length].decode()
            data = data[5 + length :]


def test_a_buyer_hears_of_an_order_from_the_shop_and_of_its_payment_from_the_webhook(published: Database) -> None:
    published.connection.execute(
        "insert into payments (order_id, payment_key, order_name, amount, payment_status, user_id)"
        " values ('order-1', 'order-1', '원두 1kg', 10000, 'PENDING', %s)",
        [HANA],
    )
    published.record(payment_event("DONE", 1))
    changes = heard(published)
    assert {table for _, table, _ in changes} == {"public.payments"}, "nothing of the inbox is told"
    (first, *_), last = changes[0], changes[-1]
    assert (first, changes[0][2]["payment_status"]) == ("INSERT", "PENDING")
    assert last[2] | {"payment_status": "DONE", "payment_key": "key-1", "user_id": str(HANA)} == last[2]


def test_an_event_that_changes_nothing_is_not_heard_of(published: Database) -> None:
    published.record(payment_event("DONE", 2, order="order-2", key="key-2"))
    assert heard(published)
    published.record(payment_event("DONE", 2, order="order-2", key="key-2"))
    assert heard(published) == []


def test_realtime_asks_row_level_security_which_shows_a_buyer_their_own_orders(published: Database) -> None:
    for number, user in (("3", HANA), ("4", DUL), ("5", None)):
        published.connection.execute(
            "insert into payments (order_id, payment_key, order_name, amount, payment_status, user_id)"
            " values (%s, %s, '원두 1kg', 10000, 'PENDING', %s)",
            [f"mine-{number}", f"mine-{number}", user],
        )
    with published.connection.transaction(force_rollback=True):
        published.connection.execute("set local role authenticated")
        published.connection.execute("select set_config('request.jwt.claim.sub', %s, true)", [str(HANA)])
        seen = published.rows("select order_id, payment_status from payments where order_id like 'mine-%%'")
    assert seen == [{"order_id": "mine-3", "payment_status": "PENDING"}]
