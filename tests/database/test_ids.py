"""Ids of the tables that grow come in the order of time, whoever inserts the row."""

import datetime as dt
import time
import uuid

import pytest

from tests.database.support import Database, payment_event

TABLES = ("webhook_events", "payments")


def time_of(identity: uuid.UUID) -> dt.datetime:
    """The milliseconds in front of a UUID of version 7."""
    return dt.datetime.fromtimestamp((identity.int >> 80) / 1000, dt.UTC)


@pytest.mark.parametrize("table", TABLES)
def test_ids_are_uuids_of_version_7_in_order_of_time(database: Database, table: str) -> None:
    began = dt.datetime.now(dt.UTC) - dt.timedelta(milliseconds=1)
    for number in range(20):
        database.record(payment_event("DONE", number, order=f"order-{number:02}", key=f"key-{number}"))
        time.sleep(0.002)
    rows = database.rows(f"select id from {table} order by order_id")
    ids = [row["id"] for row in rows]
    assert len(set(ids)) == 20
    assert ids == sorted(ids)
    assert {(identity.version, identity.variant) for identity in ids} == {(7, uuid.RFC_4122)}
    assert all(began <= time_of(identity) <= dt.datetime.now(dt.UTC) for identity in ids)
    assert len({identity.int & (2**62 - 1) for identity in ids}) == 20  # the rest is as random as it was


def test_whoever_may_insert_gets_such_an_id(database: Database) -> None:
    with database.connection.transaction(force_rollback=True):
        database.connection.execute("create role shop; grant insert, select (id) on payments to shop")
        database.connection.execute("create policy shop on payments to shop using (true) with check (true)")
        database.connection.execute("set local role shop")
        row = database.connection.execute(
            "insert into payments (payment_key, order_id, order_name, amount, payment_status)"
            " values ('k', 'o', '주문', 1, 'PENDING') returning id"
        ).fetchone()
        assert row is not None
        assert row[0].version == 7
