"""Fills tables: a few rows that the service recorded are copied inside the server under new keys.

It knows no columns, only how the template's keys look, so columns of later migrations are copied, too. Payloads are cut
to a few fields (10 million full ones would need 15 GB more); the recording path never reads the rest.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from benchmarks.measure import Load
from benchmarks.peers.supatoss import Supatoss
from benchmarks.stack import Stack
from benchmarks.workload import four_events

TEMPLATE_SEED = 9999
TEMPLATE_MARK = f"{TEMPLATE_SEED:04d}{0:08d}"
"""Part of every key of the template's order; see workload."""

TABLES = ("webhook_events", "payments")
_ORDER = {"webhook_events": "occurred_at", "payments": "order_id"}
CHUNK_ROWS = 250_000
BUILD_MEMORY = "1GB"

_TRIM = (
    "update bench_webhook_events set payload = jsonb_build_object('createdAt', payload -> 'createdAt', 'eventType',"
    " payload -> 'eventType', 'data', jsonb_build_object('paymentKey', payload #> '{data,paymentKey}', 'orderId',"
    " payload #> '{data,orderId}', 'orderName', payload #> '{data,orderName}', 'status', payload #> '{data,status}'))"
)


@dataclass(frozen=True, slots=True)
class Size:
    """Numbers of rows to reach."""

    events: int
    payments: int


def fill(stack: Stack, dsn: str, size: Size, log: Callable[[str], None]) -> None:
    """Fills the tables. They must not contain the template's order."""
    _record_template(stack)
    with connect(dsn) as connection:
        _set_aside(connection)
        for table, count in zip(TABLES, (size.events, size.payments), strict=True):
            began = time.monotonic()
            with without_indexes(connection, table):
                _copy_all(dsn, table, count, size.payments)
                log(f"  {table}: {count:,} rows in {time.monotonic() - began:.0f} s")
                began = time.monotonic()
            log(f"  {table}: indexes in {time.monotonic() - began:.0f} s")
            connection.execute(f"vacuum analyze public.{table}")
            connection.execute(f"drop table bench_{table}")
        connection.execute("checkpoint")


def connect(dsn: str) -> psycopg.Connection:
    """A connection that does not wait for the disk."""
    connection = psycopg.connect(dsn, autocommit=True)
    connection.execute("set synchronous_commit = off")
    connection.execute(f"set maintenance_work_mem = '{BUILD_MEMORY}'")
    return connection


def _set_aside(connection: psycopg.Connection) -> None:
    """Moves the template's rows into separate tables."""
    for table in TABLES:
        connection.execute(
            f"create unlogged table bench_{table} as"
            f" select *, row_number() over (order by {_ORDER[table]}) - 1 as story"
            f" from public.{table} where order_id = 'bench-{TEMPLATE_MARK}'"
        )
        connection.execute(f"delete from public.{table} where order_id = 'bench-{TEMPLATE_MARK}'")
    connection.execute(_TRIM)


def _copy_all(dsn: str, table: str, count: int, orders: int) -> None:
    """Copies in chunks, on as many connections as there are cores."""

    def copy_chunk(first: int) -> None:
        with connect(dsn) as connection:
            copy_rows(connection, table, first, min(first + CHUNK_ROWS, count), orders)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(copy_chunk, range(0, count, CHUNK_ROWS)))


def copy_rows(connection: psycopg.Connection, table: str, first: int, end: int, orders: int) -> None:
    """Rows `first` to below `end`: the first of every order, then the second of every order, and so on."""
    columns = connection.execute(
        "select column_name, data_type from information_schema.columns"
        " where table_schema = 'public' and table_name = %s and is_generated = 'NEVER'",
        [table],
    ).fetchall()
    names = ", ".join(f'"{name}"' for name, _ in columns)
    values = ", ".join(_value(name, kind) for name, kind in columns)
    connection.execute(
        f"insert into public.{table} ({names}) select {values}"
        f" from generate_series({first}, {end - 1}) as n"
        f" cross join lateral (select '{TEMPLATE_SEED:04d}' || lpad((n % {orders})::text, 8, '0') as mark) m"
        f" join bench_{table} t on t.story = n / {orders}"
    )


def _value(name: str, kind: str) -> str:
    """The expression for a column of a copy."""
    if name == "id":
        return "gen_random_uuid()"
    if name == "event_key":
        return "encode(sha256(n::text::bytea), 'hex')"
    if name == "created_at":
        return "t.created_at - n * interval '3 seconds'"
    if kind in ("text", "character varying"):
        return f"replace(t.\"{name}\", '{TEMPLATE_MARK}', m.mark)"
    if kind == "jsonb":
        return f"replace(t.\"{name}\"::text, '{TEMPLATE_MARK}', m.mark)::jsonb"
    return f't."{name}"'


@contextmanager
def without_indexes(connection: psycopg.Connection, table: str) -> Iterator[None]:
    """Drops a table's keys and indexes and recreates them at the end: sorting once is faster than row by row."""
    keys: Sequence[tuple[str, str]] = connection.execute(
        "select conname, pg_get_constraintdef(oid) from pg_constraint"
        " where conrelid = %s::regclass and contype in ('p', 'u')",
        [f"public.{table}"],
    ).fetchall()
    for name, _ in keys:
        connection.execute(f'alter table public.{table} drop constraint "{name}"')
    indexes: Sequence[tuple[str, str]] = connection.execute(
        "select indexname, indexdef from pg_indexes where schemaname = 'public' and tablename = %s", [table]
    ).fetchall()
    for name, _ in indexes:
        connection.execute(f'drop index public."{name}"')
    yield
    for name, definition in keys:
        connection.execute(f'alter table public.{table} add constraint "{name}" {definition}')
    for _, definition in indexes:
        connection.execute(definition)


def _record_template(stack: Stack) -> None:
    """Records the template's order through the service."""
    sendings = four_events(TEMPLATE_SEED)
    with Supatoss().start(stack, sendings) as running:
        report = running.drive(Load(1, 10.0))
        problems = running.verify(report)
        if problems:
            raise RuntimeError(f"the template could not be recorded: {problems}")
