"""Old payloads go; what they meant, and that they came, stays."""

import itertools

import psycopg
import pytest

from tests.database.support import Database, Row, cancel, payment_event


def empty(database: Database, days: int = 365, batch: int = 100) -> int:
    return int(database.call("select supatoss_empty_payloads_v1(%s, %s)", days, batch))


def age(database: Database, condition: str = "true") -> None:
    database.connection.execute(f"update webhook_events set created_at = now() - interval '366 days' where {condition}")


def deposit() -> Row:
    return {
        "eventType": "VIRTUAL_ACCOUNT_DEPOSIT",
        "data": {"paymentKey": "key-7", "orderId": "order-7", "secret": "s"},
    }


def test_only_old_and_finished_events_of_ours_are_emptied(database: Database) -> None:
    database.insert_payment(order_id="order-2", payment_key="placeholder-2", amount=1)
    database.record(
        payment_event("DONE", 1),  # processed
        {"eventType": "SOMETHING_NEW", "data": {"name": "홍길동"}},  # ignored
        deposit(),  # pending
        payment_event("DONE", 2, order="order-2", key="key-2"),  # failed: amount_mismatch
    )
    database.connection.execute("insert into webhook_events (event_type, payload) values ('OLD', '{\"a\": 1}')")
    age(database)
    database.record(payment_event("DONE", 3, order="order-3", key="key-3"))
    assert empty(database) == 2
    assert empty(database) == 0
    rows = database.rows("select status, payload = '{}' as is_empty, payload_emptied_at from webhook_events")
    assert sorted((row["status"], row["is_empty"]) for row in rows) == [
        ("failed", False),
        ("ignored", False),
        ("ignored", True),
        ("pending", False),
        ("processed", False),
        ("processed", True),
    ]
    assert all((row["payload_emptied_at"] is not None) == row["is_empty"] for row in rows)


def test_batches_are_bounded_and_oldest_first(database: Database) -> None:
    database.record(*(payment_event("DONE", second, order=f"o-{second}", key=f"k-{second}") for second in range(5)))
    age(database)
    database.connection.execute(
        "update webhook_events set created_at = created_at - interval '1 day' where order_id = 'o-3'"
    )
    assert empty(database, batch=1) == 1
    assert database.rows("select order_id from webhook_events where payload = '{}'") == [{"order_id": "o-3"}]
    assert [empty(database, batch=2) for _ in range(3)] == [2, 2, 0]


@pytest.mark.usefixtures("commits")
def test_a_row_that_somebody_is_writing_is_passed_over(database: Database) -> None:
    database.record(payment_event("DONE", 1), payment_event("DONE", 2, order="order-2", key="key-2"))
    age(database)
    with psycopg.connect(database.dsn) as other:
        other.execute("update webhook_events set delivery_count = 2 where order_id = 'order-1'")
        assert empty(database) == 1
        other.rollback()
    assert empty(database) == 1


@pytest.mark.parametrize("days", [-1, 0, 29])
def test_less_than_a_month_is_refused(database: Database, days: int) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        empty(database, days=days)


def test_a_late_duplicate_of_an_emptied_event_is_a_duplicate(database: Database) -> None:
    event = payment_event("DONE", 1)
    database.record(event)
    age(database)
    empty(database)
    before = database.projection()
    (outcome,) = database.record(event)
    assert (outcome["outcome"], outcome["status"]) == ("duplicate", "processed")
    (row,) = database.rows("select delivery_count, payload from webhook_events")
    assert row == {"delivery_count": 2, "payload": {}}
    assert database.projection() == before


STORY = (
    payment_event("WAITING_FOR_DEPOSIT", 1, virtualAccount={"accountNumber": "X1", "dueDate": "2026-03-20T00:00:00"}),
    payment_event("DONE", 10, secret="ps_1", receipt={"url": "https://receipt.test"}),
    payment_event(
        "PARTIAL_CANCELED",
        20,
        approvedAt="2026-03-14T09:00:10+09:00",
        balanceAmount=7000,
        cancels=[cancel("t-1", 3000, 20)],
    ),
    payment_event("CANCELED", 30, balanceAmount=0, cancels=[cancel("t-1", 3000, 20), cancel("t-2", 7000, 30)]),
    payment_event("ABORTED", 5, key="key-0", failure={"code": "REJECT_CARD_COMPANY", "message": "거절"}),
)


@pytest.mark.parametrize("late", range(len(STORY)))
def test_a_late_event_folds_the_same_over_emptied_ones(database: Database, late: int) -> None:
    database.record(*STORY)
    expected = database.projection()
    database.clear()
    others = [event for number, event in enumerate(STORY) if number != late]
    database.record(*others)
    age(database)
    assert empty(database) == len(others)
    database.record(STORY[late])
    assert database.projection() == expected


def test_a_late_event_that_names_no_payment_still_finds_its_attempt(database: Database) -> None:
    first, second = payment_event("DONE", 10), payment_event("ABORTED", 5, key="key-0")
    nameless = {
        "eventType": "PAYMENT_STATUS_CHANGED",
        "createdAt": "2026-03-14T09:00:40.000000",
        "data": {"orderId": "order-1", "status": "CANCELED"},
    }
    projections = []
    for is_emptied in (False, True):
        database.clear()
        database.record(first, second)
        if is_emptied:
            age(database)
            assert empty(database) == 2
        database.record(nameless)
        projections.append(database.projection())
    assert projections[0] == projections[1]
    assert projections[0][0]["payment_status"] == "CANCELED"


def test_billing_keys_of_emptied_events_are_still_held(database: Database) -> None:
    issued = {"eventType": "BILLING_KEY_ISSUED", "data": {"billingKey": "bk-1", "customerKey": "c-1"}}
    database.record(issued)
    age(database)
    assert empty(database) == 1
    known = database.call("select read_known_keys_v1(null, 'bk-1', null, null)")
    assert known["holds_billing_key"] is True
    database.record({"eventType": "BILLING_KEY_DELETED", "data": {"billingKey": "bk-1", "customerKey": "c-1"}})
    (row,) = database.rows("select status from subscriptions")
    assert row == {"status": "CANCELED"}


def test_due_payloads_are_found_by_index(database: Database) -> None:
    database.record(*(payment_event("DONE", n, order=f"o-{n}", key=f"k-{n}") for n in range(20)))
    database.connection.execute("set enable_seqscan = off")
    plan = database.rows(
        """explain select id from webhook_events where created_at < now() - make_interval(days => 365)
           and payload_emptied_at is null and status in ('processed', 'ignored') and event_key is not null
           order by created_at limit 10"""
    )
    database.connection.execute("reset enable_seqscan")
    assert "webhook_events_retention_idx" in "".join(
        itertools.chain.from_iterable(map(str, row.values()) for row in plan)
    )
