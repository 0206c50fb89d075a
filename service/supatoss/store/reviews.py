"""What is left to do about reconciliations: days that were never compared, open orders, open findings, the page."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from supatoss.store.client import Connection, Function, read_object
from supatoss.store.findings import Finding
from supatoss.store.reconciliation import Run, Scope


@dataclass(frozen=True, slots=True)
class UncomparedDays:
    """Days that no complete run has compared: how many, and the newest of them, newest first."""

    total: int
    days: Sequence[dt.date]


@dataclass(frozen=True, slots=True)
class OpenFinding:
    """A difference that is neither repaired nor resolved."""

    id: str
    scope: Scope
    finding: Finding


@dataclass(frozen=True, slots=True)
class FindingFilter:
    """Which open findings. Empty fields match everything."""

    ids: tuple[str, ...] = ()
    day: dt.date | None = None
    order_id: str | None = None
    payment_key: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As supatoss_ignore_findings_v1 takes it."""
        wanted = {
            "ids": list(self.ids),
            "day": self.day.isoformat() if self.day else None,
            "order_id": self.order_id,
            "payment_key": self.payment_key,
        }
        return {name: value for name, value in wanted.items() if value}


@dataclass(frozen=True, slots=True)
class OpenFindings:
    """Open findings, and whether the limit left some out."""

    findings: Sequence[OpenFinding]
    has_more: bool


class ReviewCalls(Connection):
    """Each call raises StoreUnavailable or StoreRefused."""

    async def uncompared_days(self, last_day: dt.date, max_days: int) -> UncomparedDays:
        """Days in Korea, from that of the first event to last_day, that were never compared."""
        return await self.call(
            Function.UNCOMPARED_DAYS,
            {"last_day": last_day.isoformat(), "max_days": max_days},
            lambda row: UncomparedDays(int(row["total"]), [dt.date.fromisoformat(day) for day in row["days"]]),
        )

    async def read_open_orders(
        self, run: Run, day_start: dt.datetime, day_end: dt.datetime, max_orders: int
    ) -> list[str]:
        """Order ids after the run's position: unpaid rows of these days that Toss didn't list."""
        arguments = {
            "reconciliation": run.id,
            "day_start": day_start.isoformat(),
            "day_end": day_end.isoformat(),
            "after_order": run.position,
            "max_orders": max_orders,
        }
        return await self.call(Function.READ_OPEN_ORDERS, arguments, lambda rows: [str(order) for order in rows])

    async def read_open_findings(self, older_than_seconds: float, max_findings: int) -> list[OpenFinding]:
        """Findings that were last looked up longer ago than that."""
        arguments = {"older_than_seconds": older_than_seconds, "max_findings": max_findings}
        return await self.call(
            Function.READ_OPEN_FINDINGS,
            arguments,
            lambda rows: [_open_finding(row) for row in rows],
        )

    async def note_findings(self, reviewed: Mapping[str, bool]) -> int:
        """Records by id whether findings still differ; returns how many no longer do. Idempotent."""
        items = [{"id": name, "is_resolved": is_resolved} for name, is_resolved in reviewed.items()]
        return await self.call(Function.NOTE_FINDINGS, {"reviewed": json.dumps(items)}, int)

    async def ignore_findings(
        self,
        wanted: FindingFilter,
        reason: str,
        *,
        actor: str,
        address: str | None = None,
        dry_run: bool,
        max_findings: int,
    ) -> OpenFindings:
        """Ignores open findings."""
        arguments = {
            "wanted": json.dumps(wanted.to_json()),
            "reason": reason,
            "actor": actor,
            "dry_run": dry_run,
            "max_findings": max_findings,
            "address": address,
        }
        # One try: a second one would find nothing open any more.
        return await self.call(
            Function.IGNORE_FINDINGS,
            arguments,
            _open_findings,
            tries=1,
        )

    async def find_open_findings(self, wanted: FindingFilter, max_findings: int) -> OpenFindings:
        """Open findings by id or day, newest day first; not those of a run that goes on."""
        arguments = {"wanted": json.dumps(wanted.to_json()), "max_findings": max_findings}
        return await self.call(Function.FIND_OPEN_FINDINGS, arguments, _open_findings)

    async def note_repairs(self, repaired: Mapping[str, Finding], *, actor: str, address: str | None) -> int:
        """Records the results of an operator's repairs, by finding; returns how many findings were still open."""
        items = [
            {
                "id": name,
                "outcome": finding.outcome.value,
                "reason": finding.reason.value if finding.reason else None,
                "event_id": finding.event_id,
            }
            for name, finding in repaired.items()
        ]
        arguments = {"repaired": json.dumps(items), "actor": actor, "address": address}
        # One try: a second one would find nothing open any more.
        return await self.call(Function.NOTE_REPAIRS, arguments, int, tries=1)

    async def read_reconciliations(self, day: dt.date | None) -> dict[str, Any]:
        """The last runs and the open findings, of one day or all, for the operators' page."""
        arguments = {"p_day": day.isoformat() if day else None}
        return await self.call(Function.OPS_RECONCILIATIONS, arguments, read_object)


def _open_finding(row: Mapping[str, Any]) -> OpenFinding:
    return OpenFinding(row["id"], Scope(row["scope"]), Finding.of(row))


def _open_findings(answer: Mapping[str, Any]) -> OpenFindings:
    return OpenFindings([_open_finding(row) for row in answer["findings"]], answer["has_more"])
