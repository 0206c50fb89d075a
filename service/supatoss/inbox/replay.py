"""Replay: stored events are interpreted and recorded again."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from supatoss.errors import NotReadable
from supatoss.inbox.actions import Progress, Refusal, checked_actor, chunks, refuse
from supatoss.inbox.event import EventReason, EventStatus, Meaning, Proof
from supatoss.inbox.interpret import interpret
from supatoss.store.events import EventCalls, EventFilter, EventOutcome, StoredEvent
from supatoss.toss.delivery import read_body
from supatoss.toss.events import parse_event

EMPTY_PAYLOADS = frozenset({None, "", "{}", "null"})
"""What retention leaves of a payload."""

_VERDICTS = frozenset({"amount_mismatch", "double_charge", "ambiguous_subscription", "hook_failed"})
"""Reasons that are set while rows are written: such an event's change is complete, and Toss was asked if need be."""


@dataclass(frozen=True, slots=True)
class ReplayRecord:
    """An event to be recorded again. Without a meaning, the stored change is applied again."""

    event: StoredEvent
    status: EventStatus
    reason: str | None = None
    last_error: str | None = None
    meaning: Meaning | None = field(default=None, repr=False)
    occurred_at: dt.datetime | None = None

    def to_record(self) -> dict[str, Any]:
        """One element of replay_webhook_events_v1's argument."""
        meaning = self.meaning
        return {
            "event": self.event.id,
            "seen_status": self.event.status,
            "seen_reason": self.event.reason,
            "status": self.status.value,
            "reason": self.reason,
            "last_error": self.last_error,
            "change": meaning.change if meaning else None,
            "payment_key": meaning.payment_key if meaning else None,
            "order_id": meaning.order_id if meaning else None,
            "occurred_at": self.occurred_at.isoformat() if self.occurred_at else None,
        }


def reinterpret(event: StoredEvent) -> ReplayRecord | Refusal:
    """How to record an event again, interpreted from its payload, which has to be present."""
    if event.proof is None:
        # Written by another program, or before supatoss was installed: never verified.
        return Refusal.NO_PROOF
    if event.payload in EMPTY_PAYLOADS:
        return Refusal.PAYLOAD_EMPTIED
    if event.proof in (Proof.TOSS_API, Proof.OPERATOR):
        # The stored change came from Toss or an operator; without one, Toss did not show what the delivery claimed.
        return ReplayRecord(event, EventStatus.PROCESSED) if event.change else _wait(event, EventReason.TOSS_DISAGREES)
    try:
        body = read_body((event.payload or "").encode())
    except NotReadable:
        return Refusal.NOT_READABLE
    parsed = parse_event(body.fields)
    meaning = interpret(parsed)
    if meaning.status is EventStatus.PENDING:
        return (
            ReplayRecord(event, EventStatus.PROCESSED)
            if _holds_an_answer(event)
            else _wait(event, meaning.reason, meaning)
        )
    return ReplayRecord(
        event,
        meaning.status,
        meaning.reason.value if meaning.reason else None,
        meaning.error,
        meaning,
        parsed.created_at or meaning.occurred_at,
    )


def _holds_an_answer(event: StoredEvent) -> bool:
    """Whether the stored change is Toss's answer, which is applied again without asking Toss."""
    return event.status == EventStatus.PROCESSED or (event.status == EventStatus.FAILED and event.reason in _VERDICTS)


def _wait(event: StoredEvent, reason: EventReason | None, meaning: Meaning | None = None) -> ReplayRecord:
    # Keeps the last error: it tells the worker whether Toss has a refusal stored under the idempotency key.
    return ReplayRecord(event, EventStatus.PENDING, reason.value if reason else None, event.last_error, meaning)


async def replay(
    store: EventCalls,
    ids: Sequence[str],
    *,
    actor: str,
    address: str | None = None,
    dry_run: bool,
    progress: Progress | None = None,
) -> list[EventOutcome]:
    """Interprets events again and records them, in the order given. `progress` gets the outcomes of each call.

    Raises NotAllowed or StoreError; what was done before stays done, and repeating it is harmless.
    """
    actor = checked_actor(actor)
    outcomes: list[EventOutcome] = []
    for chunk in chunks(ids):
        begin = len(outcomes)
        page = await store.find_events(EventFilter(ids=chunk), limit=len(chunk), with_payload=True)
        read = {event.id: reinterpret(event) for event in page.events}
        events = {event.id: event for event in page.events}
        records = [found for identity in chunk if isinstance(found := read.get(identity), ReplayRecord)]
        done = {
            outcome.event: outcome
            for outcome in await store.replay_events(
                [record.to_record() for record in records], actor=actor, address=address, dry_run=dry_run
            )
        }
        for identity in chunk:
            problem = read.get(identity)
            if isinstance(problem, Refusal):
                outcomes.append(refuse(events[identity], problem))
            else:
                outcomes.append(done.get(identity) or EventOutcome(identity, "missing", None, None))
        if progress:
            progress(outcomes[begin:])
    return outcomes
