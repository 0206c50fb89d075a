"""What other ways to store an event would cost PostgreSQL: keys beside a partitioned inbox, and a queue in front.

Narrow stand-ins for webhook_events, so that the difference is seen; the queue has the tables and steps of pgmq.
"""

from dataclasses import dataclass

import psycopg
from psycopg import sql

from benchmarks.measure import usage
from benchmarks.stack import Stack
from benchmarks.workload import plan

BATCH = 32
BATCHES = 300

_SCHEMA = """
drop schema if exists bench_alternatives cascade;
create schema bench_alternatives;
set search_path = bench_alternatives;

create table plain (
  id uuid primary key default gen_random_uuid(), event_key text, order_id text, created_at timestamptz, payload jsonb);
create unique index on plain (event_key) where event_key is not null;
create index on plain (order_id);
create index on plain (created_at);

create table keys (event_key bytea primary key, created_at timestamptz);
create table parted (
  id uuid default gen_random_uuid(), order_id text, created_at timestamptz, payload jsonb, primary key (id, created_at)
) partition by range (created_at);
create table parted_now partition of parted for values from (minvalue) to (maxvalue);
create index on parted (order_id);
create index on parted (created_at);

create table queue (
  msg_id bigint primary key generated always as identity, read_ct integer not null default 0,
  enqueued_at timestamptz not null default now(), vt timestamptz not null default now(), message jsonb);
create index on queue (vt);
create table archive (
  msg_id bigint primary key, read_ct integer not null, enqueued_at timestamptz not null,
  archived_at timestamptz not null default now(), vt timestamptz not null, message jsonb);
"""

_NUMBERS = "generate_series({first}, {last}) n"
_PLAIN = f"""
insert into plain (event_key, order_id, created_at, payload)
select encode(sha256(n::text::bytea), 'hex'), 'order-' || n, now(), {{payload}} from {_NUMBERS}
on conflict (event_key) where event_key is not null do nothing
"""
_PARTED = f"""
with new as (
  insert into keys select sha256(n::text::bytea), now() from {_NUMBERS} on conflict do nothing
  returning event_key, created_at)
insert into parted (order_id, created_at, payload)
select 'order-' || n, created_at, {{payload}} from {_NUMBERS} join new on new.event_key = sha256(n::text::bytea)
"""
_SEND = f"insert into queue (message) select {{payload}} from {_NUMBERS}"
_READ = """
update queue set vt = now() + interval '30 s', read_ct = read_ct + 1
where msg_id in (
  select msg_id from queue where vt <= clock_timestamp() order by msg_id limit {batch} for update skip locked)
"""
_DELETE = "delete from queue where msg_id between {first} and {last}"
_ARCHIVE = f"""
with done as ({_DELETE} returning msg_id, read_ct, enqueued_at, vt, message)
insert into archive (msg_id, read_ct, enqueued_at, vt, message) select * from done
"""

WAYS = {
    "the inbox with its unique index": ([_PLAIN], ("plain",)),
    "a partitioned inbox with keys beside": ([_PARTED], ("parted_now", "keys")),
    "a queue in front: send, read, delete": ([_SEND, _READ, _DELETE], ("queue",)),
    "a queue in front: send, read, archive": ([_SEND, _READ, _ARCHIVE], ("queue", "archive")),
}
"""Statements for a batch of events, and the tables that they fill."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """For an event: CPU seconds of PostgreSQL, bytes of write-ahead log, and of tables with their indexes."""

    name: str
    cpu: float
    wal_bytes: float
    disk_bytes: float


def measure_alternatives(stack: Stack) -> list[Alternative]:
    """Stores the same events in every way, in a database of their own."""
    dsn = stack.postgres.create_database("bench_alternatives")
    with psycopg.connect(dsn, autocommit=True) as connection:
        return [_measure(stack, connection, name) for name in WAYS]


def store(connection: psycopg.Connection, name: str, batches: int) -> None:
    """Stores events in one way, in empty tables."""
    connection.execute(_SCHEMA.encode())
    (sending,) = plan(1, seed=1)
    payload = sql.Literal(sending.body.decode()) + sql.SQL("::jsonb")
    for first in range(1, batches * BATCH, BATCH):
        numbers = {"first": sql.Literal(first), "last": sql.Literal(first + BATCH - 1), "batch": sql.Literal(BATCH)}
        for statement in WAYS[name][0]:
            connection.execute(sql.SQL(statement).format(**numbers, payload=payload))


def _measure(stack: Stack, connection: psycopg.Connection, name: str) -> Alternative:
    cpu, log = usage(stack.postgres_processes).cpu_seconds, _log_bytes(connection)
    store(connection, name, BATCHES)
    cpu, log = usage(stack.postgres_processes).cpu_seconds - cpu, _log_bytes(connection) - log
    disk = sum(_value(connection, f"select pg_total_relation_size('{table}')") for table in WAYS[name][1])
    events = BATCH * BATCHES
    return Alternative(name, cpu / events, log / events, disk / events)


def _log_bytes(connection: psycopg.Connection) -> int:
    return _value(connection, "select pg_current_wal_insert_lsn() - '0/0'")


def _value(connection: psycopg.Connection, query: str) -> int:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None  # noqa: S101 - these queries always have a row
    return int(row[0])
