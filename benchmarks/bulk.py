"""Fills tables like a shop's of a year: a few rows that were recorded are copied inside the server under new keys.

It knows few columns, only how the template's keys look, so columns of later migrations are copied, too. Payloads are
cut to a few fields (10 million full ones would need 15 GB more); neither recording nor any list reads the rest. Rows
are for plans and times: the statuses of an order's events and of its payment are drawn independently.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from benchmarks.workload import FIRST_APPROVAL, four_events
from supatoss.inbox.event import NewEvent, Proof
from supatoss.inbox.interpret import interpret
from supatoss.toss.delivery import read_body
from supatoss.toss.events import parse_event

TEMPLATE_SEED = 9999
TEMPLATE_MARK = f"{TEMPLATE_SEED:04d}{0:08d}"
"""Part of every key of the template's order; see workload."""

EVENT_SECONDS = 3
"""Between two events: 10 million of them are a year."""

CHUNK_ROWS = 250_000
BUILD_MEMORY = "1GB"

_OTHER_TABLES = Path(__file__).with_name("sql") / "other_tables.sql"

_TRIM = (
    "update bench_webhook_events set payload = jsonb_build_object('createdAt', payload -> 'createdAt', 'eventType',"
    " payload -> 'eventType', 'data', jsonb_build_object('paymentKey', payload #> '{data,paymentKey}', 'orderId',"
    " payload #> '{data,orderId}', 'orderName', payload #> '{data,orderName}', 'status', payload #> '{data,status}'))"
)

# Rows are numbered by n from 0, the oldest, in the order of their time `at`; the last one is of now. `draw` is spread
# evenly over 0 to 9999. A few events of rare types are old; the newest ten-thousandth is pending.
_TYPE = """case when n in ({rows} / 10, {rows} / 2) then 'seller.changed'
  when draw < 20 then 'BILLING_KEY_ISSUED' when draw < 30 then 'BILLING_DELETED'
  when draw < 500 then 'SETTLEMENT_COMPLETED' when draw < 1000 then 'DEPOSIT_CALLBACK'
  when draw < 1200 then 'CANCEL_STATUS_CHANGED' when draw < 1300 then 'CUSTOMER_STATUS_CHANGED'
  else 'PAYMENT_STATUS_CHANGED' end"""
_STATUS = """case when n % 9973 = 5000 then 'failed' when n > {rows} * 0.9999 then 'pending'
  when n % 99991 = 50000 or draw between 1200 and 1299 then 'ignored' else 'processed' end"""
_IS_DONE = f"({_STATUS}) in ('processed', 'ignored')"

_EVENTS: Mapping[str, str] = {
    "event_key": "encode(sha256(n::text::bytea), 'hex')",
    "event_type": _TYPE,
    "status": _STATUS,
    "processed": _IS_DONE,
    "processed_at": f"case when {_IS_DONE} then at end",
    "reason": """case
      when n % 9973 = 5000 then (array['amount_mismatch', 'double_charge', 'refused_by_database'])[1 + n % 3]
      when n > {rows} * 0.9999 then 'unavailable' when n % 99991 = 50000 then 'operator'
      when draw between 1200 and 1299 then 'no_change' end""",
    "next_attempt_at": f"case when not ({_IS_DONE}) then at end",
    "last_error": "case when n % 9973 = 5000 then 'Toss reports 30000, the application stored 29000' end",
    "order_id": "case when draw >= 30 then 'bench-' || mark end",
    "payment_key": f"case when draw >= 30 then replace(t.payment_key, '{TEMPLATE_MARK}', mark) end",
    "change": f"""case
      when draw < 30 then jsonb_build_object('kind', 'billing', 'customer_key', 'customer-' || n % 100000,
                                             'billing_key', 'bk-' || n)
      when draw < 500 then jsonb_build_object('kind', 'settlement', 'settlement_key', 'settlement:' || n, 'amount',
                                              '30000', 'pay_out_amount', '29000')
      else replace(t.change::text, '{TEMPLATE_MARK}', mark)::jsonb end""",
}

_IS_PAID = "draw < 9900"
_PAYMENTS: Mapping[str, str] = {
    "amount": "1000 * (1 + n % 500)",
    "payment_status": """case when draw < 9000 then 'DONE' when draw < 9700 then 'CANCELED'
      when draw < 9900 then 'PARTIAL_CANCELED' when draw < 9940 and n > {rows} - 200000 then 'WAITING_FOR_DEPOSIT'
      when draw < 9990 then 'EXPIRED' else 'PENDING' end""",
    "approved_at": f"case when {_IS_PAID} then at end",
    "canceled_at": "case when draw between 9000 and 9899 then at end",
    "balance_amount": "case when draw < 9000 then 1000 * (1 + n % 500) when draw < 9900 then 0 end",
    "cancels": f"""case when draw between 9000 and 9899
      then replace(t.cancels::text, '{TEMPLATE_MARK}', mark)::jsonb end""",
}


@dataclass(frozen=True, slots=True)
class Size:
    """Numbers of rows to reach."""

    events: int
    payments: int


