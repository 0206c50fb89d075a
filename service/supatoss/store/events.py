"""Events as the inbox holds them, how they are searched for, and what operators do to them.

One subject, so one long file: the calls, and the rows that they take and give.
"""

import datetime as dt
import json
import re
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from supatoss.errors import NotAllowed
from supatoss.store.client import Connection, Function, read_object, read_row

MAX_PAGE_EVENTS = 500
"""Longest page that find_webhook_events_v1 gives."""

MIN_PART_DIGITS = 4
"""Of an event's id; fewer would name too many."""

SHORT_DIGITS = 8
"""The end of an id: ids begin with their time, so neighbours share their beginnings."""

MAX_CANDIDATES = 5
"""Events named where a prefix is that of several."""

_PART = re.compile(f"[0-9a-f]{{{MIN_PART_DIGITS},32}}")

_TIMES = ("occurred_at", "created_at", "processed_at", "next_attempt_at", "lease_until", "last_delivered_at")


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last event of a page: the next one begins behind it."""

    created_at: dt.datetime
    id: str


@dataclass(frozen=True, slots=True)
class Search:
    """What an operator typed.

    by key: an order or a part of its id, a payment key, a customer key, or the beginning of an event's id. by content:
    in the newest 20,000 events, the amount (decimal text) and the names of the order and of the customer.
    """

    text: str
    by: str = "key"
    amount: str | None = None


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events. Empty fields match everything; created_from is inclusive, created_until is not.

    id_part: the first or the last hex digits of an id, without hyphens. Fewer than eight last ones are looked for
    in the newest 20,000 events.
    """

    ids: Sequence[str] = ()
    id_part: str | None = None
    statuses: Sequence[str] = ()
    types: Sequence[str] = ()
    reasons: Sequence[str] = ()
    order_id: str | None = None
    payment_key: str | None = None
    created_from: dt.datetime | None = None
    created_until: dt.datetime | None = None
    search: Search | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it means every event."""
        return not any(getattr(self, item.name) for item in fields(self))

    def to_query(
        self, *, limit: int, after: Cursor | None = None, is_ascending: bool = False, with_payload: bool = False
    ) -> dict[str, Any]:
        """The argument of find_webhook_events_v1."""
        query: dict[str, Any] = {"limit": limit, "is_ascending": is_ascending, "with_payload": with_payload}
        for item in fields(self):
            value = getattr(self, item.name)
            if value:
                query[item.name] = _plain(value)
        if after:
            query["after"] = {"created_at": after.created_at.isoformat(), "id": after.id}
        return query


@dataclass(frozen=True, slots=True)
class Action:
    """What an operator did to an event."""

    at: dt.datetime
    actor: str
    action: str
    reason: str | None
    status_before: str | None
    status_after: str | None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """A row of webhook_events. payload and change are JSON text, and are there if they were asked for.

    order_name, amount (decimal text) and currency: of the event, else of its order's row. payment_status: what the
    event says of its payment, once that is known.
    """

    id: str
    event_key: str
    event_type: str
    status: str
    reason: str | None
    proof: str | None
    payment_key: str | None
    order_id: str | None
    occurred_at: dt.datetime | None
    created_at: dt.datetime
    processed_at: dt.datetime | None
    attempts: int
    next_attempt_at: dt.datetime | None
    lease_until: dt.datetime | None
    last_error: str | None
    delivery_count: int
    last_delivered_at: dt.datetime
    order_name: str | None = None
    amount: str | None = None
    currency: str | None = None
    payment_status: str | None = None
    payload: str | None = field(default=None, repr=False)
    change: str | None = field(default=None, repr=False)
    actions: tuple[Action, ...] = ()

    @property
    def cursor(self) -> Cursor:
        """Where the page behind this event begins."""
        return Cursor(self.created_at, self.id)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Reads an element of find_webhook_events_v1's answer. Raises KeyError, TypeError or ValueError."""
        known = {**row, **{name: _time(row[name]) for name in _TIMES}}
        known["actions"] = tuple(
            read_row(Action, {**action, "at": _time(action["at"])}) for action in row.get("actions", ())
        )
        return read_row(cls, known)

    def to_json(self) -> dict[str, Any]:
        """Fields for JSON, times in ISO 8601; without payload and change, which hold secrets."""
        shown = {name: _plain(value) for name, value in asdict(self).items()}
        return {name: value for name, value in shown.items() if name not in ("payload", "change", "actions")}


