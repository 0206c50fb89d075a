"""Payments: Toss's transactions of a day against our rows, and the repair of a row by what Toss says of its payment."""

import datetime as dt
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from supatoss.inbox.event import NewEvent, Proof
from supatoss.inbox.interpret import interpret_payment
from supatoss.inbox.verify import observed
from supatoss.reconcile.asking import Asking
from supatoss.reconcile.comparison import difference, is_suspect
from supatoss.reconcile.days import Window
from supatoss.store import Store
from supatoss.store.findings import MOVED, Cause, Finding, Kind, Outcome, Standing, Subject, cancels_of
from supatoss.store.reconciliation import Run
from supatoss.toss.client import TossClient
from supatoss.toss.delivery import read_body
from supatoss.toss.events import UnknownEvent
from supatoss.toss.models import Payment, PaymentAnswer, Transaction

EVENT_TYPE = "supatoss.payment_reconciled"

PAGE_SIZE = 1000
"""Transactions that Toss gives at once."""

STEP_SIZE = 250
"""Transactions kept, and payments compared, in one call of the Data API: well below a second of it."""

TOGETHER = 8
"""Look-ups at once; the client has no more in flight."""


class PaymentComparison:
    """The steps of a run over payments."""

    def __init__(self, store: Store, toss: TossClient, asking: Asking, page_size: int = PAGE_SIZE) -> None:
        self._store = store
        self._toss = toss
        self._asking = asking
        self._page_size = page_size

    async def listed(self, window: Window, position: str | None) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
        """Parts of what Toss lists for a window: the key to go on after, and the rows to keep."""
        pages = self._toss.transactions(window.start, window.end, starting_after=position, page_size=self._page_size)
        async for page in pages:
            for first in range(0, len(page), STEP_SIZE):
                part = page[first : first + STEP_SIZE]
                # Toss takes whole seconds and includes the end; what is outside belongs to the day beside.
                kept = [row for row in part if row.transaction_at is None or window.has(row.transaction_at)]
                yield part[-1].transaction_key, [_kept(row) for row in kept]

    async def page(self, run: Run, window: Window) -> tuple[list[Subject], list[Finding]]:
        """The next payments after the run's position, and what differs among them."""
        subjects = await self._store.read_reconciliation_page(
            run, window.start, window.end, min(self._page_size, STEP_SIZE)
        )
        suspects = [subject for subject in subjects if is_suspect(subject, window)]
        findings = [_missing(subject, run.day) for subject in suspects if _is_plain(subject)]
        asked = [subject for subject in suspects if not _is_plain(subject)]
        for first in range(0, len(asked), TOGETHER):
            findings += await self._decide(asked[first : first + TOGETHER], run.day)
        return subjects, findings

    async def repair(self, findings: Sequence[Finding]) -> list[Finding]:
        """Asks Toss about each payment, records what it answers, and says what became of each finding."""
        keys = [finding.payment_key for finding in findings if finding.payment_key]
        answers = dict(zip(keys, await self._asking.payments(keys), strict=True))
        return [await self._repair(finding, answers.get(finding.payment_key or "")) for finding in findings]

    async def _decide(self, subjects: Sequence[Subject], day: dt.date) -> list[Finding]:
        answers = await self._asking.payments([subject.payment_key or "" for subject in subjects])
        found: list[Finding] = []
        for subject, answer in zip(subjects, answers, strict=True):
            if isinstance(answer, Cause):
                kind = Kind.MISSING if subject.standing.shown(subject.payment_key) is None else Kind.EXTRA
                kind = Kind.STATUS if answer is Cause.NOT_ANSWERED else kind
                found.append(_finding(subject, day, kind, answer, subject.standing, None))
                continue
            # Read again after Toss answered: a webhook may have come meanwhile.
            standing = await self._store.read_standing(subject.payment_key, answer.payment.order_id)
            if differs := difference(standing, answer.payment):
                found.append(_finding(subject, day, *differs, standing, answer.payment))
        return found

    async def _repair(self, finding: Finding, answer: PaymentAnswer | Cause | None) -> Finding:
        if answer is None:
            return finding.ended(Outcome.NEEDS_PERSON, Cause.NO_PAYMENT_NAMED)
        if answer is Cause.UNKNOWN_TO_TOSS and finding.order_id:
            answer = await self._asking.payment_of_order(finding.order_id)
        if isinstance(answer, Cause):
            return finding.ended(Outcome.NEEDS_PERSON, answer)
        if answer.payment.payment_key != finding.payment_key:
            return await self._repair_by_order(finding, answer)
        payment = answer.payment
        if not payment.order_id or observed(answer).change is None:
            return finding.ended(Outcome.NEEDS_PERSON, Cause.UNKNOWN_STATUS)
        standing = await self._store.read_standing(payment.payment_key, payment.order_id)
        if difference(standing, payment) is None:
            return finding.ended(Outcome.REPAIRED)
        repaired = await self._store.repair_payment(_repair_of(answer))
        is_mended = repaired.standing is not None and difference(repaired.standing, payment) is None
        if is_mended and repaired.status != "failed":
            return finding.ended(Outcome.REPAIRED, event_id=repaired.event_id)
        return finding.ended(Outcome.NEEDS_PERSON, _cause(repaired.reason), repaired.event_id)

    async def _repair_by_order(self, finding: Finding, answer: PaymentAnswer) -> Finding:
        """A key that Toss does not know, in the row of an order that it does: the order's payment takes its place."""
        if answer.payment.status not in MOVED:
            return finding.ended(Outcome.NEEDS_PERSON, Cause.UNKNOWN_TO_TOSS)
        repaired = await self._store.repair_payment(_repair_of(answer))
        standing = await self._store.read_standing(finding.payment_key, None)
        if standing.row is None:
            return finding.ended(Outcome.REPAIRED, event_id=repaired.event_id)
        return finding.ended(Outcome.NEEDS_PERSON, Cause.UNKNOWN_TO_TOSS, repaired.event_id)


