"""Alerts as the database stores them, and the calls about them."""

import dataclasses
import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from supatoss.store.client import Connection, Function, read_row


@dataclass(frozen=True, slots=True)
class Failure:
    """Events of one order that need manual review, for one rule. ids: at most 20 of them, oldest first.

    reason, order_id and error are the oldest one's. error: only if the text is ours, never the database's.
    """

    rule: str
    subject: str
    reason: str | None
    order_id: str | None
    error: str | None
    events: int
    ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class Overcancelled:
    """A payment whose cancels exceed its amount. Amounts are decimal text."""

    order_id: str
    amount: str
    canceled: str


@dataclass(frozen=True, slots=True)
class DayDifferences:
    """Open findings about the payments of one day. kinds: how many of each kind."""

    day: str
    findings: int
    kinds: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ReconciliationFacts:
    """Open differences by day and by kind. reconciled_at: when the newest compared day was compared."""

    reconciled_at: dt.datetime | None = None
    kinds: Mapping[str, int] = field(default_factory=dict)
    days: tuple[DayDifferences, ...] = ()

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Raises KeyError, TypeError or ValueError."""
        at = row["reconciled_at"]
        days = tuple(read_row(DayDifferences, day) for day in row["days"])
        return cls(dt.datetime.fromisoformat(at) if at else None, row["kinds"], days)


@dataclass(frozen=True, slots=True)
class AlertFacts:
    """What the rules evaluate.

    unrefunded: orders whose refund to an account failed. gone: processes that ended without shutting down properly.
    acknowledged: types that were answered 200 and not stored within a day. recent_events: of the seven days before the
    newest event, counted up to 20.
    """

    read_at: dt.datetime
    oldest_waiting_seconds: float | None = None
    failed: tuple[Failure, ...] = ()
    has_more_failed: bool = False
    unapproved: tuple[str, ...] = ()
    overcancelled: tuple[Overcancelled, ...] = ()
    unrefunded: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    acknowledged: tuple[str, ...] = ()
    newest_event_at: dt.datetime | None = None
    recent_events: int = 0
    reconciliation: ReconciliationFacts = ReconciliationFacts()

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Reads the function's answer. Raises KeyError, TypeError or ValueError."""
        return cls(
            dt.datetime.fromisoformat(row["read_at"]),
            row["oldest_waiting_seconds"],
            tuple(read_row(Failure, failure) for failure in row["failed"]),
            row["has_more_failed"],
            tuple(row["unapproved"]),
            tuple(read_row(Overcancelled, payment) for payment in row["overcancelled"]),
            tuple(row["unrefunded"]),
            tuple(row["gone"]),
            tuple(row["acknowledged"]),
            dt.datetime.fromisoformat(row["newest_event_at"]) if row["newest_event_at"] else None,
            row["recent_events"],
            ReconciliationFacts.from_row(row["reconciliation"]),
        )


@dataclass(frozen=True, slots=True)
class UnsentAlert:
    """An alert whose start or end (phase) has not been sent yet; ours to send until the lease ends."""

    id: str
    token: str
    rule: str
    subject: str
    phase: str
    started_at: str
    ended_at: str | None
    attempts: int
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Look:
    """What one check of a process found; supatoss_note_alerts_v1 describes the elements."""

    read_at: dt.datetime
    observer: str
    findings: Sequence[Mapping[str, Any]] = ()
    judged: Sequence[Mapping[str, Any]] = ()
    past: Sequence[Mapping[str, Any]] = ()
    interval_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Noted:
    """What a check changed: open alerts by rule, and those that it started and ended."""

    open: Mapping[str, int]
    began: Sequence[Mapping[str, Any]]
    ended: Sequence[Mapping[str, Any]]


class AlertCalls(Connection):
    """Each call raises StoreUnavailable or StoreRefused."""

    async def oldest_waiting_seconds(self) -> float | None:
        """Age of the oldest pending event; None if there is none."""
        return await self.call(
            Function.OLDEST_WAITING_SECONDS, {}, lambda value: None if value is None else float(value), tries=1
        )

    async def read_alert_facts(self, max_items: int) -> AlertFacts:
        """The facts for the rules; lists hold at most max_items, oldest first."""
        return await self.call(Function.READ_ALERT_FACTS, {"max_items": max_items}, AlertFacts.from_row)

    async def note_alerts(self, look: Look) -> Noted:
        """Starts and ends alerts after one check. Idempotent."""
        text = json.dumps(dataclasses.asdict(look), ensure_ascii=False, default=dt.datetime.isoformat)
        return await self.call(Function.NOTE_ALERTS, {"look": text}, lambda row: read_row(Noted, row))

    async def forget_process(self, observer: str) -> None:
        """Records that a process is shutting down properly. Idempotent."""
        await self.call(Function.FORGET_PROCESS, {"observer": observer}, lambda _answer: None)

    async def claim_alerts(self, max_alerts: int, lease_seconds: int) -> list[UnsentAlert]:
        """Alerts to send, ours until the lease ends."""
        arguments = {"max_alerts": max_alerts, "lease_seconds": lease_seconds}
        return await self.call(
            Function.CLAIM_ALERTS, arguments, lambda rows: [read_row(UnsentAlert, row) for row in rows], tries=1
        )

    async def confirm_alerts(self, tokens: Sequence[str]) -> int:
        """Records that these were sent. Idempotent."""
        return await self.call(Function.CONFIRM_ALERTS, {"tokens": json.dumps(list(tokens))}, int)
