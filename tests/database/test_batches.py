"""Replaying and ignoring many events at once: tried first, done once, and gone on with after an interruption."""

import asyncio
import json
from typing import Any

import pytest

from supatoss.errors import NotAllowed, StoreUnavailable
from supatoss.inbox.bulk import BatchAction, open_batch, run_batch
from supatoss.store.batches import Batch
from supatoss.store.events import EventFilter
from tests.database.store import DatabaseStore
from tests.database.support import Database, payment_event
from tests.database.test_replay import ids, ignored, tables

OPEN = EventFilter(statuses=("failed", "pending"))


@pytest.fixture
def failing(database: Database) -> Database:
    """30 orders whose amount differs; 25 of them are corrected since."""
    for number in range(30):
        database.insert_payment(order_id=f"order-{number:02}", payment_key=f"placeholder-{number}", amount=9900)
    database.record(
        *(payment_event("DONE", number, order=f"order-{number:02}", key=f"key-{number}") for number in range(30))
    )
    database.connection.execute("update payments set amount = 10000 where order_id < 'order-25'")
    return database


def opened(database: Database, action: BatchAction = BatchAction.REPLAY, wanted: EventFilter = OPEN) -> str:
    chosen = {"status": "failed"}
    batch = asyncio.run(open_batch(DatabaseStore(database), wanted, action, actor="anna", chosen=chosen))
    assert batch is not None
    return batch


def run(database: Database, batch: str, reason: str | None = None, store: Any = None) -> Batch | None:
    run = run_batch(store or DatabaseStore(database), batch, actor="bert", address="203.0.113.7", reason=reason)
    return asyncio.run(run)


def read(database: Database, batch: str) -> Batch:
    found = asyncio.run(DatabaseStore(database).read_batch(batch))
    assert found is not None
    return found


def statuses(batch: Batch) -> dict[str | None, int]:
    found = [outcome.status for outcome in batch.outcomes]
    return {status: found.count(status) for status in dict.fromkeys(found)}


def test_a_batch_is_tried_before_anything_changes(failing: Database) -> None:
    before = tables(failing)
    batch = read(failing, opened(failing))
    assert tables(failing) == before
    assert failing.rows("select 1 from supatoss.operator_actions") == []
    tried = [item.outcome.status for item in batch.tried]
    assert (tried.count("processed"), tried.count("failed")) == (25, 5)
    assert (batch.actor, batch.action, batch.chosen, batch.has_more) == ("anna", "replay", {"status": "failed"}, False)
    assert (batch.outcomes, batch.confirmed_at, batch.finished_at) == ((), None, None)
    assert {(item.amount, item.currency, item.status_before) for item in batch.tried} == {("10000", "KRW", "failed")}


def test_it_says_what_became_of_each_and_who_did_it(failing: Database) -> None:
    done = run(failing, opened(failing))
    assert done is not None
    assert statuses(done) == {"processed": 25, "failed": 5}
    assert (done.confirmed_by, done.finished_at is not None, done.left) == ("bert", True, [])
    trail = failing.rows(
        "select actor, address, action, count(*) as events from supatoss.operator_actions group by 1, 2, 3"
    )
    assert trail == [{"actor": "bert", "address": "203.0.113.7", "action": "replay", "events": 30}]
    paid = failing.rows("select count(*) as paid from payments where payment_status = 'DONE'")
    assert paid == [{"paid": 25}]


def test_sent_twice_it_is_done_once(failing: Database) -> None:
    batch = opened(failing)
    first = run(failing, batch)
    before = tables(failing)
    assert run(failing, batch) is None
    assert tables(failing) == before
    assert read(failing, batch) == first
    assert len(failing.rows("select 1 from supatoss.operator_actions")) == 30


def test_while_it_runs_nobody_else_begins(failing: Database) -> None:
    batch = opened(failing)
    assert asyncio.run(DatabaseStore(failing).claim_batch(batch, "anna", None)) is not None
    assert read(failing, batch).is_leased
    assert run(failing, batch) is None
    failing.connection.execute("update supatoss.operator_batches set lease_until = now() - interval '1 second'")
    assert not read(failing, batch).is_leased
    done = run(failing, batch)
    assert done is not None
    assert done.confirmed_by == "anna"


