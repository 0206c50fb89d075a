"""What our tables say about the payments that a reconciliation compares."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from supatoss.toss.fields import PaymentStatus, parse_time

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
        """Whether it says that the buyer hasn't received the money."""
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
