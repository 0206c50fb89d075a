"""What a release does with its database, once through: each call as the service, the worker and operators make it."""

import datetime as dt

from supatoss.alerts.rules import Limits
from supatoss.alerts.watch import Watch
from supatoss.inbox.attempt import AttemptResult
from supatoss.inbox.bulk import BatchAction, open_batch, run_batch
from supatoss.inbox.event import EventStatus
from supatoss.inbox.replay import ReplayRecord
from supatoss.store import Store
from supatoss.store.events import EventFilter
from supatoss.store.findings import Finding, FindingKind
from supatoss.store.reconciliation import Scope, StartedBy
from supatoss.store.refused import RefusedDelivery
from supatoss.store.reviews import FindingFilter
from tests.database.support import payment_event, record_of
from tests.database.test_recording import billing
from tests.database.test_settlements import settlement
from tests.database.test_worker_functions import deposit

DAY = dt.date(2026, 3, 14)
START = dt.datetime(2026, 3, 13, 15, tzinfo=dt.UTC)
END = START + dt.timedelta(days=1)
SESSION = "5f0c2b1e-0000-4000-8000-000000000001"
EVENTS = (
    payment_event("DONE", 10),
    payment_event("DONE", 20, order="order-2", key="key-2"),
    payment_event("DONE", 30, order="order-2", key="key-3"),  # a double charge
    payment_event("CANCELED", 40, order="order-4", key="key-4"),
    deposit(5),
    deposit(6),
    settlement("s-1", 100),
    billing("issued", "bk-1", 0),
)


async def tell(store: Store) -> None:
    """All of it, on an empty database."""
    await store.schema_version()
    await store.check_write()
    await _inbox(store)
    await _operators(store)
    await _reconciliation(store)
    await _alerts(store)


async def _inbox(store: Store) -> None:
    for body in (*EVENTS, EVENTS[0]):  # each at a time of its own, so that lists have one order
        await store.record_webhook_events([record_of(body)])
    await store.read_known_keys(order_id="order-1", billing_key="bk-1", cancel_key="c-1", cancel_request="r-1")
    await store.known_orders(["order-1", "order-of-nobody"])
    await store.oldest_waiting_seconds()
    first, second = await store.claim_events(10, 3600)
    await store.finish_event(
        AttemptResult(EventStatus.PENDING, "cannot_ask_toss", "no answer", delay_seconds=3600.0).to_text(first)
    )
    await store.finish_event(AttemptResult(EventStatus.FAILED, "unknown_to_toss", "NOT_FOUND").to_text(second))
    await store.overdue_accounts(10)
    await store.empty_payloads(36_500, 10)
    await store.note_refused([RefusedDelivery(START, "PAYMENT_STATUS_CHANGED", "stale", 401, "203.0.113.7", "{}")])
    await store.read_refused(10)


async def _operators(store: Store) -> None:
    page = await store.find_events(EventFilter(), limit=20, is_ascending=True, with_payload=True)
    await store.find_events(EventFilter(statuses=("failed",), order_id="order-6"), limit=5)
    failed = [event for event in page.events if event.status == "failed"]
    await store.replay_events(
        [ReplayRecord(event, EventStatus.PENDING).to_record() for event in failed], actor="release", dry_run=True
    )
    await store.replay_events(
        [ReplayRecord(failed[-1], EventStatus.PENDING).to_record()],
        actor="release",
        address="203.0.113.7",
        dry_run=False,
    )
    await store.ignore_events([failed[0].id], "checked by hand", actor="release", dry_run=True)
    await store.ignore_events([failed[0].id], "checked by hand", actor="release", dry_run=False)
    await store.unignore_events([failed[0].id], actor="release", dry_run=False)
    batch = await open_batch(store, EventFilter(statuses=("failed",)), BatchAction.REPLAY, actor="release", chosen={})
    assert batch
    await run_batch(store, batch, actor="release", address="203.0.113.7", reason=None)
    await store.read_batch(batch)
    await store.read_overview(24)
    await store.read_event_rows(page.events[0].id)
    await store.read_payment("order-2")
    await store.open_session(SESSION, "minji", "203.0.113.7", 3600)
    await store.read_session(SESSION)
    await store.confirm_session(SESSION)
    await store.list_sessions()
    await store.end_sessions(operator="minji", ended_by="release")


async def _reconciliation(store: Store) -> None:
    run = await store.open_reconciliation(
        Scope.PAYMENTS, DAY, DAY, END, applies=True, started_by=StartedBy.OPERATOR, retry_seconds=0.0
    )
    listed = {"transaction_key": "t-1", "subject": "key-9", "currency": "KRW", "payment_key": "key-9"}
    finding = Finding("key-9", FindingKind.MISSING, DAY, "key-9", "order-9", theirs={"status": "DONE"})
    await store.advance_reconciliation(run, [listed], [finding])
    await store.read_reconciliation_page(run, START, END, 100)
    await store.read_open_orders(run, START, END, 100)
    await store.read_findings(run)
    await store.count_findings(run)
    await store.read_standing("key-1", "order-1")
    event = record_of(payment_event("DONE", 50, order="order-9", key="key-9"))
    await store.repair_payment({"payment_key": "key-9", "order_id": "order-9", "price": "10000 KRW", "event": event})
    await store.read_settlements([{"settlement_key": "s-1"}])
    await store.repair_settlement({"event": record_of(settlement("s-2", 200))})
    await store.advance_reconciliation(run, ends_day=True, is_finished=True)
    await store.release_reconciliation(run, None)
    open_findings = await store.read_open_findings(0, 10)
    await store.note_findings({finding.id: False for finding in open_findings})
    await store.ignore_findings(
        FindingFilter(day=DAY), "paid by transfer", actor="release", dry_run=True, max_findings=10
    )
    await store.uncompared_days(DAY, 10)
    await store.read_reconciliations(DAY)


async def _alerts(store: Store) -> None:
    await Watch(store, Limits(10.0), None, 60.0, "released:1").check()
    (alert, *others) = await store.claim_alerts(10, 60)
    await store.confirm_alerts([alert.token, *(other.token for other in others)])
    await store.forget_process("released:1")
