"""Findings of a reconciliation, and our rows about the payments it compares."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any

from supatoss.toss.fields import PaymentStatus, parse_time

MERCHANT_ID = "merchant_id"
"""Field of a finding's `theirs`: the MID, where Toss's record names it."""


class FindingKind(StrEnum):
    """How Toss's record and ours differ."""

    MISSING = "missing"
    """Toss moved money; our rows don't show it."""
    EXTRA = "extra"
    """Our row says that money moved; Toss doesn't."""
    AMOUNT = "amount"
    """Amount, currency or the balance after cancels."""
    STATUS = "status"
    """The row's status, its cancels, or which of the order's payments counts."""
    TIME = "time"
    """The time of approval or cancellation."""
    DOUBLE_CHARGE = "double_charge"
    """Two payments hold the money of one order."""


class FindingOutcome(StrEnum):
    """What was done about a finding."""

    FOUND = "found"
    """Nothing, or nothing yet."""
    REPAIRED = "repaired"
    NEEDS_PERSON = "needs_person"
    RESOLVED = "resolved"
    """A later run found it again, or it no longer differs."""
    SET_ASIDE = "set_aside"
    """An operator said that nothing is to be done about it."""


class FindingReason(StrEnum):
    """Why a finding needs manual review, or could not be checked."""

    AMOUNT_MISMATCH = "amount_mismatch"
    DOUBLE_CHARGE = "double_charge"
    REFUSED_BY_DATABASE = "refused_by_database"
    HOOK_FAILED = "hook_failed"
    UNKNOWN_TO_TOSS = "unknown_to_toss"
    UNKNOWN_STATUS = "unknown_status"
    REFUSED_BY_TOSS = "refused_by_toss"
    KEY_REFUSED = "key_refused"
    NOT_ANSWERED = "not_answered"
    NO_PAYMENT_NAMED = "no_payment_named"
    STILL_DIFFERENT = "still_different"


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference of a payment or a settlement. `ours` and `theirs` hold the compared fields, never a secret."""

    subject: str
    kind: FindingKind
    day: dt.date
    payment_key: str | None
    order_id: str | None
    transaction_key: str | None = None
    ours: Mapping[str, Any] = field(default_factory=dict)
    theirs: Mapping[str, Any] = field(default_factory=dict)
    outcome: FindingOutcome = FindingOutcome.FOUND
    reason: FindingReason | None = None
    event_id: str | None = None

    def with_outcome(
        self, outcome: FindingOutcome, reason: FindingReason | None = None, event_id: str | None = None
    ) -> "Finding":
        """The same finding after a repair was tried."""
        return replace(self, outcome=outcome, reason=reason, event_id=event_id or self.event_id)

    def differing(self) -> list[tuple[str, Any, Any]]:
        """The fields that differ, ours and theirs; status and amount where one side is missing."""
        names = [name for name in self.theirs if name in self.ours and self.theirs[name] != self.ours[name]]
        return [(name, self.ours.get(name), self.theirs.get(name)) for name in names or ("status", "amount")]

    def to_json(self) -> dict[str, Any]:
        """As stored and printed."""
        return {
            "subject": self.subject,
            "kind": self.kind.value,
            "day": self.day.isoformat(),
            "payment_key": self.payment_key,
            "order_id": self.order_id,
            "transaction_key": self.transaction_key,
            "ours": dict(self.ours),
            "theirs": dict(self.theirs),
            "outcome": self.outcome.value,
            "reason": self.reason.value if self.reason else None,
            "event_id": self.event_id,
        }

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Finding":
        """Reads a stored finding. Raises KeyError, TypeError or ValueError."""
        return cls(
            subject=row["subject"],
            kind=FindingKind(row["kind"]),
            day=dt.date.fromisoformat(row["day"]),
            payment_key=row["payment_key"],
            order_id=row["order_id"],
            transaction_key=row["transaction_key"],
            ours=row["ours"],
            theirs=row["theirs"],
            outcome=FindingOutcome(row["outcome"]),
            reason=FindingReason(row["reason"]) if row["reason"] else None,
            event_id=row["event_id"],
        )


@dataclass(frozen=True, slots=True)
class FindingCount:
    """Number of findings of one kind and outcome."""

    kind: FindingKind
    outcome: FindingOutcome
    count: int


def remaining_by_merchant(findings: Iterable[Finding]) -> dict[str, int]:
    """Remaining differences of every MID that Toss's records name."""
    left = Counter(
        str(finding.theirs[MERCHANT_ID])
        for finding in findings
        if finding.outcome in (FindingOutcome.FOUND, FindingOutcome.NEEDS_PERSON) and finding.theirs.get(MERCHANT_ID)
    )
    return dict(sorted(left.items()))


def remaining_by_kind(counts: Sequence[FindingCount]) -> dict[FindingKind, int]:
    """Remaining differences of every kind."""
    left: Counter[FindingKind] = Counter()
    for item in counts:
        if item.outcome in (FindingOutcome.FOUND, FindingOutcome.NEEDS_PERSON):
            left[item.kind] += item.count
    return {kind: left[kind] for kind in FindingKind}


MOVED = frozenset({PaymentStatus.DONE, PaymentStatus.PARTIAL_CANCELED, PaymentStatus.CANCELED})
"""Statuses that mean that money moved."""

