"""Claiming and settling of pending events: leases, several workers, what a settlement may change."""

import json
from collections.abc import Iterator
from typing import Any, cast

import psycopg
import pytest

from tests.database.support import Database, Row, at, payment_event, record_of


def deposit(number: int = 1) -> Row:
    return {
        "eventType": "VIRTUAL_ACCOUNT_DEPOSIT",
        "data": {
            "paymentKey": f"key-{number}",
            "orderId": f"order-{number}",
            "secret": "s",
            "depositedAt": at(number, offset=True),
        },
    }


@pytest.fixture
def second(database: Database) -> Iterator[Database]:
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        yield Database(connection, database.dsn)


def claim(database: Database, limit: int = 10, lease_seconds: int = 60) -> list[Row]:
    return cast("list[Row]", database.call("select claim_webhook_events_v1(%s, %s)", limit, lease_seconds))


def settle(database: Database, claimed: Row, **settlement: Any) -> Row:
    text = json.dumps({"event": claimed["id"], "lease": claimed["lease"], **settlement})
    return cast("Row", database.call("select finish_webhook_event_v1(%s)", text))


DONE = {"kind": "payment", "status": "DONE", "amount": "10000", "approved_at": "2026-03-14T00:00:10+00:00"}


def test_a_claimed_event_is_nobody_else_s(database: Database, second: Database) -> None:
    database.record(deposit(1), deposit(2))
    first = claim(database, 1)
    other = claim(second)
    assert sorted(event["order_id"] for event in first + other) == ["order-1", "order-2"]
    assert claim(database) == claim(second) == []
    assert first[0]["attempts"] == 1


def test_a_claim_says_whose_the_order_is(database: Database) -> None:
    database.record(payment_event("WAITING_FOR_DEPOSIT", 1, key="key-1", order="order-1", mId="mid-a"))
    database.record(deposit(1), deposit(2))
    assert {event["order_id"]: event["merchant_id"] for event in claim(database)} == {
        "order-1": "mid-a",
        "order-2": None,
    }


def test_a_claim_says_which_trace_the_last_delivery_left(database: Database) -> None:
    first, second = f"00-{'a' * 32}-{'b' * 16}-01", f"00-{'c' * 32}-{'d' * 16}-00"
    database.record(deposit(2))
    for traceparent in (first, second):
        database.record_records([{**record_of(deposit(1)), "traceparent": traceparent}])
    database.record(deposit(1))  # by a process without traces
    assert {event["order_id"]: event["traceparent"] for event in claim(database)} == {
        "order-1": second,
        "order-2": None,
    }


def test_claiming_passes_over_what_another_is_claiming(database: Database, second: Database) -> None:
    database.record(deposit(1), deposit(2))
    with database.connection.transaction():
        assert len(claim(database, 1)) == 1
        assert len(claim(second)) == 1


def test_an_expired_lease_is_free_again_and_the_first_holder_has_lost(database: Database) -> None:
    database.record(deposit())
    (slow,) = claim(database, lease_seconds=0)
    (quick,) = claim(database)
    assert settle(database, slow, status="failed", last_error="late") == {"outcome": "lost"}
    assert settle(database, quick, status="processed", change=DONE)["status"] == "processed"
    assert database.payment()["payment_status"] == "DONE"


def test_a_settled_event_is_applied_with_what_toss_said(database: Database) -> None:
    database.record(deposit())
    (claimed,) = claim(database)
    settled = settle(database, claimed, status="processed", change=DONE, occurred_at="2026-03-14T00:01:00+00:00")
    assert settled == {"outcome": "finished", "status": "processed", "reason": None}
    (event,) = database.rows(
        "select processed, processed_at is not null as timed, reason, lease_token from webhook_events"
    )
    assert event == {"processed": True, "timed": True, "reason": None, "lease_token": None}
    assert database.payment()["amount"] == 10000
    assert settle(database, claimed, status="failed") == {"outcome": "lost"}


def test_a_settlement_that_contradicts_the_application_fails(database: Database) -> None:
    database.insert_payment(amount=9900)
    database.record(deposit())
    (claimed,) = claim(database)
    assert claimed["amount"] == "9900"
    assert settle(database, claimed, status="processed", change=DONE)["reason"] == "amount_mismatch"
    assert database.payment()["payment_status"] == "PENDING"


def test_a_settlement_that_the_tables_refuse_fails(database: Database) -> None:
    database.insert_payment(order_id="order-9", payment_key="key-1")
    database.record(deposit())
    (claimed,) = claim(database)
    settled = settle(database, claimed, status="processed", change=DONE)
    assert (settled["status"], settled["reason"]) == ("failed", "refused_by_database")


def test_a_retry_waits_its_time_and_keeps_its_reason(database: Database) -> None:
    database.record(deposit())
    (claimed,) = claim(database)
    settle(database, claimed, status="pending", last_error="no answer", delay_seconds=3600)
    assert claim(database) == []
    (event,) = database.rows(
        "select status, reason, last_error, next_attempt_at > now() + interval '59 min' as late from webhook_events"
    )
    assert event == {"status": "pending", "reason": "check_deposit", "last_error": "no answer", "late": True}


