"""Reconciliation runs as the database stores them, and the calls about them."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from supatoss.errors import SupatossError
from supatoss.store.client import Connection, Function
from supatoss.store.findings import Finding, FindingCount, FindingKind, FindingOutcome
from supatoss.store.standings import ComparedPayment, ListedTransaction, Standing
from supatoss.toss.fields import parse_time

LEASE_SECONDS = 300
"""Longer than any step: a page of Toss's list may take 130 s, and the look-ups for it as long again."""

RESUME_SECONDS = 24 * 3600
"""A run interrupted longer ago is not resumed: its list is out of date."""


class Scope(StrEnum):
    """What is compared."""

    PAYMENTS = "payments"
    SETTLEMENTS = "settlements"


class StartedBy(StrEnum):
    """Who starts a run. There is one scheduled run a day."""

    OPERATOR = "operator"
    SCHEDULE = "schedule"


class Phase(StrEnum):
    """Step of a run: list a day's transactions, compare them, look up its open orders, or repair the findings."""

    LIST = "list"
    COMPARE = "compare"
    ASK = "ask"
    REPAIR = "repair"


class AlreadyRunning(SupatossError):
    """Another process works on this run; if that process dies, its lease expires within minutes."""


class LeaseLost(SupatossError):
    """Another process has taken the run over because this one was too slow."""


@dataclass(slots=True)
class Run:
    """A run and its position. `lease` is None if this process must not continue it. Counts are of the whole run.

    orders_asked: open orders that were looked up at Toss; orders_left_out: a day had too many of them. incomplete: what
    was not compared, and why: {name of a key: problem}.
    """

    id: str
    outcome: str
    lease: str | None
    closes_at: dt.datetime
    day: dt.date
    phase: Phase
    position: str | None
    listed: int
    compared: int
    orders_asked: int
    orders_left_out: bool
    incomplete: dict[str, str]
    finished_at: dt.datetime | None

    @property
    def is_ours(self) -> bool:
        """Whether this process works on it."""
        return self.outcome in ("opened", "resumed")


@dataclass(frozen=True, slots=True)
class RepairResult:
    """Result of a repair: the event's status and reason, and the standing afterwards."""

    event_id: str | None
    status: str
    reason: str | None
    standing: Standing | None