_CANCELED = (PaymentStatus.CANCELED, PaymentStatus.PARTIAL_CANCELED)
_NOT_MOVED = frozenset(PaymentStatus) - MOVED


@dataclass(frozen=True, slots=True)
class StoredPayment:
    """A payments row. cancels: finished cancels by transaction key."""

    order_id: str
    payment_key: str
    status: str
    amount: Decimal
    currency: str | None
    balance: Decimal | None
    approved_at: dt.datetime | None
    canceled_at: dt.datetime | None
    cancels: Mapping[str, "StoredCancel"]
    merchant_id: str | None = None
    refund_status: str | None = None
    """Of a deposit that was paid back to an account."""

    @property
    def is_refund_failed(self) -> bool:
        """Whether it says that the buyer hasn't got the money."""
        return self.refund_status in ("FAILED", "PARTIAL_FAILED")

    @property
    def is_moved(self) -> bool:
        """Whether it says that money moved."""
        return self.status in MOVED

    @property
    def holds_money(self) -> bool:
        """Whether it says that the order is paid, in full or in part."""
        return holds_money(self.status, self.balance)

    def to_json(self) -> dict[str, Any]:
        """The compared fields."""
        return {
            "payment_key": self.payment_key,
            "status": self.status,
            "amount": str(self.amount),
            "currency": self.currency,
            "balance": None if self.balance is None else str(self.balance),
            "approved_at": _iso(self.approved_at),
            "canceled_at": _iso(self.canceled_at),
            "cancels": sorted(self.cancels),
            **({"refund_status": self.refund_status} if self.is_refund_failed else {}),
        }


@dataclass(frozen=True, slots=True)
class StoredCancel:
    """A finished cancel in a row."""

    amount: Decimal | None
    canceled_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class PaymentAttempt:
    """A payment that its order's row doesn't show, as the inbox knows it. reasons: those of its failed events.

    is_set_aside: an operator has ignored an event of it.
    """

    is_moved: bool
    is_canceled: bool
    reasons: frozenset[str]
    cancels: Mapping[str, StoredCancel]
    is_set_aside: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """The row of a payment or of its order; and the attempt, if the row shows another payment."""

    row: StoredPayment | None = None
    attempt: PaymentAttempt | None = None

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> "Standing":
        """Reads an answer. Raises KeyError, TypeError, ValueError or ArithmeticError."""
        row, attempt = answer["row"], answer["attempt"]
        return cls(_stored_payment(row) if row else None, _attempt(attempt) if attempt else None)

    def shown(self, payment_key: str | None) -> StoredPayment | None:
        """The row, if it shows this payment."""
        return self.row if self.row is not None and self.row.payment_key == payment_key else None


@dataclass(frozen=True, slots=True)
class ListedTransaction:
    """A transaction in Toss's list: an approval or a cancel."""

    transaction_key: str
    status: str | None
    amount: Decimal | None
    currency: str | None
    transaction_at: dt.datetime | None

    @property
    def is_cancel(self) -> bool:
        """Whether it returned money."""
        return self.status in _CANCELED or (self.amount is not None and self.amount < 0)

    @property
    def is_moved(self) -> bool:
        """Whether money moved. A status that is not known yet may have moved some."""
        return self.status not in _NOT_MOVED


@dataclass(frozen=True, slots=True)
class ComparedPayment:
    """A payment, its transactions on one day, and our rows about it."""

    name: str
    payment_key: str | None
    order_id: str | None
    listed: Sequence[ListedTransaction]
    standing: Standing


def holds_money(status: str | None, balance: Decimal | None) -> bool:
    """Whether a payment of this status still holds money. A payment cancelled in steps stays PARTIAL_CANCELED at 0."""
    if status == PaymentStatus.PARTIAL_CANCELED:
        return balance is None or balance > 0
    return status == PaymentStatus.DONE


def cancels_of(items: object) -> dict[str, StoredCancel]:
    """Finished cancels among Toss's Cancel objects, by transaction key."""
    found = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    return {
        str(item["transactionKey"]): StoredCancel(
            _decimal(item.get("cancelAmount")), parse_time(item.get("canceledAt"))
        )
        for item in found
        if item.get("transactionKey") and item.get("cancelStatus", PaymentStatus.DONE) in (None, PaymentStatus.DONE)
    }


def _stored_payment(row: Mapping[str, Any]) -> StoredPayment:
    return StoredPayment(
        order_id=row["order_id"],
        payment_key=row["payment_key"],
        status=row["status"],
        amount=Decimal(row["amount"]),
        currency=row["currency"],
        balance=_decimal(row["balance"]),
        approved_at=parse_time(row["approved_at"]),
        canceled_at=parse_time(row["canceled_at"]),
        cancels=cancels_of(row["cancels"]),
        merchant_id=row["merchant_id"],
        refund_status=row["refund_status"],
    )


def _attempt(row: Mapping[str, Any]) -> PaymentAttempt:
    cancels = [item for items in row["cancels"] for item in items]
    return PaymentAttempt(
        bool(row["is_moved"]),
        bool(row["is_canceled"]),
        frozenset(row["reasons"]),
        cancels_of(cancels),
        bool(row["is_set_aside"]),
    )


def _decimal(value: Any) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def _iso(moment: dt.datetime | None) -> str | None:
    return moment.isoformat() if moment else None