@dataclass(frozen=True, slots=True)
class EventPage:
    """A page of events, and where the next one begins; None at the end.

    as_of: when the database read it. looked_back_to: how far a search has looked, if not through all events.
    """

    events: tuple[StoredEvent, ...]
    next: Cursor | None
    as_of: dt.datetime | None = None
    looked_back_to: dt.datetime | None = None

    @classmethod
    def from_answer(cls, page: Mapping[str, Any]) -> Self:
        """Reads find_webhook_events_v1's answer. Raises KeyError, TypeError or ValueError."""
        events = tuple(StoredEvent.from_row(row) for row in page["events"])
        if page["has_more"]:
            return cls(events, events[-1].cursor, _time(page["now"]))
        end = page["looked_back_to"]
        cursor = Cursor(dt.datetime.fromisoformat(end["created_at"]).astimezone(dt.UTC), end["id"]) if end else None
        return cls(events, cursor, _time(page["now"]), cursor.created_at if cursor else None)


@dataclass(frozen=True, slots=True)
class PaymentState:
    """The row of an order; amount is decimal text."""

    status: str
    amount: str
    currency: str | None


@dataclass(frozen=True, slots=True)
class EventOutcome:
    """The result of an action on one event: outcome, and the event's status and reason afterwards.

    outcome: replayed, ignored, unignored, unchanged (its effect stands), in_hand (a worker has it), changed (since it
    was read), missing, or refused. payment_*: the row of its order before and after a replay, where there is one.
    """

    event: str
    outcome: str
    status: str | None
    reason: str | None
    payment_before: PaymentState | None = None
    payment_after: PaymentState | None = None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Reads an element of an action's answer. Raises KeyError or TypeError."""
        names = [name for name in ("payment_before", "payment_after") if row.get(name)]
        payments = {name: read_row(PaymentState, row[name]) for name in names}
        return read_row(cls, {**row, **payments})

    def to_json(self) -> dict[str, Any]:
        """Fields for JSON."""
        return asdict(self)


