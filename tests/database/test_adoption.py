"""A project that has the guide's tables adopts the migrations without losing a row, and its applications go on."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.database.conftest import migrate
from tests.database.support import Database, payment_event

GUIDE_SCHEMA = Path(__file__).with_name("guide_schema.sql")
TABLES = ("payments", "subscriptions", "webhook_events")


@pytest.fixture
def existing(empty_database: str) -> Iterator[Database]:
    """A project with the guide's schema and some rows."""
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(GUIDE_SCHEMA.read_text())
        yield Database(connection, empty_database)


def old_values(database: Database, table: str) -> list[dict[str, Any]]:
    """Every row with the columns of the guide; times as UTC without a zone, amounts as numbers."""
    columns = {
        "payments": "id, user_id, payment_key, order_id, order_name, amount, payment_status, approved_at, created_at",
        "subscriptions": "id, billing_key, customer_key, status, tier, started_at, amount, billing_cycle",
        "webhook_events": "id, event_type, payment_key, payload, processed, processed_at, created_at",
    }[table]
    rows = database.rows(f"select {columns} from {table} order by id")
    for row in rows:
        for name, value in row.items():
            if isinstance(value, dt.datetime) and value.tzinfo:
                row[name] = value.astimezone(dt.UTC).replace(tzinfo=None)
    return rows


@pytest.mark.parametrize("zone", ["UTC", "Asia/Seoul"])
def test_every_row_stays_as_it_was(existing: Database, zone: str) -> None:
    before = {table: old_values(existing, table) for table in TABLES}
    existing.connection.execute(f"alter database {existing.connection.info.dbname} set timezone to '{zone}'")
    migrate(existing.dsn)
    assert {table: old_values(existing, table) for table in TABLES} == before
    assert sum(len(rows) for rows in before.values()) == 7


def test_adopted_and_fresh_projects_have_the_same_columns(existing: Database, database: Database) -> None:
    migrate(existing.dsn)
    query = """select table_name, column_name, data_type, character_maximum_length from information_schema.columns
               where table_schema = 'public' order by table_name, column_name"""
    fresh = {(row["table_name"], row["column_name"]): row for row in database.rows(query)}
    adopted = {(row["table_name"], row["column_name"]): row for row in existing.rows(query)}
    assert adopted.keys() == fresh.keys()
    different = {key for key in fresh if fresh[key] != adopted[key]}
    # What works stays as it was: clients of an integer go on getting an integer.
    assert different == {("payments", "amount"), ("subscriptions", "amount")}
    assert {adopted[key]["data_type"] for key in different} == {"integer"}


def test_writers_of_the_old_columns_still_work(existing: Database) -> None:
    migrate(existing.dsn)
    existing.connection.execute(
        "insert into webhook_events (event_type, payment_key, payload) values ('PAYMENT_STATUS_CHANGED', 'x', '{}')"
    )
    existing.insert_payment(order_id="order_3", payment_key="placeholder-3")
    rows = existing.rows("select status, processed from webhook_events order by created_at desc limit 1")
    assert rows == [{"status": "ignored", "processed": False}]


def test_events_reach_adopted_rows(existing: Database) -> None:
    migrate(existing.dsn)
    existing.record(payment_event("DONE", 10, order="order_2", key="tviva2", totalAmount=5000))
    existing.record(payment_event("CANCELED", 20, order="order_1", key="tviva1", totalAmount=9900))
    second, first = existing.payment("order_2"), existing.payment("order_1")
    assert (second["payment_key"], second["payment_status"]) == ("tviva2", "DONE")
    assert first["payment_status"] == "CANCELED"
    assert first["approved_at"] == dt.datetime(2024, 1, 1, 1, tzinfo=dt.UTC)


def test_the_old_inbox_is_closed(existing: Database) -> None:
    migrate(existing.dsn)
    for role in ("anon", "authenticated"):
        with existing.connection.transaction(force_rollback=True):
            existing.connection.execute(f"set local role {role}")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                existing.connection.execute("select 1 from webhook_events")


def test_two_live_subscriptions_of_a_customer_stay(existing: Database, database: Database) -> None:
    existing.connection.execute("update subscriptions set status = 'PAUSED' where billing_key = 'bk-old'")
    migrate(existing.dsn)
    live = "select count(*) from subscriptions where customer_key = 'customer_1' and status in ('ACTIVE', 'PAUSED')"
    assert existing.rows(live) == [{"count": 2}]
    indexes = "select 1 from pg_indexes where indexname = 'subscriptions_live_customer_key_key'"
    assert existing.rows(indexes) == []
    assert database.rows(indexes) != []


def test_a_default_of_the_project_s_own_is_left_alone(existing: Database) -> None:
    existing.connection.execute("alter table payments alter column id set default md5(random()::text)::uuid")
    migrate(existing.dsn)
    query = """select table_name, column_default from information_schema.columns
               where table_schema = 'public' and column_name = 'id' and table_name in ('payments', 'webhook_events')"""
    defaults = {row["table_name"]: row["column_default"] for row in existing.rows(query)}
    assert "md5(" in defaults["payments"]
    assert "clock_timestamp()" in defaults["webhook_events"]