def test_a_duplicate_wakes_a_waiting_event(database: Database) -> None:
    database.record(deposit())
    (claimed,) = claim(database)
    settle(database, claimed, status="pending", delay_seconds=3600)
    database.record(deposit())
    assert [event["id"] for event in claim(database)] == [claimed["id"]]


def test_a_delivery_that_finishes_an_event_takes_it_from_its_worker(database: Database) -> None:
    event = payment_event("CANCELED", 40, order="")
    database.record(event)
    (claimed,) = claim(database)
    database.record(payment_event("DONE", 10))
    assert settle(database, claimed, status="failed", last_error="late") == {"outcome": "lost"}
    assert database.payment()["payment_status"] == "CANCELED"


def test_known_keys(database: Database) -> None:
    cancels = [{"transactionKey": "t-1", "cancelRequestId": "creq-1", "cancelAmount": 1}]
    database.record(payment_event("PARTIAL_CANCELED", 10, cancels=cancels), payment_event("ABORTED", 5, key="key-0"))
    database.record({"eventType": "BILLING_KEY_ISSUED", "data": {"billingKey": "bk-1", "customerKey": "c"}})
    database.insert_payment(order_id="order-2", payment_key="placeholder-2")
    query = "select read_known_keys_v1(%s, %s, %s, %s)"
    assert database.call(query, "order-1", "bk-1", "t-1", None) == {
        "payment_keys": ["key-1", "key-0"],
        "paid_keys": [],
        "row_payment_key": "key-1",
        "holds_billing_key": True,
        "cancel_payment_key": "key-1",
    }
    assert database.call(query, None, None, None, "creq-1")["cancel_payment_key"] == "key-1"
    assert database.call(query, "order-2", "bk-2", "t-2", None) == {
        "payment_keys": [],
        "paid_keys": [],
        "row_payment_key": "placeholder-2",
        "holds_billing_key": False,
        "cancel_payment_key": None,
    }


def test_a_payment_that_was_ever_shown_as_paid_is_a_paid_key(database: Database) -> None:
    database.record(
        payment_event("DONE", 10), payment_event("WAITING_FOR_DEPOSIT", 20), payment_event("ABORTED", 5, key="k")
    )
    assert database.call("select read_known_keys_v1('order-1', null, null, null)")["paid_keys"] == ["key-1"]


def test_a_payment_key_that_nothing_proves_is_not_known(database: Database) -> None:
    database.connection.execute(
        """insert into webhook_events (event_type, payment_key, order_id, payload)
           values ('PAYMENT_STATUS_CHANGED', 'key-x', 'order-1', '{}')"""
    )
    assert database.call("select read_known_keys_v1('order-1', null, null, null)")["payment_keys"] == []


def test_known_orders(database: Database) -> None:
    database.record(payment_event("DONE", 10))
    database.insert_payment(order_id="order-2", payment_key="placeholder-2")
    database.connection.execute(
        """insert into webhook_events (event_type, payment_key, order_id, payload)
           values ('PAYMENT_STATUS_CHANGED', 'key-x', 'order-3', '{}')"""
    )
    query = "select supatoss_known_orders_v1(%s)"
    asked = ["order-1", "order-2", "order-3", "nobody-s", "order-2'", '"', "주문"]
    assert sorted(database.call(query, json.dumps(asked))) == ["order-1", "order-2"]
    assert database.call(query, "[]") == []


def test_a_claimed_event_says_what_was_claimed_and_since_when_it_waits(database: Database) -> None:
    kept: Row = {"status": "DONE", "secret_digest": None, "cancels": [], "created_at": None}
    database.record_records([record_of(deposit()) | {"claim": kept}])
    (claimed,) = claim(database)
    assert claimed["claim"] == kept
    assert 0 <= claimed["waited_seconds"] < 60


def test_an_event_with_nothing_to_apply_can_be_finished(database: Database) -> None:
    database.record_records([record_of(deposit()) | {"change": None, "reason": "toss_disagrees"}])
    (claimed,) = claim(database)
    assert settle(database, claimed, status="processed") == {
        "outcome": "finished",
        "status": "processed",
        "reason": None,
    }
    assert database.rows("select 1 from payments") == []


def test_overdue_accounts(database: Database) -> None:
    dates = {
        "late": "2026-03-20T09:00:00",
        "zoned": "2026-03-20T08:59:00+09:00",
        "future": "2999-01-01T00:00:00",
        "odd": "soon",
    }
    for name, date in dates.items():
        database.record(payment_event("WAITING_FOR_DEPOSIT", 0, order=name, key=name, virtualAccount={"dueDate": date}))
    overdue = database.call("select supatoss_overdue_accounts_v1(10)")
    assert [account["order_id"] for account in overdue] == ["zoned", "late"]


def test_no_index_has_a_list_of_pending_entries(database: Database) -> None:
    """The recording that finds such a list full works it off, while all others wait for it."""
    rows = database.rows(
        "select c.relname, c.reloptions from pg_class c join pg_am a on a.oid = c.relam"
        " where a.amname = 'gin' and c.relnamespace in ('public'::regnamespace, 'supatoss'::regnamespace)"
    )
    assert [row["relname"] for row in rows if "fastupdate=off" not in (row["reloptions"] or [])] == []
    assert rows != []
