"""Operators' actions on stored events: which, by whom and why. ignore closes events, unignore takes that back.

replay has a module of its own: it knows Toss's objects, which take long to import for a command that doesn't replay.
"""

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from supatoss.errors import NotAllowed
from supatoss.store.events import MAX_PAGE_EVENTS, EventCalls, EventFilter, EventOutcome, StoredEvent


class Refusal(StrEnum):
    """Why an event cannot be replayed."""

    PAYLOAD_EMPTIED = "payload_emptied"
    NOT_READABLE = "not_readable"
    NO_PROOF = "no_proof"
    STATUS_NOT_ASKED_FOR = "status_not_asked_for"


UNFINISHED = ("failed", "pending")
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
    refused = [refuse(event, Refusal.STATUS_NOT_ASKED_FOR) for event in found if event.status not in statuses]
    missing = set(wanted.ids) - {event.id for event in found} if not has_more else set()
    refused += [EventOutcome(identity, "missing", None, None) for identity in sorted(missing)]
    return Selection(tuple(event for event in found if event.status in statuses), tuple(refused), has_more)


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


def refuse(event: StoredEvent, refusal: Refusal) -> EventOutcome:
    """The outcome of an event that nothing was done to."""
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