class EventCalls(Connection):
    """Each call raises StoreUnavailable or StoreRefused."""

    async def find_events(
        self,
        wanted: EventFilter,
        *,
        limit: int,
        after: Cursor | None = None,
        is_ascending: bool = False,
        with_payload: bool = False,
    ) -> EventPage:
        """A page of the inbox, newest first unless is_ascending."""
        query = wanted.to_query(limit=limit, after=after, is_ascending=is_ascending, with_payload=with_payload)
        return await self.call(Function.FIND_EVENTS, {"query": json.dumps(query)}, EventPage.from_answer)

    async def find_event_ids(self, text: str, *, limit: int = MAX_CANDIDATES) -> list[str]:
        """Ids that begin or end like this, of the newest events; none if it can't be a part of an id."""
        part = id_part(text)
        if part is None:
            return []
        page = await self.find_events(EventFilter(id_part=part), limit=limit)
        return [event.id for event in page.events]

    async def resolve_event_id(self, text: str) -> str:
        """The id of the one event whose id begins or ends like this; a whole id is not looked up. Raises NotAllowed."""
        with suppress(ValueError):
            return str(uuid.UUID(text))
        if id_part(text) is None:
            raise NotAllowed(f"{text[:50]!r} is not an event's id, nor {MIN_PART_DIGITS} or more characters of its end")
        found = await self.find_event_ids(text, limit=MAX_CANDIDATES + 1)
        if not found:
            raise NotAllowed(f"no event's id begins or ends with {text}")
        if len(found) > 1:
            more = " and more" if len(found) > MAX_CANDIDATES else ""
            raise NotAllowed(f"{text} is a part of several events' ids: {', '.join(found[:MAX_CANDIDATES])}{more}")
        return found[0]

    async def replay_events(
        self, readings: Sequence[Mapping[str, Any]], *, actor: str, address: str | None = None, dry_run: bool
    ) -> list[EventOutcome]:
        """Records stored events again, one outcome for each reading.

        Replaying twice is harmless: an event that has changed since it was read is left alone.
        """
        who = {"actor": actor, "address": address}
        arguments = {"readings": json.dumps(list(readings)), **who, "dry_run": dry_run}
        # One try: if the response is lost, a second try would mistake the first one's work for somebody else's.
        return await self.call(Function.REPLAY_EVENTS, arguments, _outcomes, tries=1)

    async def ignore_events(
        self, ids: Sequence[str], reason: str, *, actor: str, address: str | None = None, dry_run: bool
    ) -> list[EventOutcome]:
        """Ignores failed and pending events, one outcome for each id."""
        who = {"actor": actor, "address": address}
        arguments = {"event_ids": json.dumps(list(ids)), "reason": reason, **who, "dry_run": dry_run}
        return await self.call(Function.IGNORE_EVENTS, arguments, _outcomes, tries=1)

    async def unignore_events(
        self, ids: Sequence[str], *, actor: str, address: str | None = None, dry_run: bool
    ) -> list[EventOutcome]:
        """Undoes ignoring events, one outcome for each id."""
        arguments = {"event_ids": json.dumps(list(ids)), "actor": actor, "address": address, "dry_run": dry_run}
        return await self.call(Function.UNIGNORE_EVENTS, arguments, _outcomes, tries=1)

    async def read_overview(self, hours: int) -> dict[str, Any]:
        """What arrived in the last hours, what waits and what failed, for the operators' page."""
        return await self.call(Function.OPS_OVERVIEW, {"p_hours": hours}, read_object)

    async def read_event_rows(self, event_id: str) -> dict[str, Any]:
        """The rows that an event is about; empty where there is no such event."""
        return await self.call(Function.OPS_ROWS, {"p_event_id": event_id}, read_object)

    async def read_payment(self, order_id: str) -> dict[str, Any]:
        """An order's payment, events and settlements, for the operators' page."""
        return await self.call(Function.OPS_PAYMENT, {"p_order_id": order_id}, read_object)


def id_part(text: str) -> str | None:
    """Digits of an id as EventFilter takes them; None if a UUID can neither begin nor end like this."""
    text = text.strip().lower()
    digits = text.replace("-", "")
    if not _PART.fullmatch(digits):
        return None
    first, last = str(uuid.UUID(digits.ljust(32, "0"))), str(uuid.UUID(digits.rjust(32, "0")))
    return digits if text == digits or first.startswith(text) or last.endswith(text) else None


def shorten_ids(ids: Sequence[str]) -> dict[str, str]:
    """The end of each id, long enough to tell them apart; find_event_ids finds the event by it."""
    length = SHORT_DIGITS
    while len({identity[-length:] for identity in ids}) < len(set(ids)):
        length += 1
    return {identity: identity[-length:] for identity in ids}


def _outcomes(rows: Any) -> list[EventOutcome]:
    return [EventOutcome.from_row(row) for row in rows]


def _time(value: str | None) -> dt.datetime | None:
    return None if value is None else dt.datetime.fromisoformat(value).astimezone(dt.UTC)


def _plain(value: Any) -> Any:
    match value:
        case dt.datetime():
            return value.isoformat()
        case tuple() | list():
            return [_plain(item) for item in value]
        case Search():
            return asdict(value)
        case _:
            return value
