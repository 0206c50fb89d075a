"""Orders with hundreds of events: what the oldest come to is kept, and nothing is different for it."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.database.support import Database, Row, cancel, payment_event, record_of
from tests.database.test_payment_fold import APPLICATION_ROWS, histories, moment

ORDERS = ["order-1"]


def keep(database: Database, rest: int) -> None:
    """What a fold of a long order does at its end, whatever the order's length."""
    database.connection.execute("select supatoss.fold_oldest(%s, supatoss.find_folded(%s), %s)", [ORDERS, ORDERS, rest])


def kept(database: Database) -> list[Row]:
    return database.rows("select order_id, until from supatoss.folded_orders")


def events_read(database: Database) -> int:
    """How many events the next fold of the order reads."""
    (row,) = database.rows(
        """select count(*) as read
           from unnest(supatoss.find_folded(%s)) f cross join lateral supatoss.read_events(%s, f.until)""",
        ORDERS,
        ORDERS,
    )
    return int(row["read"])


def many(number: int) -> list[Row]:
    return [{**payment_event("DONE", second), "number": second} for second in range(number)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    history=histories(),
    data=st.data(),
    application_row=st.sampled_from(APPLICATION_ROWS),
    later_row=st.sampled_from([None, None, {"amount": 9999}, {"payment_status": "DONE"}]),
    rest=st.integers(0, 3),
)
def test_the_rows_are_those_of_a_walk_through_all_events(
    database: Database,
    history: list[Row],
    data: st.DataObject,
    application_row: Row | None,
    later_row: Row | None,
    rest: int,
) -> None:
    twins = [{**event, "junk": 1} for event in history]
    shuffled = data.draw(st.permutations(history + twins))
    results = []
    for keeps in (False, True):
        database.clear()
        if application_row is not None:
            database.insert_payment(**application_row)
        for place, event in enumerate(shuffled):
            database.record(event)
            if keeps:
                keep(database, rest)
            if later_row and place == len(history):
                for column, value in later_row.items():
                    database.connection.execute(f"update payments set {column} = %s", [value])
        results.append((database.projection(), database.verdicts()))
    assert results[1] == results[0]


@pytest.mark.parametrize(
    "events",
    [
        many(450),
        [{**payment_event("DONE", 1), "junk": number} for number in range(450)],
        [payment_event("DONE", number, metadata={"number": number}) for number in range(450)],
    ],
    ids=["the same change", "the same change at one time", "other changes"],
)
def test_few_events_are_read_for_one_more(database: Database, events: list[Row]) -> None:
    database.record(*events[:300])
    database.record(*events[300:])
    assert kept(database)
    assert events_read(database) <= 200
    assert database.record({**events[-1], "one": "more"})[0]["status"] == "processed"
    assert events_read(database) <= 200
    assert database.payment()["payment_status"] == "DONE"


def test_cancels_of_hundreds_of_events_are_all_there(database: Database) -> None:
    events = [payment_event("PARTIAL_CANCELED", n, cancels=[cancel(f"t{n}", 1, n)]) for n in range(1, 301)]
    database.record(*events[:250])
    database.record(*events[250:])
    assert kept(database)
    database.record(payment_event("PARTIAL_CANCELED", 400, cancels=[cancel("t7", 3, 400), cancel("t301", 1, 400)]))
    payment = database.payment()
    assert len(payment["cancels"]) == 301
    assert payment["balance_amount"] == 10000 - 301 - 2


def test_large_events_are_kept_sooner(database: Database) -> None:
    cancels = [cancel(f"t{number}", 1, number % 50) for number in range(3000)]
    for second in range(5):
        database.record(payment_event("PARTIAL_CANCELED", second, cancels=cancels, method=f"{second}"))
    assert kept(database)
    assert events_read(database) <= 2
    assert len(database.payment()["cancels"]) == 3000


def test_a_short_order_beside_a_long_one_is_not_kept(database: Database) -> None:
    other = payment_event("DONE", 1, order="order-2", key="key-2")
    database.record(*many(220), other)
    assert [row["order_id"] for row in kept(database)] == ["order-1"]


