"""Subscriptions are a function of the set of billing events (design rules 4 and 7), beside what applications write."""

import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.database.support import Database, Row, record_of
from tests.database.test_payment_fold import moment
from tests.database.test_recording import billing

COLUMNS = """billing_key, customer_key, status, tier, amount, started_at, current_period_start, current_period_end,
             canceled_at, billing_key_issued_at, billing_key_deleted_at"""


def rows(database: Database) -> list[Row]:
    return database.rows(f"select {COLUMNS} from subscriptions order by started_at, billing_key")


def short(database: Database) -> list[tuple[Any, ...]]:
    return [(row["billing_key"], row["status"], row["started_at"], row["canceled_at"]) for row in rows(database)]


def adopt(database: Database, key: str = "bk-0", status: str = "ACTIVE", **columns: Any) -> None:
    row = {"customer_key": "customer-1", "tier": "PRO", "amount": 9900, **columns}
    row |= dict.fromkeys(("started_at", "current_period_start", "current_period_end"), moment(-1000))
    row |= {"billing_key": key, "status": status}
    names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
    database.connection.execute(f"insert into subscriptions ({names}) values ({marks})", list(row.values()))


STORIES = {
    "two cards, the second from the start": (
        [billing("issued", "bk-1", 0), billing("issued", "bk-2", 10), billing("deleted", "bk-1", 20)],
        [("bk-2", "ACTIVE", moment(0), None)],
    ),
    "left and came back": (
        [billing("issued", "bk-1", 0), billing("deleted", "bk-1", 10), billing("issued", "bk-2", 20)],
        [("bk-1", "CANCELED", moment(0), moment(10)), ("bk-2", "ACTIVE", moment(20), None)],
    ),
    "three overlapping": (
        [
            billing("issued", "bk-1", 0),
            billing("issued", "bk-2", 10),
            billing("deleted", "bk-1", 20),
            billing("issued", "bk-3", 30),
            billing("deleted", "bk-2", 40),
        ],
        [("bk-3", "ACTIVE", moment(0), None)],
    ),
    "three, the second left": (
        [
            billing("issued", "bk-1", 0),
            billing("issued", "bk-2", 10),
            billing("deleted", "bk-2", 20),
            billing("issued", "bk-3", 30),
            billing("deleted", "bk-1", 40),
        ],
        [("bk-2", "CANCELED", moment(0), moment(20)), ("bk-3", "ACTIVE", moment(30), None)],
    ),
}
ORDERS = [
    (name, order) for name, (events, _) in STORIES.items() for order in itertools.permutations(range(len(events)))
]


@pytest.mark.parametrize(("name", "order"), ORDERS, ids=str)
def test_overlapping_keys_end_the_same_in_any_order(database: Database, name: str, order: tuple[int, ...]) -> None:
    events, expected = STORIES[name]
    for index in order:
        database.record(events[index])
    assert short(database) == expected


@st.composite
def histories(draw: st.DrawFn) -> list[Row]:
    """Keys that are issued and deleted at any times, the key that the application had among them."""
    events = []
    for key in draw(st.lists(st.sampled_from(["bk-1", "bk-2", "bk-3"]), min_size=1, unique=True)):
        events.append(billing("issued", key, draw(st.integers(0, 5))))
        if draw(st.booleans()):
            events.append(billing("deleted", key, draw(st.integers(0, 6))))
    if draw(st.booleans()):
        events.append(billing("deleted", "bk-0", draw(st.integers(0, 6))))
    return events


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), history=histories(), adopted=st.sampled_from([None, "ACTIVE", "PAUSED", "EXPIRED"]))
def test_any_order_and_any_batches_give_the_same_subscriptions(
    database: Database, data: st.DataObject, history: list[Row], adopted: str | None
) -> None:
    shuffled = data.draw(st.permutations(history * 2))
    cut = data.draw(st.integers(0, len(shuffled)))
    results = []
    for batches in ([history], [[event] for event in reversed(history)], [shuffled[:cut], shuffled[cut:]]):
        database.clear()
        if adopted:
            adopt(database, status=adopted)
        for batch in batches:
            database.record(*batch)
        results.append(rows(database))
    assert results[1] == results[0]
    assert results[2] == results[0]