def fill(dsn: str, size: Size, log: Callable[[str], None]) -> None:
    """Fills the tables. They must not contain the template's order."""
    with connect(dsn) as connection:
        _record_template(connection)
        _set_aside(connection)
        for table, count, values in (
            ("webhook_events", size.events, _EVENTS),
            ("payments", size.payments, _PAYMENTS),
        ):
            began = time.monotonic()
            with without_indexes(connection, table):
                _copy_all(dsn, table, count, size, values)
                log(f"  {table}: {count:,} rows in {time.monotonic() - began:.0f} s")
                began = time.monotonic()
            log(f"  {table}: indexes in {time.monotonic() - began:.0f} s")
            connection.execute(f"vacuum analyze public.{table}")
            connection.execute(f"drop table bench_{table}")
        connection.execute("checkpoint")


def fill_other_tables(dsn: str, size: Size) -> None:
    """Fills what comes beside events and payments, in proportion: settlements, subscriptions, differences, alerts."""
    with connect(dsn) as connection:
        connection.execute(f"set bench.payments = {size.payments}")
        connection.execute(f"set bench.events = {size.events}")
        connection.execute(_OTHER_TABLES.read_text(encoding="utf-8"))
        connection.execute("vacuum analyze")
        connection.execute("checkpoint")


def connect(dsn: str) -> psycopg.Connection:
    """A connection that does not wait for the disk."""
    connection = psycopg.connect(dsn, autocommit=True)
    connection.execute("set synchronous_commit = off")
    connection.execute(f"set maintenance_work_mem = '{BUILD_MEMORY}'")
    return connection


def _set_aside(connection: psycopg.Connection) -> None:
    """Moves the template's rows into separate tables."""
    for table, order in (("webhook_events", "occurred_at"), ("payments", "order_id")):
        connection.execute(
            f"create unlogged table bench_{table} as select *, row_number() over (order by {order}) - 1 as story"
            f" from public.{table} where order_id = 'bench-{TEMPLATE_MARK}'"
        )
        connection.execute(f"delete from public.{table} where order_id = 'bench-{TEMPLATE_MARK}'")
    connection.execute(_TRIM)


def _copy_all(dsn: str, table: str, count: int, size: Size, values: Mapping[str, str]) -> None:
    """Copies in chunks, on as many connections as there are cores."""

    def copy_chunk(first: int) -> None:
        with connect(dsn) as connection:
            _copy_rows(connection, table, range(first, min(first + CHUNK_ROWS, count)), size, values)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(copy_chunk, range(0, count, CHUNK_ROWS)))


def _copy_rows(
    connection: psycopg.Connection, table: str, numbers: range, size: Size, values: Mapping[str, str]
) -> None:
    """These rows of a table: each order's one after the other, the oldest order first."""
    columns = connection.execute(
        "select column_name, data_type from information_schema.columns"
        " where table_schema = 'public' and table_name = %s and is_generated = 'NEVER'",
        [table],
    ).fetchall()
    rows, stories = (size.events, 4) if table == "webhook_events" else (size.payments, 1)
    names = ", ".join(f'"{name}"' for name, _ in columns)
    copies = ", ".join(values.get(name) or _value(name, kind) for name, kind in columns).replace("{rows}", str(rows))
    connection.execute(
        f"insert into public.{table} ({names}) select {copies}"
        f" from generate_series({numbers.start}::bigint, {numbers.stop - 1}) as n"
        f" cross join lateral (select n * {size.payments} / {rows} as place, (n * 7919 + 5000) % 10000 as draw,"
        f" now() - ({rows} - n) * interval '{size.events * EVENT_SECONDS / rows} seconds' as at) p"
        f" cross join lateral (select '{TEMPLATE_SEED:04d}' || lpad(place::text, 8, '0') as mark,"
        f" n - ceil(place * {rows}::numeric / {size.payments}) as story) m"
        f" join bench_{table} t on t.story = least(m.story, {stories - 1})"
        " order by n"
    )


def _value(name: str, kind: str) -> str:
    """The expression for a column of a copy."""
    if name == "id":
        time_first = "substring(int8send((extract(epoch from at) * 1000)::bigint) from 3)"
        return f"encode(overlay(uuid_send(gen_random_uuid()) placing {time_first} from 1 for 6), 'hex')::uuid"
    if kind.startswith("timestamp"):
        return f'case when t."{name}" is not null then at end'
    if kind in ("text", "character varying"):
        return f"replace(t.\"{name}\", '{TEMPLATE_MARK}', mark)"
    if kind == "jsonb":
        return f"replace(t.\"{name}\"::text, '{TEMPLATE_MARK}', mark)::jsonb"
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


def _record_template(connection: psycopg.Connection) -> None:
    """Records the template's order as the service does."""
    records = []
    for sending in four_events(TEMPLATE_SEED):
        read = read_body(sending.body)
        event = parse_event(read.fields)
        records.append(NewEvent(event, read, interpret(event), Proof.SIGNATURE, FIRST_APPROVAL).to_record())
    row = connection.execute("select public.record_webhook_events_v1(%s)", [json.dumps(records)]).fetchone()
    if row is None or any(event["status"] != "processed" for event in row[0]):
        raise RuntimeError(f"the template could not be recorded: {row}")
