"""What an unsigned delivery claims about a payment, and whether it says more than Toss's answer shows. Pure.

A claim only says which payment to look up; nothing of it is ever stored as a fact.
"""

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from supatoss.toss import events
from supatoss.toss.fields import PaymentStatus as Status
from supatoss.toss.fields import parse_time
from supatoss.toss.models import Payment

MAX_PAYMENT_KEY_LENGTH = 200
MAX_ORDER_ID_LENGTH = 100
MAX_CANCELS = 100
"""Cancels of a claim that are compared; a payment has a handful."""

SECOND = dt.timedelta(seconds=1)
"""approvedAt has no fraction of a second, createdAt has."""

_PAID = frozenset({Status.DONE, Status.PARTIAL_CANCELED, Status.CANCELED})
_OPEN = frozenset({Status.READY, Status.IN_PROGRESS})
_UNFINISHED = _OPEN | {Status.WAITING_FOR_DEPOSIT}
_KNOWN = frozenset(Status)

_NOT_YET: Mapping[str, frozenset[Status]] = {
    Status.DONE: _KNOWN - _PAID,
    Status.PARTIAL_CANCELED: _KNOWN - {Status.PARTIAL_CANCELED, Status.CANCELED},
    Status.CANCELED: _KNOWN - {Status.CANCELED},
    Status.WAITING_FOR_DEPOSIT: _OPEN,
    Status.ABORTED: _UNFINISHED,
    Status.FAILED: _UNFINISHED,
    Status.EXPIRED: _UNFINISHED,
}
"""Statuses of an answer that come before the claimed one: Toss's look-up may lag behind its webhook."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a delivery says of a payment, true or not.

    cancels: transaction keys. secret_digest: SHA-256 of the payment's secret, which tells attempts at an order apart.
    merchant_id: whose key is tried first; not compared.
    """

    payment_key: str | None = None
    order_id: str | None = None
    status: str | None = None
    secret_digest: str | None = field(default=None, repr=False)
    cancels: frozenset[str] = frozenset()
    created_at: dt.datetime | None = None
    merchant_id: str | None = None

    def exceeds(self, answer: Payment) -> bool:
        """Whether it says more than the answer shows, so that another look-up is worthwhile."""
        shown = answer.status
        if self.status is None or shown is None or shown not in _KNOWN:
            return False
        # A payment that was cancelled in steps until nothing was left stays PARTIAL_CANCELED.
        is_empty = shown == Status.PARTIAL_CANCELED and answer.balance_amount == 0
        if shown in _NOT_YET.get(self.status, ()) and not is_empty:
            return True
        if self.status in (Status.PARTIAL_CANCELED, Status.CANCELED):
            return not self.cancels <= {str(item.get("transactionKey")) for item in answer.cancels}
        # A deposit error takes a deposit back: told after it was approved, it may be newer than what Toss shows.
        is_taken_back = self.status == Status.WAITING_FOR_DEPOSIT and shown == Status.DONE
        return is_taken_back and _is_later(self.created_at, answer.approved_at)

    def differs_in_secret(self, answer: Payment) -> bool:
        """Whether both have a secret and they are not the same."""
        return None not in (self.secret_digest, answer.secret) and self.secret_digest != _digest(answer.secret)

    def may_mean(self, answer: Payment) -> bool:
        """Whether the answer can be about the payment that is meant: the secret decides where no payment is named."""
        return self.payment_key is not None or not self.differs_in_secret(answer)

    def to_json(self) -> dict[str, Any]:
        """What has to be kept for another look-up."""
        return {
            "status": self.status,
            "secret_digest": self.secret_digest,
            "cancels": sorted(self.cancels),
            "created_at": self.created_at.isoformat() if self.created_at else None,
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Claim":
        """A kept claim. Raises KeyError, TypeError or ValueError."""
        return cls(
            status=kept["status"],
            secret_digest=kept["secret_digest"],
            cancels=frozenset(kept["cancels"]),
            created_at=parse_time(kept["created_at"]),
        )


def _is_later(created_at: dt.datetime | None, approved_at: dt.datetime | None) -> bool:
    return created_at is not None and approved_at is not None and created_at - approved_at >= SECOND


def claim_of(event_type: str, fields: Mapping[str, Any]) -> Claim | None:
    """The claim of a body, None where its type is not about a payment. Never raises: what isn't text counts as absent.

    Read from the JSON itself, not from the typed event: a body that is malformed elsewhere may still name its payment.
    """
    data = _object(fields.get("data"))
    match event_type:
        case events.PaymentStatusChanged.TYPE:
            claimed, status = data, None
        case events.OrderPaymentStatusChanged.TYPE:
            claimed, status = _object(data.get("payment")), None
        case events.VirtualAccountIssued.TYPE:
            claimed, status = data, Status.WAITING_FOR_DEPOSIT.value
        case events.VirtualAccountDeposit.TYPE:
            claimed, status = {**data, "status": Status.DONE.value}, None
        case events.DepositCallback.TYPE:
            claimed, status = {**fields, **data}, None
        case events.CancelStatusChanged.TYPE:
            claimed, status = {**data, "status": None}, None
        case _:
            return None
    cancels = claimed.get("cancels")
    found = (
        (_text(item.get("transactionKey")) for item in cancels[:MAX_CANCELS] if isinstance(item, dict))
        if (isinstance(cancels, list))
        else ()
    )
    return Claim(
        _text(claimed.get("paymentKey"), MAX_PAYMENT_KEY_LENGTH),
        _text(claimed.get("orderId"), MAX_ORDER_ID_LENGTH),
        _known(claimed.get("status")) or status,
        _digest(_text(claimed.get("secret"))),
        frozenset(key for key in found if key),
        parse_time(fields.get("createdAt") or data.get("createdAt")),
        _text(claimed.get("mId")),
    )


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object, longest: int = MAX_PAYMENT_KEY_LENGTH) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= longest else None


def _digest(secret: str | None) -> str | None:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest() if secret else None


def _known(value: object) -> str | None:
    """A status that Toss has; whatever else is claimed is no claim, so that nobody can make up rows."""
    return value if isinstance(value, str) and value in _KNOWN else None