def test_a_card_that_the_application_changed_itself_stays_when_the_old_key_goes(database: Database) -> None:
    database.record(billing("issued", "bk-1", 0))
    database.connection.execute("update subscriptions set billing_key = 'bk-own', tier = 'PRO'")
    database.record(billing("deleted", "bk-1", 20))
    assert short(database) == [("bk-own", "ACTIVE", moment(0), None)]
    database.record(billing("deleted", "bk-own", 30))
    assert short(database) == [("bk-own", "CANCELED", moment(0), moment(30))]


def test_a_paused_subscription_stays_paused_until_a_card_comes(database: Database) -> None:
    database.record(billing("issued", "bk-1", 0))
    database.connection.execute("update subscriptions set status = 'PAUSED'")
    database.record(billing("deleted", "bk-0", 5), billing("issued", "bk-0", -5))
    assert short(database) == [("bk-1", "PAUSED", moment(0), None)]
    database.record(billing("issued", "bk-2", 10))
    assert short(database) == [("bk-2", "ACTIVE", moment(0), None)]


def test_a_subscription_that_the_application_ended_stays_ended(database: Database) -> None:
    database.record(billing("issued", "bk-1", 0))
    database.connection.execute("update subscriptions set status = 'EXPIRED'")
    database.record(billing("issued", "bk-0", -5), billing("deleted", "bk-1", 5))
    assert short(database) == [("bk-1", "EXPIRED", moment(0), None)]
    database.record(billing("issued", "bk-2", 10))
    assert short(database) == [("bk-1", "EXPIRED", moment(0), None), ("bk-2", "ACTIVE", moment(10), None)]


def test_who_makes_a_row_live_again_knows_of_the_deletion(database: Database) -> None:
    adopt(database)
    database.record(billing("deleted", "bk-0", 5))
    assert short(database) == [("bk-0", "CANCELED", moment(-1000), moment(5))]
    database.connection.execute("update subscriptions set status = 'ACTIVE', canceled_at = null")
    database.record(billing("deleted", "bk-9", 6), billing("deleted", "bk-0", 5))
    assert short(database) == [("bk-0", "ACTIVE", moment(-1000), None)]


def test_a_row_that_the_application_filled_in_is_never_deleted(database: Database) -> None:
    left = [billing("issued", "bk-1", 0), billing("deleted", "bk-1", 20), billing("issued", "bk-3", 30)]
    database.record(*left)
    database.connection.execute("update subscriptions set tier = 'PRO' where billing_key = 'bk-1'")
    database.record(billing("issued", "bk-2", 10))
    assert [row[:2] for row in short(database)] == [("bk-1", "CANCELED"), ("bk-3", "ACTIVE")]
    database.clear()
    database.record(*left)
    database.record(billing("issued", "bk-2", 10))
    assert short(database) == [("bk-3", "ACTIVE", moment(0), None)]


def test_what_the_application_filled_in_stays_when_the_row_changes(database: Database) -> None:
    database.record(billing("issued", "bk-2", 10))
    database.connection.execute("update subscriptions set tier = 'PRO', current_period_end = %s", [moment(500)])
    database.record(billing("issued", "bk-1", 0))
    (row,) = rows(database)
    assert (row["tier"], row["started_at"], row["current_period_start"]) == ("PRO", moment(0), moment(0))
    assert row["current_period_end"] == moment(500)


def test_an_issued_key_without_a_customer_is_refused(database: Database) -> None:
    record = record_of(billing("issued", "bk-1", 0))
    record["change"] = {name: value for name, value in record["change"].items() if name != "customer_key"}
    (outcome,) = database.record_records([record])
    assert (outcome["status"], outcome["reason"]) == ("failed", "refused_by_database")
    assert rows(database) == []


def test_the_customer_of_a_deleted_key_is_found_by_index(database: Database) -> None:
    with database.connection.transaction(force_rollback=True):
        database.connection.execute("set local enable_seqscan = off")
        plan = database.rows(
            "explain select 1 from subscriptions where billing_state #>> '{application,billing_key}' = 'bk-1'"
        )
    assert "subscriptions_application_billing_key_idx" in str(plan)
