"""Batches of events that an operator replays or ignores, stored from the dry run to the last outcome."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from supatoss.store.client import Connection, Function
from supatoss.store.events import EventOutcome


@dataclass(frozen=True, slots=True)
class TriedEvent:
    """An event of a batch, and what the dry run said of it."""

    event_type: str
    order_id: str | None
    amount: str | None
    currency: str | None
    status_before: str
    outcome: EventOutcome

    def to_json(self) -> dict[str, Any]:
        """An element of supatoss.operator_batches.dry_run."""
        facts = {name: getattr(self, name) for name in ("event_type", "order_id", "amount", "currency")}
        return {**facts, "status_before": self.status_before, **self.outcome.to_json()}

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Self:
        """Reads to_json's. Raises KeyError or TypeError."""
        return cls(
            item["event_type"],
            item["order_id"],
            item["amount"],
            item["currency"],
            item["status_before"],
            EventOutcome(item["event"], item["outcome"], item["status"], item["reason"]),
        )


@dataclass(frozen=True, slots=True)
class NewBatch:
    """A batch after its dry run. action: replay or ignore; chosen: how its events were chosen, for people."""

    id: str
    actor: str
    action: str
    chosen: Mapping[str, str]
    tried: Sequence[TriedEvent]
    has_more: bool

    def to_json(self) -> dict[str, Any]:
        """supatoss_open_batch_v1's argument."""
        return {
            "id": self.id,
            "actor": self.actor,
            "action": self.action,
            "chosen": dict(self.chosen),
            "event_ids": [tried.outcome.event for tried in self.tried],
            "dry_run": [tried.to_json() for tried in self.tried],
            "has_more": self.has_more,
        }


@dataclass(frozen=True, slots=True)
class Batch:
    """A stored batch. is_leased: a request is working on it. outcomes: those of the events done so far."""

    id: str
    created_at: dt.datetime
    actor: str
    action: str
    chosen: Mapping[str, str]
    tried: tuple[TriedEvent, ...]
    has_more: bool
    confirmed_at: dt.datetime | None
    confirmed_by: str | None
    reason: str | None
    outcomes: tuple[EventOutcome, ...]
    finished_at: dt.datetime | None
    is_leased: bool

    @property
    def left(self) -> list[str]:
        """Ids of the events that have no outcome yet, in order."""
        done = {outcome.event for outcome in self.outcomes}
        return [tried.outcome.event for tried in self.tried if tried.outcome.event not in done]

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any] | None) -> Self | None:
        """Reads a batch of the database. Raises KeyError, TypeError or ValueError."""
        if answer is None:
            return None
        times: dict[str, Any] = {
            name: dt.datetime.fromisoformat(answer[name]) if answer[name] else None
            for name in ("created_at", "confirmed_at", "finished_at")
        }
        plain = {
            name: answer[name]
            for name in ("id", "actor", "action", "chosen", "has_more", "confirmed_by", "reason", "is_leased")
        }
        return cls(
            **plain,
            **times,
            tried=tuple(map(TriedEvent.of, answer["dry_run"])),
            outcomes=tuple(EventOutcome.from_row(outcome) for outcome in answer["outcomes"]),
        )


class BatchCalls(Connection):
    """Each call raises StoreUnavailable or StoreRefused."""

    async def open_batch(self, batch: NewBatch) -> None:
        """Stores a batch. Idempotent."""
        text = json.dumps(batch.to_json(), ensure_ascii=False)
        await self.call(Function.OPEN_BATCH, {"batch": text}, lambda _answer: None)

    async def read_batch(self, batch_id: str) -> Batch | None:
        """A batch, None where there is none."""
        return await self.call(Function.READ_BATCH, {"batch": batch_id}, Batch.from_answer)

    async def claim_batch(self, batch_id: str, actor: str, reason: str | None) -> Batch | None:
        """Leases a batch for a minute; None if it is finished, in progress or too old."""
        arguments = {"batch": batch_id, "actor": actor, "reason": reason}
        # One try: a second one would find the first one's lease.
        return await self.call(Function.CLAIM_BATCH, arguments, Batch.from_answer, tries=1)

    async def note_batch(self, batch_id: str, outcomes: Sequence[EventOutcome]) -> None:
        """Records the outcomes of some of its events."""
        text = json.dumps([outcome.to_json() for outcome in outcomes])
        await self.call(Function.NOTE_BATCH, {"batch": batch_id, "outcomes": text}, lambda _answer: None, tries=1)