def _repair_of(answer: PaymentAnswer) -> dict[str, Any]:
    """The argument of supatoss_repair_payment_v1. The event is the same one for each look at the same state."""
    payment = answer.payment
    meaning = observed(answer)
    body = {
        "eventType": EVENT_TYPE,
        "data": {
            **_shown(payment),
            "paymentKey": payment.payment_key,
            "orderId": payment.order_id,
            # Tells a deposit's second wait from its first one.
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
    subject: Subject, day: dt.date, kind: Kind, reason: Cause | None, standing: Standing, payment: Payment | None
) -> Finding:
    row = standing.row
    return Finding(
        subject=subject.name,
        kind=kind,
        day=day,
        payment_key=subject.payment_key,
        order_id=subject.order_id or (payment.order_id if payment else None) or (row.order_id if row else None),
        transaction_key=subject.listed[-1].transaction_key if subject.listed else None,
        ours=row.to_json() if row else {},
        theirs=_shown(payment) if payment else _shown_by_the_list(subject),
        reason=reason,
    )


def _missing(subject: Subject, day: dt.date) -> Finding:
    reason = None if subject.payment_key else Cause.NO_PAYMENT_NAMED
    return _finding(subject, day, Kind.MISSING, reason, subject.standing, None)


def _is_plain(subject: Subject) -> bool:
    """Whether it is missing without a doubt: the list alone tells, and Toss need not be asked."""
    return not subject.payment_key or (subject.standing.row is None and subject.standing.attempt is None)


def _shown(payment: Payment) -> dict[str, Any]:
    """What of a Payment object is compared; nothing of it is secret or personal."""
    change: Mapping[str, Any] = interpret_payment(payment).change or {}
    return {
        "status": payment.status,
        "amount": change.get("amount"),
        "currency": payment.currency,
        "balance": change.get("balance"),
        "approved_at": change.get("approved_at"),
        "canceled_at": change.get("canceled_at"),
        "cancels": sorted(cancels_of(payment.cancels)),
    }


def _shown_by_the_list(subject: Subject) -> dict[str, Any]:
    last = subject.listed[-1] if subject.listed else None
    if last is None:
        return {}
    return {
        "status": last.status,
        "amount": None if last.amount is None else str(last.amount),
        "currency": last.currency,
        "transaction_at": last.transaction_at.isoformat() if last.transaction_at else None,
    }


def _kept(row: Transaction) -> dict[str, Any]:
    about = f"order:{row.order_id}" if row.order_id else f"transaction:{row.transaction_key}"
    return {
        "transaction_key": row.transaction_key,
        "subject": row.payment_key or about,
        "payment_key": row.payment_key,
        "order_id": row.order_id,
        "status": row.status,
        "amount": None if row.amount is None else str(row.amount),
        "currency": row.currency,
        "transaction_at": row.transaction_at.isoformat() if row.transaction_at else None,
    }


def _cause(reason: str | None) -> Cause:
    return next((cause for cause in Cause if cause == reason), Cause.STILL_DIFFERENT)
