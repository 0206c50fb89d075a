"""record_webhook_events_v1: one transaction, one outcome an event, nobody suffers for a neighbour."""

import itertools

import psycopg
import pytest

from tests.database.support import Database, Row, at, payment_event, record_of


def test_outcomes_come_in_the_order_given(database: Database) -> None:
    events = [payment_event("DONE", 10, order=f"order-{number}", key=f"key-{number}") for number in range(20)]
    records = [record_of(event) for event in events]
    outcomes = database.record_records([*records, records[3]])
    assert [outcome["event_key"] for outcome in outcomes] == [record["event_key"] for record in [*records, records[3]]]
    assert [outcome["outcome"] for outcome in outcomes] == ["created"] * 20 + ["duplicate"]


def test_no_events_are_no_outcomes(database: Database) -> None:
    assert database.record_records([]) == []


def test_duplicates_are_counted_and_change_nothing(database: Database) -> None:
    event = payment_event("DONE", 10)
    first = database.record(event)
    before = database.payment()
    for _ in range(3):
        (outcome,) = database.record(event)
        assert (outcome["outcome"], outcome["id"]) == ("duplicate", first[0]["id"])
    assert database.payment() == before
    (row,) = database.rows("select delivery_count, processed, processed_at is not null as has_time from webhook_events")
    assert row == {"delivery_count": 4, "processed": True, "has_time": True}


def test_an_event_that_the_tables_refuse_fails_alone(database: Database) -> None:
    database.insert_payment(order_id="order-2", payment_key="key-taken")
    database.insert_payment(order_id="order-x", payment_key="key-x")
    good, other = payment_event("DONE", 10), payment_event("DONE", 10, order="order-3", key="key-3")
    refused = payment_event("DONE", 10, order="order-x", key="key-taken")
    outcomes = database.record(good, refused, other)
    assert [(outcome["status"], outcome["reason"]) for outcome in outcomes] == [
        ("processed", None),
        ("failed", "refused_by_database"),
        ("processed", None),
    ]
    assert database.payment("order-1")["payment_status"] == "DONE"
    assert database.payment("order-3")["payment_status"] == "DONE"
    assert database.payment("order-x")["payment_status"] == "PENDING"
    (event,) = database.rows("select last_error, payload from webhook_events where status = 'failed'")
    assert "SQLSTATE 23505" in event["last_error"]
    assert event["payload"]["data"]["paymentKey"] == "key-taken"


def test_a_refused_event_succeeds_when_it_comes_again_after_the_cause_is_gone(database: Database) -> None:
    database.insert_payment(order_id="order-2", payment_key="key-1")
    event = payment_event("DONE", 10)
    assert database.record(event)[0]["status"] == "failed"
    database.connection.execute("update payments set payment_key = 'mended' where order_id = 'order-2'")
    (outcome,) = database.record(event)
    assert (outcome["outcome"], outcome["status"]) == ("duplicate", "processed")
    assert database.payment()["payment_status"] == "DONE"


def test_a_body_that_jsonb_cannot_hold_is_kept_as_text(database: Database) -> None:
    record = record_of({"eventType": "SOMETHING_NEW", "big": 1})
    record["payload"] = '{"big": 1e200000}'
    (outcome,) = database.record_records([record])
    assert (outcome["outcome"], outcome["status"]) == ("created", "failed")
    assert database.rows("select payload from webhook_events") == [{"payload": '{"big": 1e200000}'}]