@pytest.fixture
def long_order(database: Database) -> Database:
    database.record(*many(150))
    database.record(*many(250)[150:])
    assert kept(database)
    return database


def test_an_order_of_few_events_is_not_kept(database: Database) -> None:
    database.record(*many(150))
    assert kept(database) == []


def test_a_late_event_that_says_something_else_is_walked_in_its_place(long_order: Database) -> None:
    long_order.record(payment_event("WAITING_FOR_DEPOSIT", 20, method="가상계좌"))
    assert events_read(long_order) <= 200  # all were read, and kept again
    late = payment_event("ABORTED", 21, key="key-2")
    assert long_order.record(late)[0]["status"] == "processed"
    assert (long_order.payment()["payment_key"], long_order.payment()["approved_at"]) == ("key-1", moment(249))


@pytest.mark.parametrize(
    "change",
    [
        "update webhook_events set status = 'ignored', reason = 'operator' where occurred_at = %s",
        "update webhook_events set change = change - 'approved_at' where occurred_at = %s",
        "update webhook_events set occurred_at = now() where occurred_at = %s",
        "update webhook_events set order_id = 'order-2' where occurred_at = %s",
        "delete from webhook_events where occurred_at = %s",
    ],
)
def test_what_is_kept_is_forgotten_when_an_event_changes(long_order: Database, change: str) -> None:
    long_order.connection.execute(change, [moment(5)])
    assert kept(long_order) == []


def test_an_order_that_the_application_has_written_since_is_read_anew(long_order: Database) -> None:
    long_order.connection.execute("update payments set amount = 500")
    long_order.record(payment_event("DONE", 999))
    assert long_order.rows("select count(*) from webhook_events where reason = 'amount_mismatch'") == [{"count": 251}]


def unsigned(number: int) -> Row:
    """The record of what Toss answered about a delivery without signature."""
    event = payment_event("ABORTED", number % 60, key=f"key-{number}")
    return {**record_of(event), "proof": "toss_api", "is_observation": True}


@pytest.fixture
def full_order(database: Database) -> Database:
    for start in range(0, 500, 100):
        database.record_records([unsigned(number) for number in range(start, start + 100)])
    assert {row["status"] for row in database.rows("select status from webhook_events")} == {"processed"}
    return database


def test_an_order_takes_500_events_of_unsigned_deliveries_and_the_next_needs_a_person(full_order: Database) -> None:
    over = unsigned(500)
    for outcome in ("created", "duplicate"):
        (answer,) = full_order.record_records([over])
        assert (answer["outcome"], answer["status"], answer["reason"]) == (outcome, "failed", "too_many_events")
    (again,) = full_order.record_records([unsigned(7)])
    assert (again["outcome"], again["status"]) == ("duplicate", "processed")
    other = {**record_of(payment_event("DONE", 1, order="order-2", key="other")), "proof": "toss_api"}
    assert full_order.record_records([other])[0]["status"] == "processed"


@pytest.mark.parametrize("changed", [{"proof": "signature"}, {"event_type": "supatoss.reconciled"}])
def test_signed_events_and_our_own_are_no_more_of_them(full_order: Database, changed: Row) -> None:
    paid = {**record_of(payment_event("DONE", 70, key="key-x")), "proof": "toss_api", **changed}
    assert full_order.record_records([paid])[0]["status"] == "processed"
    assert full_order.payment()["payment_key"] == "key-x"


def test_one_too_many_counts_when_it_is_replayed(full_order: Database) -> None:
    paid = {**record_of(payment_event("DONE", 70, key="key-x")), "proof": "toss_api"}
    (failed,) = full_order.record_records([paid])
    assert full_order.payment()["payment_status"] == "ABORTED"
    reading = {
        "event": failed["id"],
        "seen_status": "failed",
        "seen_reason": "too_many_events",
        "status": "processed",
    }
    (done,) = full_order.call("select replay_webhook_events_v1(%s, 'anna', false)", json.dumps([reading]))
    assert (done["outcome"], done["status"]) == ("replayed", "processed")
    assert full_order.payment()["payment_key"] == "key-x"
