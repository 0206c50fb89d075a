"""Operators' actions on stored events: replay records them again, ignore closes them, unignore takes that back."""

import datetime as dt
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from supatoss.errors import NotAllowed, NotReadable
from supatoss.inbox.event import EventReason, EventStatus, Meaning, Proof
from supatoss.inbox.interpret import interpret
from supatoss.store.events import MAX_PAGE_EVENTS, EventCalls, EventFilter, EventOutcome, StoredEvent
from supatoss.toss.delivery import read_body
from supatoss.toss.events import parse_event

EMPTY_PAYLOADS = frozenset({None, "", "{}", "null"})
"""What retention leaves of a payload."""

_VERDICTS = frozenset({"amount_mismatch", "double_charge", "ambiguous_subscription", "hook_failed"})
"""Reasons that are set while rows are written: such an event's change is complete, and Toss was asked if need be."""


class Refusal(StrEnum):
    """Why an event cannot be replayed."""

    PAYLOAD_EMPTIED = "payload_emptied"
    NOT_READABLE = "not_readable"
    NO_PROOF = "no_proof"
    STATUS_NOT_ASKED_FOR = "status_not_asked_for"


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


UNFINISHED = (EventStatus.FAILED.value, EventStatus.PENDING.value)
"""Statuses that are replayed by default."""

DEFAULT_LIMIT = 100
"""Events per action by default: what one person can review beforehand."""

MAX_LIMIT = 10_000
CHUNK_EVENTS = 20
"""Events in one call: the largest payloads make 5 MiB; each event takes the database a few milliseconds."""

MAX_REASON_CHARACTERS = 500
MAX_ACTOR_CHARACTERS = 200

Progress = Callable[[Sequence[EventOutcome]], None]


@dataclass(frozen=True, slots=True)
class Selection:
    """Events to act on, oldest first; requested events that are refused; whether the limit left some out."""

    events: tuple[StoredEvent, ...]
    refused: tuple[EventOutcome, ...]
    has_more: bool


async def select(store: EventCalls, wanted: EventFilter, limit: int = DEFAULT_LIMIT) -> Selection:
    """The events that match a filter, at most `limit`. Raises NotAllowed without a filter, and StoreError."""
    if wanted.is_empty:
        raise NotAllowed("at least one filter is needed: an id, a time, a type, a status, an order or a payment key")
    if not 1 <= limit <= MAX_LIMIT:
        raise NotAllowed(f"the limit should be between 1 and {MAX_LIMIT}")
    wanted = replace(wanted, ids=tuple(dict.fromkeys(_checked_id(identity) for identity in wanted.ids)))
    statuses = tuple(wanted.statuses) or UNFINISHED
    # Ids are looked up in any status, so that an event in another one is refused by name, not skipped.
    found, has_more = await _find(store, replace(wanted, statuses=() if wanted.ids else statuses), limit)
    refused = [_refused(event, Refusal.STATUS_NOT_ASKED_FOR) for event in found if event.status not in statuses]
    missing = set(wanted.ids) - {event.id for event in found} if not has_more else set()
    refused += [EventOutcome(identity, "missing", None, None) for identity in sorted(missing)]
    return Selection(tuple(event for event in found if event.status in statuses), tuple(refused), has_more)


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
                outcomes.append(_refused(events[identity], problem))
            else:
                outcomes.append(done.get(identity) or EventOutcome(identity, "missing", None, None))
        if progress:
            progress(outcomes[begin:])
    return outcomes


async def ignore(
    store: EventCalls,
    ids: Sequence[str],
    reason: str,
    *,
    actor: str,
    address: str | None = None,
    dry_run: bool,
    progress: Progress | None = None,
) -> list[EventOutcome]:
    """Marks failed and pending events as ignored, with a reason. Raises NotAllowed or StoreError."""
    actor, reason = checked_actor(actor), checked_reason(reason)
    outcomes: list[EventOutcome] = []
    for chunk in chunks(ids):
        done = await store.ignore_events(chunk, reason, actor=actor, address=address, dry_run=dry_run)
        outcomes += done
        if progress:
            progress(done)
    return outcomes


async def unignore(
    store: EventCalls, ids: Sequence[str], *, actor: str, address: str | None = None, dry_run: bool
) -> list[EventOutcome]:
    """Makes ignored events what they were before: failed or pending. Raises NotAllowed or StoreError."""
    actor = checked_actor(actor)
    outcomes: list[EventOutcome] = []
    for chunk in chunks(ids):
        outcomes += await store.unignore_events(chunk, actor=actor, address=address, dry_run=dry_run)
    return outcomes


def chunks(ids: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Ids in calls of CHUNK_EVENTS, each once. Raises NotAllowed."""
    distinct = tuple(dict.fromkeys(_checked_id(identity) for identity in ids))
    for start in range(0, len(distinct), CHUNK_EVENTS):
        yield distinct[start : start + CHUNK_EVENTS]


async def _find(store: EventCalls, wanted: EventFilter, limit: int) -> tuple[list[StoredEvent], bool]:
    found: list[StoredEvent] = []
    cursor = None
    while len(found) < limit:
        size = min(limit - len(found), MAX_PAGE_EVENTS)
        page = await store.find_events(wanted, limit=size, after=cursor, is_ascending=True)
        found += page.events
        cursor = page.next
        if cursor is None:
            return found, False
    return found, True


def _refused(event: StoredEvent, refusal: Refusal) -> EventOutcome:
    return EventOutcome(event.id, "refused", event.status, refusal.value)


def _checked_id(identity: str) -> str:
    try:
        return str(uuid.UUID(identity))
    except ValueError:
        raise NotAllowed(f"{identity[:50]!r} is not an event's id (a UUID)") from None


def checked_reason(reason: str) -> str:
    """Why something is ignored, as it is stored. Raises NotAllowed."""
    reason = reason.strip()
    if not 1 <= len(reason) <= MAX_REASON_CHARACTERS:
        raise NotAllowed(f"a reason of 1 to {MAX_REASON_CHARACTERS} characters is needed")
    if "\x00" in reason:
        raise NotAllowed("the reason contains a character that can't be stored")
    return reason


def checked_actor(actor: str) -> str:
    """Who acts, as it is stored. Raises NotAllowed."""
    name = "".join(character for character in actor if character.isprintable()).strip()
    if not name:
        raise NotAllowed("an actor is needed")
    return name[:MAX_ACTOR_CHARACTERS]