def test_an_error_that_a_retry_can_cure_stores_nothing(database: Database) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as other, other.transaction():
        other.execute("lock table payments in access exclusive mode")
        database.connection.execute("set lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            database.record(payment_event("DONE", 10))
        database.connection.execute("reset lock_timeout")
    assert database.rows("select 1 from webhook_events") == []


def test_numbers_and_korean_of_the_payload_stay_as_they_came(database: Database) -> None:
    record = record_of({"eventType": "NEW", "상품": "가상 상품", "value": 1})
    record["payload"] = record["payload"].replace("1}", "125000.0}")
    database.record_records([record])
    (row,) = database.rows("select payload::text as text from webhook_events")
    assert '"value": 125000.0' in row["text"]
    assert "가상 상품" in row["text"]


def billing(kind: str, key: str, second: int, customer: str | None = "customer-1") -> Row:
    if kind == "issued":
        return {
            "eventType": "BILLING_KEY_ISSUED",
            "data": {"billingKey": key, "customerKey": customer, "issuedAt": at(second, offset=True)},
        }
    return {"eventType": "BILLING_DELETED", "createdAt": at(second), "data": {"billingKey": key, "reason": None}}


def subscriptions(database: Database) -> list[tuple[str, str]]:
    rows = database.rows("select billing_key, status from subscriptions order by started_at, billing_key")
    return [(row["billing_key"], row["status"]) for row in rows]


def live(database: Database) -> list[tuple[str, str]]:
    return [row for row in subscriptions(database) if row[1] in ("ACTIVE", "PAUSED")]


def test_an_issued_key_makes_an_active_subscription(database: Database) -> None:
    database.record(billing("issued", "bk-1", 0))
    (row,) = database.rows("select * from subscriptions")
    assert (row["billing_key"], row["customer_key"], row["status"]) == ("bk-1", "customer-1", "ACTIVE")
    assert row["next_billing_date"] is None


def test_a_deleted_key_cancels_the_subscription_that_uses_it(database: Database) -> None:
    database.record(billing("issued", "bk-1", 0), billing("deleted", "bk-1", 10))
    (row,) = database.rows("select * from subscriptions")
    assert row["status"] == "CANCELED"
    assert row["canceled_at"] is not None


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_changed_card_keeps_the_subscription_whatever_the_order(database: Database, order: tuple[int, ...]) -> None:
    events = [billing("issued", "bk-1", 0), billing("issued", "bk-2", 10), billing("deleted", "bk-1", 20)]
    for index in order:
        database.record(events[index])
    assert subscriptions(database) == [("bk-2", "ACTIVE")]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_a_deleted_new_key_ends_the_subscription_whatever_the_order(database: Database, order: tuple[int, ...]) -> None:
    events = [
        billing("issued", "bk-1", 0),
        billing("issued", "bk-2", 10),
        billing("deleted", "bk-1", 20),
        billing("deleted", "bk-2", 30),
    ]
    for index in order:
        database.record(events[index])
    assert live(database) == []
    assert ("bk-2", "CANCELED") in subscriptions(database)


COMING_BACK = [billing("issued", "bk-1", 0), billing("deleted", "bk-1", 10), billing("issued", "bk-2", 20)]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_customer_who_comes_back_has_an_old_row_and_a_new_one(database: Database, order: tuple[int, ...]) -> None:
    for index in order:
        database.record(COMING_BACK[index])
    assert sorted(subscriptions(database)) == [("bk-1", "CANCELED"), ("bk-2", "ACTIVE")]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_batch_does_what_its_events_do_one_by_one(database: Database, order: tuple[int, ...]) -> None:
    database.record(*[COMING_BACK[index] for index in order])
    assert subscriptions(database) == [("bk-1", "CANCELED"), ("bk-2", "ACTIVE")]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_of_three_cards_the_last_one_is_live(database: Database, order: tuple[int, ...]) -> None:
    events = [
        billing("issued", "bk-1", 0),
        billing("issued", "bk-2", 10),
        billing("deleted", "bk-1", 20),
        billing("issued", "bk-3", 30),
    ]
    for index in order:
        database.record(events[index])
    assert live(database) == [("bk-3", "ACTIVE")]


def test_a_subscription_of_the_application_gets_the_new_key(database: Database) -> None:
    database.connection.execute(
        """insert into subscriptions (billing_key, customer_key, status, tier, started_at, current_period_start,
                                      current_period_end, amount)
           values ('bk-0', 'customer-1', 'PAUSED', 'PRO', now(), now(), now(), 9900)"""
    )
    database.record(billing("issued", "bk-1", 0))
    (row,) = database.rows("select billing_key, status, tier, amount from subscriptions")
    assert row == {"billing_key": "bk-1", "status": "ACTIVE", "tier": "PRO", "amount": 9900}


def test_an_echo_of_a_key_whose_subscription_ended_changes_nothing(database: Database) -> None:
    database.connection.execute(
        """insert into subscriptions (billing_key, customer_key, status, tier, started_at, current_period_start,
                                      current_period_end, amount)
           values ('bk-1', 'customer-1', 'EXPIRED', 'PRO', now(), now(), now(), 9900)"""
    )
    database.record(billing("issued", "bk-1", 0))
    assert subscriptions(database) == [("bk-1", "EXPIRED")]


def payout(status: str, second: int, identity: str = "FPA_1") -> Row:
    return {
        "eventType": "payout.changed",
        "createdAt": at(second, offset=True),
        "eventId": f"evt-{status}-{second}",
        "entityType": "payout",
        "entityBody": {
            "id": identity,
            "refPayoutId": "po-1",
            "destination": "seller-77",
            "status": status,
            "amount": {"currency": "KRW", "value": 125000.0},
            "payoutDate": "2026-05-06",
            "error": {"code": "BANK", "message": "계좌 오류"} if status == "FAILED" else None,
        },
    }


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_latest_state_of_a_payout_counts(database: Database, order: tuple[int, int]) -> None:
    events = [payout("FAILED", 0), payout("COMPLETED", 10)]
    for index in order:
        database.record(events[index])
    (row,) = database.rows("select status, amount, failure_code, settled_at is not null as settled from settlements")
    assert row == {"status": "COMPLETED", "amount": 125000, "failure_code": None, "settled": True}


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_payment_that_a_settlement_names_becomes_settled(database: Database, order: tuple[int, int]) -> None:
    settlement = {
        "eventType": "SETTLEMENT_COMPLETED",
        "createdAt": at(99),
        "data": {"paymentKey": "key-1", "amount": 9700},
    }
    events = [payment_event("DONE", 10), settlement]
    for index in order:
        database.record(events[index])
    (settled,) = database.rows("select settled_at, payment_key from settlements")
    assert settled["payment_key"] == "key-1"
    assert database.payment()["settled_at"] == settled["settled_at"] is not None


def test_a_deposit_waits_for_toss(database: Database) -> None:
    deposit = {
        "eventType": "VIRTUAL_ACCOUNT_DEPOSIT",
        "data": {"paymentKey": "key-1", "orderId": "order-1", "secret": "s", "depositedAt": at(0, offset=True)},
    }
    (outcome,) = database.record(deposit)
    assert (outcome["status"], outcome["reason"]) == ("pending", "check_deposit")
    (row,) = database.rows("select processed, next_attempt_at is not null as due from webhook_events")
    assert row == {"processed": False, "due": True}
    assert database.rows("select 1 from payments") == []
