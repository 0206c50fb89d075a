"""Payments: compares a day's transactions with our rows, and repairs a row from Toss's answer about its payment."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any

from supatoss.inbox.event import NewEvent, Proof
from supatoss.inbox.interpret import interpret_payment
from supatoss.inbox.observe import observed
from supatoss.reconcile.compare import difference, is_suspect, refund_status_of
from supatoss.reconcile.records import LOOKUPS_AT_ONCE, TossRecords, Window
from supatoss.store import Store
from supatoss.store.findings import Finding, FindingKind, FindingOutcome, FindingReason, Repair
from supatoss.store.reconciliation import Run
from supatoss.store.standings import MOVED, ComparedPayment, Standing, cancels_of
from supatoss.toss.delivery import read_body
from supatoss.toss.events import UnknownEvent
from supatoss.toss.models import Payment, PaymentAnswer

EVENT_TYPE = "supatoss.payment_reconciled"


class PaymentReconciler:
    """The steps of a run over payments."""

    def __init__(self, store: Store, records: TossRecords) -> None:
        self._store = store
        self._records = records

    async def page(self, run: Run, window: Window) -> tuple[list[ComparedPayment], list[Finding]]:
        """The next payments after the run's position, and how they differ."""
        payments = await self._store.read_reconciliation_page(run, window.start, window.end, self._records.step_size)
        suspects = [payment for payment in payments if is_suspect(payment, window)]
        findings = [_missing(payment, run.day) for payment in suspects if _is_clearly_missing(payment)]
        unclear = [payment for payment in suspects if not _is_clearly_missing(payment)]
        for first in range(0, len(unclear), LOOKUPS_AT_ONCE):
            findings += await self._look_up(unclear[first : first + LOOKUPS_AT_ONCE], run.day)
        return payments, findings

    async def repair(self, findings: Sequence[Finding], *, dry_run: bool = False) -> list[Repair]:
        """Looks each payment up, records Toss's answer, and says what became of each finding. dry_run takes it back."""
        keys = [finding.payment_key for finding in findings if finding.payment_key]
        answers = dict(zip(keys, await self._records.payments(keys), strict=True))
        return [await self._repair(finding, answers.get(finding.payment_key or ""), dry_run) for finding in findings]

    async def _look_up(self, payments: Sequence[ComparedPayment], day: dt.date) -> list[Finding]:
        answers = await self._records.payments(
            [payment.payment_key or "" for payment in payments],
            [payment.standing.row.merchant_id if payment.standing.row else None for payment in payments],
        )
        findings: list[Finding] = []
        for payment, answer in zip(payments, answers, strict=True):
            if isinstance(answer, FindingReason):
                kind = FindingKind.MISSING if payment.standing.shown(payment.payment_key) is None else FindingKind.EXTRA
                kind = FindingKind.STATUS if answer is FindingReason.NOT_ANSWERED else kind
                findings.append(_finding(payment, day, kind, answer, payment.standing, None))
                continue
            # Read again after Toss answered: a webhook may have arrived in the meantime.
            standing = await self._store.read_standing(payment.payment_key, answer.payment.order_id)
            if differs := difference(standing, answer.payment):
                findings.append(_finding(payment, day, *differs, standing, answer.payment))
        return findings

    async def _repair(self, finding: Finding, answer: PaymentAnswer | FindingReason | None, dry_run: bool) -> Repair:
        if answer is None:
            return _to_a_person(finding, FindingReason.NO_PAYMENT_NAMED)
        if answer is FindingReason.UNKNOWN_TO_TOSS and finding.order_id:
            answer = await self._records.payment_of_order(finding.order_id)
        if isinstance(answer, FindingReason):
            return _to_a_person(finding, answer)
        if answer.payment.payment_key != finding.payment_key:
            return await self._repair_by_order(finding, answer, dry_run)
        payment = answer.payment
        if not payment.order_id or observed(answer).change is None:
            return _to_a_person(finding, FindingReason.UNKNOWN_STATUS)
        standing = await self._store.read_standing(payment.payment_key, payment.order_id)
        if difference(standing, payment) is None:
            return Repair(finding.with_outcome(FindingOutcome.REPAIRED), row_of(standing), row_of(standing))
        repaired = await self._store.repair_payment(_repair_of(answer), dry_run=dry_run)
        is_repaired = repaired.standing is not None and difference(repaired.standing, payment) is None
        if is_repaired and repaired.status != "failed":
            done = finding.with_outcome(FindingOutcome.REPAIRED, event_id=repaired.event_id)
        else:
            reason = _reason(repaired.reason)
            done = finding.with_outcome(FindingOutcome.NEEDS_PERSON, reason, repaired.event_id)
        return Repair(done, row_of(standing), row_of(repaired.standing))

    async def _repair_by_order(self, finding: Finding, answer: PaymentAnswer, dry_run: bool) -> Repair:
        """Toss knows the order but not the row's payment key: the order's payment replaces it."""
        if answer.payment.status not in MOVED:
            return _to_a_person(finding, FindingReason.UNKNOWN_TO_TOSS)
        before = await self._store.read_standing(finding.payment_key, finding.order_id)
        repaired = await self._store.repair_payment(_repair_of(answer), dry_run=dry_run)
        after = row_of(repaired.standing)
        if dry_run:
            is_replaced = bool(after) and after["payment_key"] != finding.payment_key
        else:
            is_replaced = (await self._store.read_standing(finding.payment_key, None)).row is None
        if is_replaced:
            done = finding.with_outcome(FindingOutcome.REPAIRED, event_id=repaired.event_id)
        else:
            done = finding.with_outcome(FindingOutcome.NEEDS_PERSON, FindingReason.UNKNOWN_TO_TOSS, repaired.event_id)
        return Repair(done, row_of(before), after)


