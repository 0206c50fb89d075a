"""PAYMENT_STATUS_CHANGED as Toss usually writes it, read in compiled code, five times as fast as its model in `events`.

What doesn't fit exactly is for that model. Both mean the same: a property test compares them.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, ValidationError, convert, field

from supatoss.toss.fields import parse_time
from supatoss.toss.models import Payment

TYPE = "PAYMENT_STATUS_CHANGED"

Text = Annotated[str, Meta(min_length=1)]
Amount = Annotated[int, Meta(ge=0, lt=10**15)]


class UsualFailure(Struct, frozen=True):
    """As models.Failure."""

    code: Text | None = None
    message: Text | None = None


class _Receipt(Struct, frozen=True):
    url: Text | None = None


class UsualPayment(Struct, frozen=True, rename="camel"):
    """As models.Payment. Amounts are whole numbers; times are read when they are asked for."""

    payment_key: Annotated[str, Meta(min_length=1, max_length=200)]
    order_id: Annotated[str, Meta(min_length=1, max_length=100)]
    status: Text
    order_name: Text | None = None
    m_id: Text | None = None
    method: Text | None = None
    currency: Literal["KRW", "USD"] | None = None
    total_amount: Amount | None = None
    balance_amount: Amount | None = None
    _requested_at: str | None = field(default=None, name="requestedAt")
    _approved_at: str | UnsetType | None = field(default=UNSET, name="approvedAt")
    _canceled_at: str | None = field(default=None, name="canceledAt")
    cancels: list[dict[str, Any]] | None = None
    failure: UsualFailure | None = None
    failure_code: Text | None = None
    failure_message: Text | None = None
    _receipt: _Receipt | None = field(default=None, name="receipt")
    virtual_account: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None

    @property
    def requested_at(self) -> dt.datetime | None:
        """In UTC, as the others."""
        return parse_time(self._requested_at)

    @property
    def approved_at(self) -> dt.datetime | None:
        """When the money came."""
        return parse_time(self._approved_at)

    @property
    def canceled_at(self) -> dt.datetime | None:
        """Not in Toss's documents, whose cancels have a time each."""
        return parse_time(self._canceled_at)

    @property
    def is_said_unapproved(self) -> bool:
        """As models.Payment."""
        return self._approved_at is not UNSET and self.approved_at is None

    @property
    def receipt(self) -> str | None:
        """Its address."""
        return self._receipt.url if self._receipt else None


class UsualEvent(Struct, frozen=True, rename="camel"):
    """As events.PaymentStatusChanged."""

    event_type: Literal["PAYMENT_STATUS_CHANGED"]
    data: UsualPayment
    _created_at: str | None = field(default=None, name="createdAt")

    @property
    def created_at(self) -> dt.datetime | None:
        """When the status changed."""
        return parse_time(self._created_at)


_IN_SNAKE_CASE = frozenset(name for name in ("event_type", "created_at", *Payment.model_fields) if "_" in name)
"""The models read these too, where Toss's own names are missing."""


def read_usual(fields: Mapping[str, Any]) -> UsualEvent | None:
    """The event of a body; None where it has to be read more closely. Never raises."""
    if fields.get("eventType") != TYPE:
        return None
    try:
        event = convert(fields, UsualEvent)
    except ValidationError:
        return None
    is_usual = _IN_SNAKE_CASE.isdisjoint(fields) and _IN_SNAKE_CASE.isdisjoint(fields["data"])
    return event if is_usual else None
