"""Taking back that an event was ignored: it is what it was, and what counts stays."""

import asyncio

import pytest

from supatoss.errors import NotAllowed
from supatoss.inbox.actions import unignore
from supatoss.store.events import EventOutcome
from tests.database.store import DatabaseStore
from tests.database.support import Database, payment_event
from tests.database.test_replay import ids, ignored, only, replayed, tables
from tests.database.test_worker_functions import claim, deposit


def unignored(database: Database, events: list[str], *, dry_run: bool = False) -> list[EventOutcome]:
    store = DatabaseStore(database)
    return asyncio.run(unignore(store, events, actor="anna", address="203.0.113.7", dry_run=dry_run))


@pytest.mark.parametrize("reason", ["토스에서 환불함", "two\nlines\n", "x" * 500])
def test_a_failed_event_is_failed_again_as_it_was(database: Database, reason: str) -> None:
    database.insert_payment(amount=9900)
    database.record(payment_event("DONE", 10))
    before = tables(database)
    ignored(database, ids(database), reason)
    (outcome,) = unignored(database, ids(database))
    assert (outcome.outcome, outcome.status, outcome.reason) == ("unignored", "failed", "amount_mismatch")
    assert tables(database) == before
    trail = database.rows("select actor, action, status_before, status_after from supatoss.operator_actions order by 2")
    assert trail[1] == {"actor": "anna", "action": "unignore", "status_before": "ignored", "status_after": "failed"}


def test_one_that_waited_waits_again_and_is_due_at_once(database: Database) -> None:
    database.record(deposit())
    ignored(database, ids(database))
    assert claim(database) == []
    (outcome,) = unignored(database, ids(database))
    assert (outcome.status, outcome.reason) == ("pending", "check_deposit")
    assert only(database, "last_error, processed") == {"last_error": None, "processed": False}
    (claimed,) = claim(database)
    assert claimed["attempts"] == 1


def test_it_can_be_ignored_and_taken_back_again(database: Database) -> None:
    database.insert_payment(amount=9900)
    database.record(payment_event("DONE", 10))
    before = tables(database)
    for _ in range(2):
        ignored(database, ids(database), "once more")
        unignored(database, ids(database))
        assert tables(database) == before
    assert [outcome.outcome for outcome in unignored(database, ids(database))] == ["unchanged"]


def test_a_dry_run_changes_nothing(database: Database) -> None:
    database.record(deposit())
    ignored(database, ids(database))
    before = tables(database)
    (outcome,) = unignored(database, ids(database), dry_run=True)
    assert (outcome.outcome, outcome.status) == ("unignored", "pending")
    assert tables(database) == before


def test_what_nobody_ignored_is_left_alone(database: Database) -> None:
    database.insert_payment(amount=9900)
    database.record(payment_event("DONE", 10), {"eventType": "PROMOTION_CHANGED", "data": {}})
    before = tables(database)
    missing = "5e9f2d5a-0000-4000-8000-000000000001"
    outcomes = unignored(database, [*ids(database), missing])
    assert sorted(outcome.outcome for outcome in outcomes) == ["missing", "unchanged", "unchanged"]
    assert tables(database) == before
    with pytest.raises(NotAllowed):
        unignored(database, ["no-id"])


def test_what_was_replayed_since_is_left_alone(database: Database) -> None:
    database.insert_payment(amount=9900)
    database.record(payment_event("DONE", 10))
    ignored(database, ids(database))
    database.connection.execute("update payments set amount = 10000")
    assert replayed(database, ids(database))[0].status == "processed"
    before = tables(database)
    assert unignored(database, ids(database))[0].outcome == "unchanged"
    assert tables(database) == before


def test_an_alert_about_it_begins_again(database: Database) -> None:
    database.insert_payment(amount=9900)
    database.record(payment_event("DONE", 10))

    def failing() -> str:
        return str(database.call("select supatoss_read_alert_facts_v1(20)"))

    assert "amount_mismatch" in failing()
    ignored(database, ids(database))
    assert "amount_mismatch" not in failing()
    unignored(database, ids(database))
    assert "amount_mismatch" in failing()
