"""Replay and ignore on a real PostgreSQL: effects stay single, money is not taken back, leases are respected."""

import asyncio
import json
import random
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from supatoss.cli.replay import told
from supatoss.errors import NotAllowed
from supatoss.inbox.actions import Selection, ignore, select
from supatoss.inbox.replay import replay
from supatoss.store.events import EventFilter, EventOutcome, PaymentState
from tests.database.store import DatabaseStore
from tests.database.support import Database, Row, cancel, payment_event, record_of
from tests.database.test_worker_functions import DONE, claim, deposit, settle

ALL = ("processed", "ignored", "pending", "failed")
PROJECTIONS = ("payments", "subscriptions", "settlements")


@pytest.fixture
def second(database: Database) -> Iterator[Database]:
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        yield Database(connection, database.dsn)


def replayed(database: Database, ids: list[str], *, dry_run: bool = False) -> list[EventOutcome]:
    return asyncio.run(replay(DatabaseStore(database), ids, actor="김운영", dry_run=dry_run))


def ignored(database: Database, ids: list[str], reason: str = "토스에서 환불함", **more: Any) -> list[EventOutcome]:
    return asyncio.run(ignore(DatabaseStore(database), ids, reason, actor="김운영", dry_run=more.get("dry_run", False)))


def selected(database: Database, wanted: EventFilter, limit: int = 100) -> Selection:
    return asyncio.run(select(DatabaseStore(database), wanted, limit))


def ids(database: Database, where: str = "true") -> list[str]:
    return [str(row["id"]) for row in database.rows(f"select id from webhook_events where {where} order by created_at")]


def only(database: Database, columns: str) -> Row:
    (row,) = database.rows(f"select {columns} from webhook_events")
    return row


def tables(database: Database) -> dict[str, list[Row]]:
    """Every projection, and the verdict on every event, without what differs from run to run."""
    found = {
        name: [
            {column: value for column, value in row.items() if column != "updated_at"}
            for row in database.rows(f"select * from {name} order by created_at, md5({name}::text)")
        ]
        for name in PROJECTIONS
    }
    found["events"] = database.rows(
        """select event_key, status, reason, processed, processed_at, change, payment_key, order_id, occurred_at,
                  last_error, delivery_count from webhook_events order by event_key"""
    )
    return found


def billing(kind: str, key: str, day: int) -> Row:
    name = "issuedAt" if kind == "ISSUED" else "deletedAt"
    data = {"billingKey": key, "customerKey": "c-1", name: f"2026-03-{day:02}T09:00:00+09:00"}
    return {"eventType": f"BILLING_KEY_{kind}", "data": data}


MIXED = [
    payment_event("WAITING_FOR_DEPOSIT", 0, secret="ps_1"),
    payment_event("DONE", 10, secret="ps_1"),
    payment_event("PARTIAL_CANCELED", 20, cancels=[cancel("t-1", 4000, 20)], balanceAmount=6000),
    payment_event("ABORTED", 1, order="order-2", key="key-2a", failure={"code": "REJECT", "message": "한도 초과"}),
    payment_event("DONE", 5, order="order-2", key="key-2b"),
    payment_event("DONE", 6, order="order-2", key="key-2c"),
    payment_event("CANCELED", 9, order="", key="key-2b"),
    payment_event("DONE", 7, order="order-3", key="key-3", totalAmount=1),
    deposit(4),
    billing("ISSUED", "bk-1", 1),
    billing("ISSUED", "bk-2", 5),
    billing("DELETED", "bk-1", 6),
    {
        "eventType": "SETTLEMENT_COMPLETED",
        "data": {"paymentKey": "key-1", "amount": 5800, "settledAt": "2026-03-20T00:00:00Z"},
    },
    {"eventType": "SOMETHING_NEW", "data": {"값": 1}},
    {"eventType": "PAYMENT_STATUS_CHANGED", "data": {"status": "DONE", "totalAmount": "9,900"}},
]


