"""Runs of the reconciliation as the database keeps them, and the calls about them."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from supatoss.errors import SupatossError
from supatoss.store.client import Connection, Function
from supatoss.store.findings import Count, Finding, Kind, Listed, Outcome, Standing, Subject
from supatoss.toss.fields import parse_time

LEASE_SECONDS = 300
"""Longer than any step: a page of Toss may take 130 s, the looking up of a page's suspects as long again."""

RESUME_SECONDS = 24 * 3600
"""A run that broke off longer ago is not gone on with: what it had listed is old."""


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


class ReconciliationCalls(Connection):
    """Each call raises StoreUnavailable or StoreRefused."""

    async def open_reconciliation(
        self,
        subjects: Subjects,
        first_day: dt.date,
        last_day: dt.date,
        closes_at: dt.datetime,
        *,
        applies: bool,
        started_by: StartedBy,
    ) -> Run:
        """Begins a run, or resumes the one that broke off. Its `outcome`: opened, resumed, busy or done."""
        request = {
            "kind": subjects.value,
            "started_by": started_by.value,
            "first_day": first_day.isoformat(),
            "last_day": last_day.isoformat(),
            "closes_at": closes_at.isoformat(),
            "applies": applies,
            "lease_seconds": LEASE_SECONDS,
            "resume_seconds": RESUME_SECONDS,
        }
        # One try: a run that was opened while its answer got lost would look busy to the second.
        return await self.call(Function.OPEN_RECONCILIATION, {"request": _text(request)}, _run, tries=1)

    async def advance_reconciliation(
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
        is_ours = await self.call(Function.ADVANCE_RECONCILIATION, arguments, bool)
        # A finished run takes no step, so a second try whose first one was kept is not a loss.
        if not is_ours and not is_finished:
            raise LeaseLost("somebody else has taken the reconciliation over")

    async def release_reconciliation(self, run: Run) -> None:
        """Lets others go on with the run at once."""
        arguments = {"reconciliation": run.id, "lease": run.lease}
        await self.call(Function.RELEASE_RECONCILIATION, arguments, lambda _answer: None)

    async def read_reconciliation_page(
        self, run: Run, day_start: dt.datetime, day_end: dt.datetime, max_subjects: int
    ) -> list[Subject]:
        """The next payments after the run's position, by name; what they moved from day_start to before day_end."""
        arguments = {
            "reconciliation": run.id,
            "day_start": day_start.isoformat(),
            "day_end": day_end.isoformat(),
            "after_subject": run.position,
            "max_subjects": max_subjects,
        }
        return await self.call(
            Function.READ_RECONCILIATION_PAGE, arguments, lambda rows: [_subject(row) for row in rows]
        )

    async def read_standing(self, payment_key: str | None, order_id: str | None) -> Standing:
        """What we hold about a payment."""
        arguments = {"payment_key": payment_key, "order_id": order_id}
        return await self.call(Function.READ_PAYMENT_STANDING, arguments, Standing.of)

    async def repair_payment(self, repair: Mapping[str, Any]) -> Repaired:
        """Records what Toss says of a payment and makes its order's row that. Doing it twice is harmless."""
        return await self.call(Function.REPAIR_PAYMENT, {"repair": _text(repair)}, _repaired)

    async def read_settlements(self, keys: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Settlements of these transaction keys or settlement keys."""
        return await self.call(
            Function.READ_SETTLEMENTS, {"keys": _text(list(keys))}, lambda rows: [dict(row) for row in rows]
        )

    async def repair_settlement(self, repair: Mapping[str, Any]) -> Repaired:
        """Records what Toss says of a settlement. Doing it twice is harmless."""
        return await self.call(
            Function.REPAIR_SETTLEMENT, {"repair": _text(repair)}, lambda row: _repaired({**row, "standing": None})
        )

    async def read_findings(
        self, run: Run, after: str | None = None, outcome: Outcome | None = None, max_findings: int = 1000
    ) -> list[Finding]:
        """Findings of a run after a subject, by subject."""
        arguments = {
            "reconciliation": run.id,
            "after_subject": after,
            "of_outcome": outcome.value if outcome else None,
            "max_findings": max_findings,
        }
        return await self.call(Function.READ_FINDINGS, arguments, lambda rows: [Finding.of(row) for row in rows])

    async def count_findings(self, run: Run) -> list[Count]:
        """How many findings a run has, by kind and outcome."""
        return await self.call(
            Function.COUNT_FINDINGS,
            {"reconciliation": run.id},
            lambda rows: [Count(Kind(row["kind"]), Outcome(row["outcome"]), int(row["count"])) for row in rows],
        )


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


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
