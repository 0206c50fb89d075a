"""The tables of reconciliations, through the functions of supabase/migrations/20261125002100 to 20261125002300."""

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar

from supatoss.errors import StoreRefused, SupatossError
from supatoss.reconcile.comparison import Listed, Subject
from supatoss.reconcile.days import Days, Window
from supatoss.reconcile.findings import Count, Finding, Kind, Outcome
from supatoss.reconcile.standing import Standing
from supatoss.store import Store
from supatoss.toss.times import parse_time

LEASE_SECONDS = 300
"""Longer than any step: a page of Toss may take 130 s, the looking up of a page's suspects as long again."""

RESUME_SECONDS = 24 * 3600
"""A run that broke off longer ago is not gone on with: what it had listed is old."""

T = TypeVar("T")


class Subjects(StrEnum):
    """What is compared."""

    PAYMENTS = "payments"
    SETTLEMENTS = "settlements"


class StartedBy(StrEnum):
    """Who runs it. A scheduled run is there once a day."""

    OPERATOR = "operator"
    SCHEDULE = "schedule"


class Phase(StrEnum):
    """Where a run is: listing Toss's transactions of a day, comparing them, or repairing what the days showed."""

    LIST = "list"
    COMPARE = "compare"
    REPAIR = "repair"


class Busy(SupatossError):
    """Somebody else is at this run; its lease ends by itself within minutes of its process."""


class LeaseLost(SupatossError):
    """The run is somebody else's by now: this one was too slow."""


@dataclass(slots=True)
class Run:
    """A run and where it is. `lease` is None where it is not ours to go on with. Counts are those of the whole run."""

    id: str
    outcome: str
    lease: str | None
    closes_at: dt.datetime
    day: dt.date
    phase: Phase
    position: str | None
    listed: int
    compared: int
    finished_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Repaired:
    """What the database made of a repair: the event's status and reason, and the standing afterwards."""

    event_id: str | None
    status: str
    reason: str | None
    standing: Standing | None