class ReconciliationCalls(Connection):
    """Each call raises StoreUnavailable or StoreRefused."""

    async def open_reconciliation(
        self,
        scope: Scope,
        first_day: dt.date,
        last_day: dt.date,
        closes_at: dt.datetime,
        *,
        applies: bool,
        started_by: StartedBy,
        retry_seconds: float = 0.0,
    ) -> Run:
        """Starts a run, or resumes an interrupted one. Its `outcome`: opened, resumed or busy.

        Of a scheduled run also done (the day is compared), or later: it was interrupted within the hour, or was
        incomplete within retry_seconds.
        """
        request = {
            "kind": scope.value,
            "started_by": started_by.value,
            "first_day": first_day.isoformat(),
            "last_day": last_day.isoformat(),
            "closes_at": closes_at.isoformat(),
            "applies": applies,
            "lease_seconds": LEASE_SECONDS,
            "resume_seconds": RESUME_SECONDS,
            "retry_seconds": retry_seconds,
        }
        # One try: if the answer gets lost after the run was opened, a second try would find it busy.
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
        """Stores a step and the run's position in one transaction. Raises LeaseLost."""
        step = {
            "id": run.id,
            "lease": run.lease,
            "lease_seconds": LEASE_SECONDS,
            "day": run.day.isoformat(),
            "phase": run.phase.value,
            "position": run.position,
            "compared": run.compared,
            "orders_asked": run.orders_asked,
            "orders_left_out": run.orders_left_out,
            "incomplete": run.incomplete,
            "ends_day": ends_day,
            "is_finished": is_finished,
        }
        arguments = {
            "step": _text(step),
            "transactions": list(listed),
            "findings": [finding.to_json() for finding in findings],
        }
        is_ours = await self.call(Function.ADVANCE_RECONCILIATION, arguments, bool)
        # A finished run takes no more steps, so a retry of its last step is refused although the first try was stored.
        if not is_ours and not is_finished:
            raise LeaseLost("another process has taken over this reconciliation")

    async def release_reconciliation(self, run: Run, problem: str | None = None) -> None:
        """Releases the lease, so that others can resume the run at once, or the schedule in an hour if it failed."""
        arguments = {"reconciliation": run.id, "lease": run.lease, "problem": problem}
        await self.call(Function.RELEASE_RECONCILIATION, arguments, lambda _answer: None)

    async def read_reconciliation_page(
        self, run: Run, day_start: dt.datetime, day_end: dt.datetime, max_subjects: int
    ) -> list[ComparedPayment]:
        """The next payments after the run's position, by name, with their transactions between the two times."""
        arguments = {
            "reconciliation": run.id,
            "day_start": day_start.isoformat(),
            "day_end": day_end.isoformat(),
            "after_subject": run.position,
            "max_subjects": max_subjects,
        }
        return await self.call(
            Function.READ_RECONCILIATION_PAGE, arguments, lambda rows: [_compared_payment(row) for row in rows]
        )

    async def read_standing(self, payment_key: str | None, order_id: str | None) -> Standing:
        """Our rows about a payment."""
        arguments = {"payment_key": payment_key, "order_id": order_id}
        return await self.call(Function.READ_PAYMENT_STANDING, arguments, Standing.of)

    async def repair_payment(self, repair: Mapping[str, Any], *, dry_run: bool = False) -> RepairResult:
        """Records Toss's state of a payment and updates its order's row. Idempotent. dry_run takes it back."""
        return await self.call(Function.REPAIR_PAYMENT, {"repair": _text(repair), "dry_run": dry_run}, _repaired)

    async def read_settlements(self, keys: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Settlements with these transaction keys or settlement keys."""
        return await self.call(
            Function.READ_SETTLEMENTS, {"keys": _text(list(keys))}, lambda rows: [dict(row) for row in rows]
        )

    async def repair_settlement(self, repair: Mapping[str, Any], *, dry_run: bool = False) -> RepairResult:
        """Records Toss's state of a settlement. Idempotent. dry_run takes it back."""
        arguments = {"repair": _text(repair), "dry_run": dry_run}
        return await self.call(Function.REPAIR_SETTLEMENT, arguments, lambda row: _repaired({**row, "standing": None}))

    async def read_findings(
        self, run: Run, after: str | None = None, outcome: FindingOutcome | None = None, max_findings: int = 1000
    ) -> list[Finding]:
        """Findings of a run after a subject, ordered by subject."""
        arguments = {
            "reconciliation": run.id,
            "after_subject": after,
            "of_outcome": outcome.value if outcome else None,
            "max_findings": max_findings,
        }
        return await self.call(Function.READ_FINDINGS, arguments, lambda rows: [Finding.of(row) for row in rows])

    async def count_findings(self, run: Run) -> list[FindingCount]:
        """Numbers of findings of a run, by kind and outcome."""
        return await self.call(
            Function.COUNT_FINDINGS,
            {"reconciliation": run.id},
            lambda rows: [
                FindingCount(FindingKind(row["kind"]), FindingOutcome(row["outcome"]), int(row["count"]))
                for row in rows
            ],
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
        orders_asked=int(row["orders_asked"]),
        orders_left_out=bool(row["orders_left_out"]),
        incomplete=dict(row["incomplete"]),
        finished_at=parse_time(row["finished_at"]),
    )


def _compared_payment(row: Mapping[str, Any]) -> ComparedPayment:
    return ComparedPayment(
        name=row["subject"],
        payment_key=row["payment_key"],
        order_id=row["order_id"],
        listed=tuple(
            ListedTransaction(
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


def _repaired(row: Mapping[str, Any]) -> RepairResult:
    standing = row["standing"]
    return RepairResult(row["event"], row["status"], row["reason"], Standing.of(standing) if standing else None)
