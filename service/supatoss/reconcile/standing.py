"""What we hold about one payment of Toss, as supatoss_read_payment_standing_v1 answers it."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from supatoss.toss.statuses import PaymentStatus
from supatoss.toss.times import parse_time

MOVED = frozenset({PaymentStatus.DONE, PaymentStatus.PARTIAL_CANCELED, PaymentStatus.CANCELED})
"""Statuses that mean that money moved."""


@dataclass(frozen=True, slots=True)
class Held:
    """A payments row. cancels: finished ones by transaction key, with their amounts and times."""

    order_id: str
    payment_key: str
    status: str
    amount: Decimal
    currency: str | None
    balance: Decimal | None
    approved_at: dt.datetime | None
    canceled_at: dt.datetime | None
    cancels: Mapping[str, "HeldCancel"]

    @property
    def is_moved(self) -> bool:
        """Whether it says that money moved."""
        return self.status in MOVED

    @property
    def holds_money(self) -> bool:
        """Whether it says that the order is paid, all or in part."""
        return holds_money(self.status, self.balance)

    def to_json(self) -> dict[str, Any]:
        """What of it is compared."""
        return {
            "payment_key": self.payment_key,
            "status": self.status,
            "amount": str(self.amount),
            "currency": self.currency,
            "balance": None if self.balance is None else str(self.balance),
            "approved_at": _iso(self.approved_at),
            "canceled_at": _iso(self.canceled_at),
            "cancels": sorted(self.cancels),
        }


@dataclass(frozen=True, slots=True)
class HeldCancel:
    """A finished cancel in a row."""

    amount: Decimal | None
    canceled_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """What the inbox knows of a payment that its order's row does not show. reasons: of its failed events."""

    is_moved: bool
    is_canceled: bool
    reasons: frozenset[str]
    cancels: Mapping[str, HeldCancel]


@dataclass(frozen=True, slots=True)
class Standing:
    """The row that shows a payment, or that of its order; and the attempt, where the row shows another payment."""

    row: Held | None = None
    attempt: Attempt | None = None

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> "Standing":
        """Reads an answer. Raises KeyError, TypeError, ValueError or ArithmeticError."""
        row, attempt = answer["row"], answer["attempt"]
        return cls(_held(row) if row else None, _attempt(attempt) if attempt else None)

    def shown(self, payment_key: str | None) -> Held | None:
        """The row, if it shows this payment."""
        return self.row if self.row is not None and self.row.payment_key == payment_key else None


def holds_money(status: str | None, balance: Decimal | None) -> bool:
    """Whether a payment of this status still holds money. A payment cancelled in steps stays PARTIAL_CANCELED at 0."""
    if status == PaymentStatus.PARTIAL_CANCELED:
        return balance is None or balance > 0
    return status == PaymentStatus.DONE


def cancels_of(items: object) -> dict[str, HeldCancel]:
    """Finished cancels among Toss's Cancel objects, by transaction key."""
    found = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    return {
        str(item["transactionKey"]): HeldCancel(_decimal(item.get("cancelAmount")), parse_time(item.get("canceledAt")))
        for item in found
        if item.get("transactionKey") and item.get("cancelStatus", PaymentStatus.DONE) in (None, PaymentStatus.DONE)
    }


def _held(row: Mapping[str, Any]) -> Held:
    return Held(
        order_id=row["order_id"],
        payment_key=row["payment_key"],
        status=row["status"],
        amount=Decimal(row["amount"]),
        currency=row["currency"],
        balance=_decimal(row["balance"]),
        approved_at=parse_time(row["approved_at"]),
        canceled_at=parse_time(row["canceled_at"]),
        cancels=cancels_of(row["cancels"]),
    )


def _attempt(row: Mapping[str, Any]) -> Attempt:
    cancels = [item for items in row["cancels"] for item in items]
    return Attempt(bool(row["is_moved"]), bool(row["is_canceled"]), frozenset(row["reasons"]), cancels_of(cancels))


def _decimal(value: Any) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def _iso(moment: dt.datetime | None) -> str | None:
    return moment.isoformat() if moment else None