class ReconciliationTable:
    """Runs and findings. Every method raises StoreUnavailable or StoreRefused."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def open(
        self, subjects: Subjects, days: Days, closes_at: dt.datetime, *, applies: bool, started_by: StartedBy
    ) -> Run:
        """Begins a run, or goes on with the one that broke off. Its `outcome`: opened, resumed, busy or done."""
        request = {
            "kind": subjects.value,
            "started_by": started_by.value,
            "first_day": days.first.isoformat(),
            "last_day": days.last.isoformat(),
            "closes_at": closes_at.isoformat(),
            "applies": applies,
            "lease_seconds": LEASE_SECONDS,
            "resume_seconds": RESUME_SECONDS,
        }
        # One try: a run that was opened while its answer got lost would look busy to the second.
        answer = await self._store.call("supatoss_open_reconciliation_v1", {"request": _text(request)}, tries=1)
        return _read("supatoss_open_reconciliation_v1", lambda: _run(answer))

    async def advance(
        self,
        run: Run,
        listed: Sequence[Mapping[str, Any]] = (),
        findings: Sequence[Finding] = (),
        *,
        ends_day: bool = False,
        is_finished: bool = False,
    ) -> None:
        """Keeps a step and where the run is now, in one transaction. Raises LeaseLost."""
        step = {
            "id": run.id,
            "lease": run.lease,
            "lease_seconds": LEASE_SECONDS,
            "day": run.day.isoformat(),
            "phase": run.phase.value,
            "position": run.position,
            "compared": run.compared,
            "ends_day": ends_day,
            "is_finished": is_finished,
        }
        arguments = {
            "step": _text(step),
            "transactions": list(listed),
            "findings": [finding.to_json() for finding in findings],
        }
        is_ours = await self._store.call("supatoss_advance_reconciliation_v1", arguments)
        # A finished run takes no step, so a second try whose first one was kept is not a loss.
        if not is_ours and not is_finished:
            raise LeaseLost("somebody else has taken the reconciliation over")

    async def release(self, run: Run) -> None:
        """Lets others go on with the run at once."""
        arguments = {"reconciliation": run.id, "lease": run.lease}
        await self._store.call("supatoss_release_reconciliation_v1", arguments)

    async def read_page(self, run: Run, window: Window, max_subjects: int) -> list[Subject]:
        """The next payments after the run's position, by name."""
        arguments = {
            "reconciliation": run.id,
            "day_start": window.start.isoformat(),
            "day_end": window.end.isoformat(),
            "after_subject": run.position,
            "max_subjects": max_subjects,
        }
        rows = await self._store.call("supatoss_read_reconciliation_page_v1", arguments)
        return _read("supatoss_read_reconciliation_page_v1", lambda: [_subject(row) for row in rows])

    async def read_standing(self, payment_key: str | None, order_id: str | None) -> Standing:
        """What we hold about a payment."""
        arguments = {"payment_key": payment_key, "order_id": order_id}
        answer = await self._store.call("supatoss_read_payment_standing_v1", arguments)
        return _read("supatoss_read_payment_standing_v1", lambda: Standing.of(answer))

    async def repair_payment(self, repair: Mapping[str, Any]) -> Repaired:
        """Records what Toss says of a payment and makes its order's row that. Doing it twice is harmless."""
        answer = await self._store.call("supatoss_repair_payment_v1", {"repair": _text(repair)})
        return _read("supatoss_repair_payment_v1", lambda: _repaired(answer))

    async def read_settlements(self, keys: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Settlements of these transaction keys or settlement keys."""
        answer = await self._store.call("supatoss_read_settlements_v1", {"keys": _text(list(keys))})
        return _read("supatoss_read_settlements_v1", lambda: [dict(row) for row in answer])

    async def repair_settlement(self, repair: Mapping[str, Any]) -> Repaired:
        """Records what Toss says of a settlement. Doing it twice is harmless."""
        answer = await self._store.call("supatoss_repair_settlement_v1", {"repair": _text(repair)})
        return _read("supatoss_repair_settlement_v1", lambda: _repaired({**answer, "standing": None}))

    async def findings(
        self, run: Run, after: str | None = None, outcome: Outcome | None = None, max_findings: int = 1000
    ) -> list[Finding]:
        """Findings of a run after a subject, by subject."""
        arguments = {
            "reconciliation": run.id,
            "after_subject": after,
            "of_outcome": outcome.value if outcome else None,
            "max_findings": max_findings,
        }
        rows = await self._store.call("supatoss_read_reconciliation_findings_v1", arguments)
        return _read("supatoss_read_reconciliation_findings_v1", lambda: [Finding.of(row) for row in rows])

    async def counts(self, run: Run) -> list[Count]:
        """How many findings a run has, by kind and outcome."""
        rows = await self._store.call("supatoss_count_reconciliation_findings_v1", {"reconciliation": run.id})
        return _read(
            "supatoss_count_reconciliation_findings_v1",
            lambda: [Count(Kind(row["kind"]), Outcome(row["outcome"]), int(row["count"])) for row in rows],
        )


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _read(function: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except (TypeError, KeyError, ValueError, AttributeError, ArithmeticError) as error:
        raise StoreRefused(f"{function} answered in an unexpected form") from error


def _run(row: Mapping[str, Any]) -> Run:
    closes_at = parse_time(row["closes_at"])
    if closes_at is None:
        raise ValueError("closes_at")
    return Run(
        id=row["id"],
        outcome=row["outcome"],
        lease=row["lease"],
        closes_at=closes_at,
        day=dt.date.fromisoformat(row["day"]),
        phase=Phase(row["phase"]),
        position=row["position"],
        listed=int(row["listed"]),
        compared=int(row["compared"]),
        finished_at=parse_time(row["finished_at"]),
    )


def _subject(row: Mapping[str, Any]) -> Subject:
    return Subject(
        name=row["subject"],
        payment_key=row["payment_key"],
        order_id=row["order_id"],
        listed=tuple(
            Listed(
                item["transaction_key"],
                item["status"],
                None if item["amount"] is None else Decimal(item["amount"]),
                item["currency"],
                parse_time(item["transaction_at"]),
            )
            for item in row["transactions"]
        ),
        standing=Standing.of(row["standing"]),
    )


def _repaired(row: Mapping[str, Any]) -> Repaired:
    standing = row["standing"]
    return Repaired(row["event"], row["status"], row["reason"], Standing.of(standing) if standing else None)