def test_after_an_interruption_the_rest_is_done(failing: Database) -> None:
    class Interrupted(DatabaseStore):
        replays = 0

        async def replay_events(self, *arguments: Any, **more: Any) -> Any:
            self.replays += 1
            if self.replays == 2:
                raise StoreUnavailable("away")
            return await super().replay_events(*arguments, **more)

    batch = opened(failing)
    with pytest.raises(StoreUnavailable):
        run(failing, batch, store=Interrupted(failing))
    held = read(failing, batch)
    assert (len(held.outcomes), len(held.left), held.finished_at) == (20, 10, None)
    failing.connection.execute("update supatoss.operator_batches set lease_until = now()")
    done = run(failing, batch)
    assert done is not None
    assert statuses(done) == {"processed": 25, "failed": 5}
    assert len(failing.rows("select 1 from supatoss.operator_actions")) == 30


def test_what_somebody_finished_since_is_not_done_again(failing: Database) -> None:
    batch = opened(failing)
    ignored(failing, ids(failing, "order_id = 'order-07'"))
    done = run(failing, batch)
    assert done is not None
    (outcome,) = [outcome for outcome in done.outcomes if outcome.outcome == "refused"]
    assert (outcome.status, outcome.reason) == ("ignored", "status_not_asked_for")
    assert failing.rows("select status from webhook_events where order_id = 'order-07'") == [{"status": "ignored"}]


def test_ignoring_needs_its_reason_when_it_is_confirmed(failing: Database) -> None:
    batch = opened(failing, BatchAction.IGNORE)
    with pytest.raises(NotAllowed):
        run(failing, batch, "  ")
    assert failing.rows("select 1 from webhook_events where status = 'ignored'") == []
    batch = opened(failing, BatchAction.IGNORE)
    done = run(failing, batch, "테스트 주문")
    assert done is not None
    assert statuses(done) == {"ignored": 30}
    assert failing.rows("select distinct reason from supatoss.operator_actions") == [{"reason": "테스트 주문"}]


def test_one_takes_500_events_the_oldest_ones(database: Database) -> None:
    database.connection.execute(
        """insert into webhook_events (event_type, payload, status, order_id, created_at)
           select 'X', '{}', 'failed', 'order-' || n, now() - n * interval '1 second' from generate_series(1, 510) n"""
    )
    batch = read(database, opened(database))
    assert (len(batch.tried), batch.has_more) == (500, True)
    assert batch.tried[0].order_id == "order-510"
    assert {item.outcome.outcome for item in batch.tried} == {"refused"}
    too_many = {"id": batch.id[:-1] + ("0" if batch.id[-1] != "0" else "1"), "actor": "a", "action": "replay"}
    values = {"chosen": {}, "event_ids": [batch.id] * 501, "dry_run": [], "has_more": False}
    with pytest.raises(Exception, match="operator_batches_event_ids_check"):
        database.call("select supatoss_open_batch_v1(%s)", json.dumps(too_many | values))


def test_nothing_to_do_is_no_batch(database: Database) -> None:
    database.record(payment_event("DONE", 1))
    store = DatabaseStore(database)
    for wanted in (OPEN, EventFilter(ids=ids(database))):
        assert asyncio.run(open_batch(store, wanted, BatchAction.REPLAY, actor="a", chosen={})) is None
    assert database.rows("select 1 from supatoss.operator_batches") == []


def test_an_old_dry_run_is_not_confirmed_any_more(failing: Database) -> None:
    batch = opened(failing)
    failing.connection.execute("update supatoss.operator_batches set created_at = now() - interval '61 minutes'")
    assert run(failing, batch) is None
    assert failing.rows("select 1 from supatoss.operator_actions") == []
    failing.connection.execute("update supatoss.operator_batches set created_at = now() - interval '91 days'")
    opened(failing)
    assert len(failing.rows("select 1 from supatoss.operator_batches")) == 1