def row_of(standing: Standing | None) -> dict[str, Any]:
    """The compared fields of a row; empty if there is none."""
    return standing.row.to_json() if standing and standing.row else {}


def _to_a_person(finding: Finding, reason: FindingReason) -> Repair:
    return Repair(finding.with_outcome(FindingOutcome.NEEDS_PERSON, reason))


def _repair_of(answer: PaymentAnswer) -> dict[str, Any]:
    """The argument of supatoss_repair_payment_v1. The same state at Toss always makes the same event."""
    payment = answer.payment
    meaning = observed(answer)
    body = {
        "eventType": EVENT_TYPE,
        "data": {
            **_shown(payment),
            "paymentKey": payment.payment_key,
            "orderId": payment.order_id,
            # Distinguishes a deposit's second wait from its first.
            "lastTransactionKey": answer.fields.get("lastTransactionKey"),
        },
    }
    read = read_body(json.dumps(body, ensure_ascii=False).encode())
    event = NewEvent(UnknownEvent(event_type=EVENT_TYPE), read, meaning, Proof.TOSS_API, answer.asked_at)
    amount = (meaning.change or {}).get("amount")
    return {
        "payment_key": payment.payment_key,
        "order_id": payment.order_id,
        "price": f"{amount} {payment.currency or ''}" if amount is not None else None,
        "event": event.to_record(),
    }


def _finding(
    compared: ComparedPayment,
    day: dt.date,
    kind: FindingKind,
    reason: FindingReason | None,
    standing: Standing,
    payment: Payment | None,
) -> Finding:
    row = standing.row
    return Finding(
        subject=compared.name,
        kind=kind,
        day=day,
        payment_key=compared.payment_key,
        order_id=compared.order_id or (payment.order_id if payment else None) or (row.order_id if row else None),
        transaction_key=compared.listed[-1].transaction_key if compared.listed else None,
        ours=row.to_json() if row else {},
        theirs=_shown(payment) if payment else _last_listed(compared),
        reason=reason,
    )


def finding_of_order(
    order_id: str,
    day: dt.date,
    kind: FindingKind,
    reason: FindingReason | None,
    standing: Standing,
    payment: Payment,
) -> Finding:
    """A finding about the payment that Toss has for an order; its list of the day doesn't."""
    name = payment.payment_key or f"order:{order_id}"
    compared = ComparedPayment(name, payment.payment_key, order_id, (), standing)
    return _finding(compared, day, kind, reason, standing, payment)


def _missing(payment: ComparedPayment, day: dt.date) -> Finding:
    reason = None if payment.payment_key else FindingReason.NO_PAYMENT_NAMED
    return _finding(payment, day, FindingKind.MISSING, reason, payment.standing, None)


def _is_clearly_missing(payment: ComparedPayment) -> bool:
    """Whether the list alone shows it, so that no look-up is needed."""
    return not payment.payment_key or (payment.standing.row is None and payment.standing.attempt is None)


def _shown(payment: Payment) -> dict[str, Any]:
    """The compared fields of a Payment object; none of them is secret or personal."""
    change: Mapping[str, Any] = interpret_payment(payment).change or {}
    return {
        "status": payment.status,
        "amount": change.get("amount"),
        "currency": payment.currency,
        "balance": change.get("balance"),
        "approved_at": change.get("approved_at"),
        "canceled_at": change.get("canceled_at"),
        "cancels": sorted(cancels_of(payment.cancels)),
        **({"refund_status": refund_status} if (refund_status := refund_status_of(payment)) else {}),
    }


def _last_listed(payment: ComparedPayment) -> dict[str, Any]:
    if not payment.listed:
        return {}
    last = payment.listed[-1]
    return {
        "status": last.status,
        "amount": None if last.amount is None else str(last.amount),
        "currency": last.currency,
        "transaction_at": last.transaction_at.isoformat() if last.transaction_at else None,
    }


def _reason(code: str | None) -> FindingReason:
    return next((reason for reason in FindingReason if reason == code), FindingReason.STILL_DIFFERENT)