@pytest.mark.parametrize("seed", range(6))
def test_replaying_everything_twice_in_any_order_changes_nothing(database: Database, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - an order, not a secret
    database.insert_payment(order_id="order-3", payment_key="placeholder-3", amount=30000)
    for body in dice.sample(MIXED, len(MIXED)):
        database.record(body)
    before = tables(database)
    assert {row["status"] for row in before["events"]} == set(ALL)
    for _ in range(2):
        order = ids(database)
        dice.shuffle(order)
        outcomes = replayed(database, order)
        assert {outcome.outcome for outcome in outcomes} <= {"replayed", "unchanged"}
        assert tables(database) == before


def test_an_amount_that_the_application_corrected_ends_processed(database: Database) -> None:
    database.insert_payment(amount=9900)
    database.record(payment_event("DONE", 10))
    assert only(database, "status, reason") == {"status": "failed", "reason": "amount_mismatch"}
    (again,) = replayed(database, ids(database))
    assert (again.status, again.reason) == ("failed", "amount_mismatch")
    database.connection.execute("update payments set amount = 10000")
    (outcome,) = replayed(database, ids(database))
    assert (outcome.outcome, outcome.status, outcome.reason) == ("replayed", "processed", None)
    assert (database.payment()["payment_status"], database.payment()["amount"]) == ("DONE", 10000)


def test_a_rehearsal_says_what_would_come_of_it_and_changes_nothing(database: Database) -> None:
    database.insert_payment(amount=9900)
    database.record(payment_event("DONE", 10), deposit(2))
    database.connection.execute("update payments set amount = 10000")
    before = tables(database)
    outcomes = replayed(database, ids(database), dry_run=True)
    assert sorted((outcome.outcome, outcome.status) for outcome in outcomes) == [
        ("replayed", "pending"),
        ("replayed", "processed"),
    ]
    assert tables(database) == before
    assert database.rows("select 1 from supatoss.operator_actions") == []


def test_an_amount_mismatch_of_a_deposit_counts_with_toss_s_stored_answer(database: Database) -> None:
    database.insert_payment(amount=9900)
    database.record(deposit())
    (claimed,) = claim(database)
    settle(database, claimed, status="processed", change=DONE)
    assert only(database, "reason") == {"reason": "amount_mismatch"}
    database.connection.execute("update payments set amount = 10000")
    (outcome,) = replayed(database, ids(database))
    assert (outcome.status, outcome.reason) == ("processed", None)
    assert database.payment()["payment_status"] == "DONE"


def test_an_event_that_gave_up_asking_waits_for_toss_again_from_its_first_attempt(database: Database) -> None:
    database.record(deposit())
    (claimed,) = claim(database)
    error = "Toss, confirm: PROVIDER_ERROR (HTTP 400)"
    settle(database, claimed, status="failed", reason="unavailable", last_error=error)
    (outcome,) = replayed(database, ids(database))
    assert (outcome.outcome, outcome.status, outcome.reason) == ("replayed", "pending", "check_deposit")
    assert only(database, "attempts, last_error, processed") == {"attempts": 0, "last_error": error, "processed": False}
    (again,) = claim(database)
    assert (again["attempts"], again["last_error"]) == (1, error)
    settle(database, again, status="processed", change=DONE)
    assert database.payment()["payment_status"] == "DONE"


def test_a_processed_deposit_stays_processed_and_keeps_what_toss_said(database: Database) -> None:
    database.record(deposit())
    (claimed,) = claim(database)
    settle(database, claimed, status="processed", change=DONE)
    before = tables(database)
    assert replayed(database, ids(database))[0].status == "processed"
    assert tables(database) == before


def test_what_was_recorded_by_toss_s_answer_is_not_read_from_the_body(database: Database) -> None:
    record = record_of(payment_event("DONE", 10, totalAmount=1))
    record |= {"proof": "toss_api", "change": {**record["change"], "amount": "10000"}}
    database.insert_payment(amount=9900)
    database.record_records([record])
    database.connection.execute("update payments set amount = 10000")
    assert replayed(database, ids(database))[0].status == "processed"
    assert (database.payment()["amount"], database.payment()["payment_status"]) == (10000, "DONE")


def test_a_type_that_is_known_by_now_gets_its_effect(database: Database) -> None:
    record = record_of(payment_event("DONE", 10))
    record |= {"status": "ignored", "reason": "unknown_type", "change": None, "order_id": None, "payment_key": None}
    database.record_records([record])
    assert database.rows("select 1 from payments") == []
    event_key = only(database, "event_key")
    (outcome,) = replayed(database, ids(database))
    assert (outcome.outcome, outcome.status) == ("replayed", "processed")
    assert database.payment()["payment_status"] == "DONE"
    assert only(database, "event_key") == event_key
    database.record(payment_event("DONE", 10))
    assert only(database, "delivery_count") == {"delivery_count": 2}


def test_a_paused_subscription_is_not_woken(database: Database) -> None:
    database.record(billing("ISSUED", "bk-1", 1))
    database.connection.execute("update subscriptions set status = 'PAUSED'")
    (outcome,) = replayed(database, ids(database))
    assert (outcome.outcome, outcome.status) == ("unchanged", "processed")
    assert database.rows("select status from subscriptions") == [{"status": "PAUSED"}]


def test_an_event_that_a_worker_has_in_hand_is_left_to_it(database: Database) -> None:
    database.record(deposit())
    (claimed,) = claim(database)
    assert replayed(database, ids(database))[0].outcome == "in_hand"
    assert ignored(database, ids(database))[0].outcome == "in_hand"
    assert settle(database, claimed, status="processed", change=DONE)["status"] == "processed"
    assert database.payment()["payment_status"] == "DONE"


def test_an_event_that_was_finished_meanwhile_is_left_alone(database: Database) -> None:
    database.insert_payment(amount=9900)
    database.record(payment_event("DONE", 10))
    database.connection.execute("update payments set amount = 10000")
    store = DatabaseStore(database)
    find = store.find_events

    async def find_and_be_late(*arguments: Any, **more: Any) -> Any:
        page = await find(*arguments, **more)
        database.record(payment_event("DONE", 10))
        return page

    store.find_events = find_and_be_late  # type: ignore[method-assign]
    (outcome,) = asyncio.run(replay(store, ids(database), actor="a", dry_run=False))
    assert (outcome.outcome, outcome.status) == ("changed", "processed")
    assert database.rows("select 1 from supatoss.operator_actions") == []


def test_two_replays_at_once_apply_once(database: Database, second: Database) -> None:
    database.insert_payment(amount=9900)
    database.record(payment_event("DONE", 10))
    database.connection.execute("update payments set amount = 10000")
    event = ids(database)
    late: list[EventOutcome] = []
    other = threading.Thread(target=lambda: late.extend(replayed(second, event)), daemon=True)
    with database.connection.transaction(), psycopg.connect(database.dsn, autocommit=True) as observer:
        assert replayed(database, event)[0].status == "processed"
        other.start()
        waiting = "select wait_event_type = 'Lock' from pg_stat_activity where pid = %s"
        while other.is_alive():
            if observer.execute(waiting, [second.connection.info.backend_pid]).fetchone() == (True,):
                break
    other.join(20)
    assert [(outcome.outcome, outcome.status) for outcome in late] == [("changed", "processed")]
    assert database.rows("select actor, action, status_before, status_after from supatoss.operator_actions") == [
        {"actor": "김운영", "action": "replay", "status_before": "failed", "status_after": "processed"}
    ]


def test_a_change_that_the_tables_refuse_fails_alone(database: Database) -> None:
    database.insert_payment(order_id="order-x", payment_key="key-1")
    database.record(payment_event("DONE", 10), payment_event("DONE", 10, order="order-2", key="key-2"))
    refused, good = ids(database, "order_id = 'order-1'"), ids(database, "order_id = 'order-2'")
    outcomes = replayed(database, refused + good)
    assert [(outcome.status, outcome.reason) for outcome in outcomes] == [
        ("failed", "refused_by_database"),
        ("processed", None),
    ]
    database.connection.execute("update payments set payment_key = 'mended' where order_id = 'order-x'")
    assert replayed(database, refused)[0].status == "processed"


def test_what_nobody_vouched_for_or_has_no_payload_is_refused(database: Database) -> None:
    database.record(payment_event("DONE", 10))
    database.connection.execute("update webhook_events set payload = '{}'")
    database.connection.execute(
        """insert into webhook_events (event_type, payload)
           values ('PAYMENT_STATUS_CHANGED', '{"data": {"orderId": "order-9", "status": "DONE"}}')"""
    )
    before = tables(database)
    outcomes = replayed(database, ids(database))
    assert {(outcome.outcome, outcome.reason) for outcome in outcomes} == {
        ("refused", "payload_emptied"),
        ("refused", "no_proof"),
    }
    assert tables(database) == before


def test_a_body_that_jsonb_could_not_hold_is_read_from_its_text(database: Database) -> None:
    record = record_of(payment_event("DONE", 10))
    record["payload"] = record["payload"].replace("10000", "1e200000")
    database.record_records([record])
    (outcome,) = replayed(database, ids(database))
    assert (outcome.outcome, outcome.status, outcome.reason) == ("replayed", "failed", "malformed")


def test_an_ignored_event_keeps_its_error_and_says_who_and_why(database: Database) -> None:
    database.insert_payment(amount=9900)
    database.record(payment_event("DONE", 10))
    before = database.projection()
    (outcome,) = ignored(database, ids(database))
    assert (outcome.outcome, outcome.status, outcome.reason) == ("ignored", "ignored", "operator")
    row = only(database, "processed, processed_at is not null as timed, last_error")
    assert (row["processed"], row["timed"]) == (True, True)
    assert row["last_error"].startswith("Toss reports 10000 KRW")
    assert row["last_error"].endswith("\nignored by 김운영: 토스에서 환불함")
    assert database.projection() == before
    assert database.rows(
        "select actor, action, reason, status_before, status_after from supatoss.operator_actions"
    ) == [
        {
            "actor": "김운영",
            "action": "ignore",
            "reason": "토스에서 환불함",
            "status_before": "failed",
            "status_after": "ignored",
        }
    ]
    assert ignored(database, ids(database))[0].outcome == "unchanged"
    database.record(payment_event("DONE", 10))
    assert only(database, "status") == {"status": "ignored"}


def test_an_ignored_event_can_be_taken_up_again(database: Database) -> None:
    database.insert_payment(amount=9900)
    database.record(payment_event("DONE", 10))
    ignored(database, ids(database))
    database.connection.execute("update payments set amount = 10000")
    assert replayed(database, ids(database))[0].status == "processed"
    assert database.payment()["payment_status"] == "DONE"


def test_an_effect_that_counts_cannot_be_ignored(database: Database) -> None:
    database.record(payment_event("DONE", 10))
    before = tables(database)
    assert ignored(database, ids(database))[0].outcome == "unchanged"
    assert tables(database) == before


def test_a_rehearsed_ignore_changes_nothing(database: Database) -> None:
    database.record(deposit())
    before = tables(database)
    assert ignored(database, ids(database), dry_run=True)[0].status == "ignored"
    assert tables(database) == before
    assert database.rows("select 1 from supatoss.operator_actions") == []


@pytest.mark.parametrize("reason", ["", "  \n ", "가" * 501, "a\x00b"])
def test_ignoring_needs_a_reason(database: Database, reason: str) -> None:
    database.record(deposit())
    with pytest.raises(NotAllowed):
        ignored(database, ids(database), reason)
    with pytest.raises((psycopg.errors.CheckViolation, psycopg.DataError)):
        database.call("select ignore_webhook_events_v1(%s, %s, 'a', false)", json.dumps(ids(database)), reason)
    assert only(database, "status") == {"status": "pending"}


def test_an_approval_that_was_refused_for_its_amount_never_counts_as_paid(database: Database) -> None:
    database.insert_payment(amount=9900)
    database.record(deposit())
    (claimed,) = claim(database)
    settle(database, claimed, status="failed", reason="approval_amount_mismatch", last_error="Toss reports 10000")
    database.record(payment_event("IN_PROGRESS", 5))
    assert database.payment()["payment_status"] == "IN_PROGRESS"
    (outcome,) = replayed(database, [str(claimed["id"])])
    assert (outcome.status, outcome.reason) == ("pending", "check_deposit")


def test_a_replay_says_what_becomes_of_the_payment(database: Database) -> None:
    database.connection.execute(
        "insert into payments (order_id, payment_key, order_name, amount, payment_status)"
        " values ('order-1', 'placeholder', '주문', 1, 'PENDING')"
    )
    database.record(payment_event("DONE", 1))
    database.connection.execute(
        'update webhook_events set change = change || \'{"amount": "9900"}\', '
        "payload = jsonb_set(payload, '{data,totalAmount}', '9900')"
    )
    database.connection.execute("update payments set amount = 9900 where order_id = 'order-1'")
    for dry_run in (True, True, False):
        (outcome,) = replayed(database, ids(database), dry_run=dry_run)
        assert (outcome.outcome, outcome.status) == ("replayed", "processed")
        assert outcome.payment_before == PaymentState("PENDING", "9900", "KRW")
        assert outcome.payment_after == PaymentState("DONE", "9900", "KRW")
        assert told(outcome, is_applied=False) == "would become processed; payment PENDING → DONE, ₩9,900"
        assert told(outcome, is_applied=True) == "processed; payment PENDING → DONE, ₩9,900"


def test_a_replay_of_what_has_no_payment_says_nothing_of_one(database: Database) -> None:
    database.record({"eventType": "PROMOTION_CHANGED", "data": {}})
    (outcome,) = replayed(database, ids(database), dry_run=True)
    assert (outcome.payment_before, outcome.payment_after) == (None, None)
