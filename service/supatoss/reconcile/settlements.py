"""Settlements: compares Toss's settlements for a day of sales with our rows. Test keys get none."""

import datetime as dt
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from supatoss.inbox.event import Meaning, NewEvent, Proof
from supatoss.inbox.interpret import interpret
from supatoss.reconcile.records import TossRecords
from supatoss.store import Store
from supatoss.store.findings import MERCHANT_ID, Finding, FindingKind, FindingOutcome, FindingReason, Repair
from supatoss.toss.delivery import read_body
from supatoss.toss.events import SettlementCompleted, UnknownEvent
from supatoss.toss.models import Settlement, SettlementRow

EVENT_TYPE = "supatoss.settlement_reconciled"

_COMPARED = ("amount", "pay_out_amount")


class SettlementReconciler:
    """The steps of a run over settlements."""

    def __init__(self, store: Store, records: TossRecords) -> None:
        self._store = store
        self._records = records

    async def pages(self, day: dt.date) -> AsyncIterator[tuple[int, list[Finding]]]:
        """For each page of a day's sales: its number of rows, and the differences."""
        async for page in self._records.settlements(day):
            yield len(page), await self._compare(page, day)

    async def repair(self, findings: Sequence[Finding], *, dry_run: bool = False) -> list[Repair]:
        """Records what Toss listed, and says what became of each finding. dry_run takes it back."""
        return [await self._repair(finding, dry_run) for finding in findings]

    async def _compare(self, page: Sequence[SettlementRow], day: dt.date) -> list[Finding]:
        changes = [{**change, MERCHANT_ID: row.m_id} for row in page if (change := _meaning(row).change)]
        stored = await self._store.read_settlements(
            [{name: change.get(name) for name in ("transaction_key", "settlement_key")} for change in changes]
        )
        by_key = {row["settlement_key"]: row for row in stored} | {
            row["transaction_key"]: row for row in stored if row["transaction_key"]
        }
        findings = [_unnamed(row, day) for row in page if _meaning(row).change is None]
        for change in changes:
            ours = by_key.get(change.get("transaction_key") or "") or by_key.get(change["settlement_key"])
            if ours is None:
                findings.append(_finding(change, day, FindingKind.MISSING, {}))
            elif _differ(ours, change):
                # Our row keeps its key, whoever chose it.
                named = {**change, "settlement_key": ours["settlement_key"]}
                findings.append(_finding(named, day, FindingKind.AMOUNT, ours))
        return findings

    async def _repair(self, finding: Finding, dry_run: bool) -> Repair:
        if not finding.theirs:
            return Repair(finding.with_outcome(FindingOutcome.NEEDS_PERSON, FindingReason.NO_PAYMENT_NAMED))
        event = _event(_without_merchant(finding.theirs)).to_record()
        repaired = await self._store.repair_settlement({"event": event}, dry_run=dry_run)
        if repaired.status == "processed":
            done = finding.with_outcome(FindingOutcome.REPAIRED, event_id=repaired.event_id)
            return Repair(done, finding.ours, _without_merchant(finding.theirs))
        reason = FindingReason.REFUSED_BY_DATABASE
        return Repair(finding.with_outcome(FindingOutcome.NEEDS_PERSON, reason, repaired.event_id), finding.ours)


async def is_settled(store: Store, finding: Finding) -> bool:
    """Whether our row now shows what Toss listed when the difference was found."""
    if not finding.theirs:
        return False
    names = ("transaction_key", "settlement_key")
    stored = await store.read_settlements([{name: finding.theirs.get(name) for name in names}])
    return any(not _differ(row, finding.theirs) for row in stored)


def _without_merchant(theirs: Mapping[str, Any]) -> dict[str, Any]:
    """The change itself: whose it is belongs to the report alone."""
    return {name: value for name, value in theirs.items() if name != MERCHANT_ID}


def _meaning(row: SettlementRow) -> Meaning:
    """What the row means, read like a SETTLEMENT_COMPLETED event."""
    fields = {
        "transaction_key": row.transaction_key,
        "payment_key": row.payment_key,
        "order_id": row.order_id,
        "currency": row.currency,
        "amount": row.amount,
        "pay_out_amount": row.pay_out_amount,
        "fee": fee_of(row),
        "sold_date": row.sold_date and row.sold_date.isoformat(),
        "paid_out_date": row.paid_out_date and row.paid_out_date.isoformat(),
    }
    return _read(fields)


def _read(fields: Mapping[str, Any]) -> Meaning:
    settlement = Settlement.model_validate(fields)
    return interpret(SettlementCompleted(event_type=SettlementCompleted.TYPE, data=settlement))


def fee_of(row: SettlementRow) -> Decimal | None:
    """The sum of its fees; some rows have one `fee` in their place."""
    parts = [part.fee for part in row.fees if part.fee is not None]
    return sum(parts, Decimal(0)) if parts else row.fee


def _event(change: Mapping[str, Any]) -> NewEvent:
    """An event of our own. The same settlement always makes the same event."""
    now = dt.datetime.now(dt.UTC)
    body = {"eventType": EVENT_TYPE, "data": dict(change)}
    read = read_body(json.dumps(body, ensure_ascii=False).encode())
    meaning = replace(_read(change), change=change, observed_at=now)
    return NewEvent(UnknownEvent(event_type=EVENT_TYPE), read, meaning, Proof.TOSS_API, now)


def _differ(ours: Mapping[str, Any], change: Mapping[str, Any]) -> bool:
    return any(
        change.get(name) is not None and (ours[name] is None or Decimal(ours[name]) != Decimal(change[name]))
        for name in _COMPARED
    ) or (change.get("currency") is not None and ours["currency"] not in (None, change["currency"]))


def _finding(change: Mapping[str, Any], day: dt.date, kind: FindingKind, ours: Mapping[str, Any]) -> Finding:
    return Finding(
        subject=change["settlement_key"],
        kind=kind,
        day=day,
        payment_key=change.get("payment_key"),
        order_id=change.get("order_id"),
        transaction_key=change.get("transaction_key"),
        ours=ours,
        theirs=change,
    )


def _unnamed(row: SettlementRow, day: dt.date) -> Finding:
    subject = f"unnamed:{row.sold_date}:{row.amount}:{row.pay_out_amount}"
    return Finding(subject, FindingKind.MISSING, day, None, None, reason=FindingReason.NO_PAYMENT_NAMED)
