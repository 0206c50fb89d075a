"""Races, as written orders of steps on two connections."""

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.database.support import Database, Row, payment_event

WAIT_SECONDS = 20


class Step(threading.Thread):
    """A call on a second connection that may have to wait for a lock."""

    def __init__(self, database: Database, *events: Row) -> None:
        super().__init__(daemon=True)
        self.database = database
        self.events = events
        self.outcomes: list[Row] = []
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self.outcomes = self.database.record(*self.events)
        except psycopg.Error as error:
            self.error = error

    def is_waiting(self, observer: psycopg.Connection[Any]) -> bool:
        """Whether the call waits for a lock; asked until it does, or is over."""
        pid = self.database.connection.info.backend_pid
        while self.is_alive():
            row = observer.execute(
                "select wait_event_type = 'Lock' from pg_stat_activity where pid = %s", [pid]
            ).fetchone()
            if row == (True,):
                return True
        return False

    def finish(self) -> list[Row]:
        self.join(WAIT_SECONDS)
        assert not self.is_alive(), "still waiting"
        if self.error:
            raise self.error
        return self.outcomes


@pytest.fixture
def second(database: Database) -> Iterator[Database]:
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        yield Database(connection, database.dsn)


@pytest.fixture
def observer(database: Database) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize(("first_status", "second_status"), [("DONE", "CANCELED"), ("CANCELED", "DONE")])
def test_two_events_of_one_order_see_each_other(
    database: Database, second: Database, observer: psycopg.Connection[Any], first_status: str, second_status: str
) -> None:
    with database.connection.transaction():
        database.record(payment_event(first_status, 20 if first_status == "CANCELED" else 10))
        other = Step(second, payment_event(second_status, 20 if second_status == "CANCELED" else 10))
        assert other.is_waiting(observer)
    other.finish()
    payment = database.payment()
    assert payment["payment_status"] == "CANCELED"
    assert payment["approved_at"] is not None


def test_one_event_delivered_twice_at_once_is_one_row(
    database: Database, second: Database, observer: psycopg.Connection[Any]
) -> None:
    event = payment_event("DONE", 10)
    with database.connection.transaction():
        first = database.record(event)
        other = Step(second, event)
        assert other.is_waiting(observer)
    assert (first[0]["outcome"], other.finish()[0]["outcome"]) == ("created", "duplicate")
    assert database.rows("select delivery_count from webhook_events") == [{"delivery_count": 2}]


def test_a_delivery_whose_twin_is_rolled_back_is_stored(
    database: Database, second: Database, observer: psycopg.Connection[Any]
) -> None:
    event = payment_event("DONE", 10)
    with database.connection.transaction(force_rollback=True):
        database.record(event)
        other = Step(second, event)
        assert other.is_waiting(observer)
    assert other.finish()[0]["outcome"] == "created"
    assert database.payment()["payment_status"] == "DONE"


def test_two_batches_in_opposite_orders_do_not_deadlock(
    database: Database, second: Database, observer: psycopg.Connection[Any]
) -> None:
    events = [payment_event("DONE", 10, order=f"order-{number}", key=f"key-{number}") for number in range(10)]
    with database.connection.transaction():
        database.record(*events[:5])
        other = Step(second, *reversed(events))
        assert other.is_waiting(observer)
        database.record(*events[:5])
    assert [outcome["outcome"] for outcome in other.finish()] == ["created"] * 5 + ["duplicate"] * 5


def test_what_the_application_writes_meanwhile_is_not_lost(
    database: Database, second: Database, observer: psycopg.Connection[Any]
) -> None:
    database.insert_payment()
    with database.connection.transaction():
        database.connection.execute("update payments set amount = 12345")
        other = Step(second, payment_event("DONE", 10))
        assert other.is_waiting(observer)
    assert other.finish()[0]["reason"] == "amount_mismatch"
    assert (database.payment()["amount"], database.payment()["payment_status"]) == (12345, "PENDING")


def test_what_the_application_inserts_meanwhile_is_not_lost(
    database: Database, second: Database, observer: psycopg.Connection[Any]
) -> None:
    with database.connection.transaction():
        database.insert_payment(amount=12345)
        other = Step(second, payment_event("DONE", 10))
        assert other.is_waiting(observer)
    assert other.finish()[0]["reason"] == "amount_mismatch"
    assert (database.payment()["amount"], database.payment()["payment_status"]) == (12345, "PENDING")


@pytest.mark.parametrize("is_one_batch", [True, False])
def test_a_row_that_appears_while_a_batch_waits_keeps_its_price(
    database: Database, second: Database, observer: psycopg.Connection[Any], is_one_batch: bool
) -> None:
    events = [payment_event("WAITING_FOR_DEPOSIT", 0, totalAmount=100), payment_event("DONE", 10, totalAmount=100)]
    neighbour = payment_event("DONE", 10, order="order-2", key="key-2")
    with database.connection.transaction():
        database.insert_payment(amount=9900)
        other = Step(second, neighbour, *(events if is_one_batch else events[1:]))
        assert other.is_waiting(observer)
    reasons = [(outcome["status"], outcome["reason"]) for outcome in other.finish()]
    assert reasons[-1] == ("failed", "amount_mismatch")
    assert set(reasons[:-1]) == {("processed", None)}
    payment = database.payment()
    assert (payment["amount"], payment["application_state"]["amount"]) == (9900, 9900)
    assert payment["payment_status"] == ("WAITING_FOR_DEPOSIT" if is_one_batch else "PENDING")
    assert database.payment("order-2")["payment_status"] == "DONE"


def test_a_billing_key_is_deleted_while_the_next_one_is_issued(
    database: Database, second: Database, observer: psycopg.Connection[Any]
) -> None:
    issued = [
        {
            "eventType": "BILLING_KEY_ISSUED",
            "data": {"billingKey": f"bk-{n}", "customerKey": "c", "issuedAt": f"2026-01-0{n}T00:00:00Z"},
        }
        for n in (1, 2)
    ]
    deleted = {"eventType": "BILLING_DELETED", "createdAt": "2026-01-03T00:00:00", "data": {"billingKey": "bk-1"}}
    database.record(issued[0])
    with database.connection.transaction():
        database.record(issued[1])
        other = Step(second, deleted)
        assert other.is_waiting(observer)
    other.finish()
    assert database.rows("select billing_key, status from subscriptions") == [
        {"billing_key": "bk-2", "status": "ACTIVE"}
    ]


def test_an_event_without_an_order_and_the_one_that_names_it(
    database: Database, second: Database, observer: psycopg.Connection[Any]
) -> None:
    with database.connection.transaction():
        database.record(payment_event("CANCELED", 20, order=""))
        other = Step(second, payment_event("DONE", 10))
        assert other.is_waiting(observer)
    other.finish()
    assert database.payment()["payment_status"] == "CANCELED"
    assert database.rows("select 1 from webhook_events where status <> 'processed'") == []


def test_two_keys_issued_at_once_make_one_live_subscription(
    database: Database, second: Database, observer: psycopg.Connection[Any]
) -> None:
    events = [
        {
            "eventType": "BILLING_KEY_ISSUED",
            "data": {"billingKey": f"bk-{n}", "customerKey": "c", "issuedAt": f"2026-01-0{n}T00:00:00Z"},
        }
        for n in (1, 2)
    ]
    with database.connection.transaction():
        database.record(events[1])
        other = Step(second, events[0])
        assert other.is_waiting(observer)
    other.finish()
    assert database.rows("select billing_key, status from subscriptions") == [
        {"billing_key": "bk-2", "status": "ACTIVE"}
    ]
