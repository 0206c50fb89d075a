"""What the database tells the rules of alerts, and the alerts that it keeps; the store's calls about them."""

import datetime as dt
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class FailedEvent:
    """An event that needs a person. error: only where its words are ours."""

    id: str
    reason: str | None
    order_id: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Overcancelled:
    """A payment of which more was cancelled than it cost. Amounts are decimal text."""

    order_id: str
    amount: str
    canceled: str


@dataclass(frozen=True, slots=True)
class AlertFacts:
    """One look. recent_events: events of the seven days before the newest one, counted to 20."""

    read_at: dt.datetime
    oldest_waiting_seconds: float | None = None
    failed: tuple[FailedEvent, ...] = ()
    has_more_failed: bool = False
    unapproved: tuple[str, ...] = ()
    overcancelled: tuple[Overcancelled, ...] = ()
    newest_event_at: dt.datetime | None = None
    recent_events: int = 0

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Reads the function's answer. Raises KeyError, TypeError or ValueError."""
        return cls(
            dt.datetime.fromisoformat(row["read_at"]),
            row["oldest_waiting_seconds"],
            tuple(FailedEvent(**event) for event in row["failed"]),
            row["has_more_failed"],
            tuple(row["unapproved"]),
            tuple(Overcancelled(**payment) for payment in row["overcancelled"]),
            dt.datetime.fromisoformat(row["newest_event_at"]) if row["newest_event_at"] else None,
            row["recent_events"],
        )


@dataclass(frozen=True, slots=True)
class UntoldAlert:
    """An alert whose start or end (phase) operators have not been told of; ours to tell until its lease ends."""

    id: str
    token: str
    rule: str
    subject: str
    phase: str
    started_at: str
    ended_at: str | None
    attempts: int
    details: Mapping[str, Any] = field(default_factory=dict)


class AlertCalls(ABC):
    """The calls of the store that are about alerts. Each raises StoreUnavailable or StoreRefused."""

    @abstractmethod
    async def _read(self, function: str, arguments: dict[str, Any], read: Any, tries: int = 2) -> Any:
        """Calls a function and reads its answer."""

    async def oldest_waiting_seconds(self) -> float | None:
        """Age of the event that waits longest for Toss; None when none waits."""
        answer: float | None = await self._read(
            "supatoss_oldest_waiting_seconds_v1", {}, lambda value: None if value is None else float(value), tries=1
        )
        return answer

    async def read_alert_facts(self, max_items: int) -> AlertFacts:
        """What the rules look at; lists hold at most max_items, oldest first."""
        arguments = {"max_items": max_items}
        facts: AlertFacts = await self._read("supatoss_read_alert_facts_v1", arguments, AlertFacts.from_row)
        return facts

    async def note_alerts(
        self, read_at: dt.datetime, observer: str, findings: Sequence[Mapping[str, Any]], own_rules: Sequence[str]
    ) -> dict[str, int]:
        """Starts and ends alerts by what one look found; noting twice is harmless. The open ones by rule."""
        look = {
            "read_at": read_at.isoformat(),
            "observer": observer,
            "findings": list(findings),
            "own_rules": list(own_rules),
        }
        text = json.dumps(look, ensure_ascii=False)
        counts: dict[str, int] = await self._read("supatoss_note_alerts_v1", {"look": text}, dict)
        return counts

    async def claim_alerts(self, max_alerts: int, lease_seconds: int) -> list[UntoldAlert]:
        """Alerts that operators are to be told of, ours until the lease ends."""
        arguments = {"max_alerts": max_alerts, "lease_seconds": lease_seconds}
        claimed: list[UntoldAlert] = await self._read(
            "supatoss_claim_alerts_v1", arguments, lambda rows: [UntoldAlert(**row) for row in rows], tries=1
        )
        return claimed

    async def confirm_alerts(self, tokens: Sequence[str]) -> int:
        """Operators have been told of these; confirming twice is harmless."""
        arguments = {"tokens": json.dumps(list(tokens))}
        confirmed: int = await self._read("supatoss_confirm_alerts_v1", arguments, int)
        return confirmed
