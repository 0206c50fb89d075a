"""Events of Toss: three envelopes, ten types of Toss and five more of the merchant's guide, each as a typed model.

Only what identifies the event's subject is required. Unknown fields are ignored, optional fields of a wrong type count
as absent, amounts are exact and never guessed. Source: docs.tosspayments.com, webhook event reference.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import ValidationError

from supatoss.toss.fields import BillingKey, Object, OrderId, PresentText, Text, Time, TossModel
from supatoss.toss.models import (
    Cancel,
    DeletedBillingKey,
    Deposit,
    IssuedAccount,
    IssuedBillingKey,
    OrderPayment,
    Payment,
    Payout,
    Settlement,
)
from supatoss.toss.usual import UsualEvent, read_usual

MAX_TYPE_LENGTH = 100
"""Characters of an event type that are kept; Toss's longest has 28."""


class Event(TossModel):
    """What every event has. `event_type` is Toss's own name."""

    TYPE: ClassVar[str] = ""

    event_type: str
    created_at: Time = None


class PaymentStatusChanged(Event):
    """A payment ended in DONE, CANCELED, PARTIAL_CANCELED, ABORTED or EXPIRED, or waits for its deposit."""

    TYPE = "PAYMENT_STATUS_CHANGED"
    data: Payment


class DepositCallback(Event):
    """A virtual account's transaction changed. Flat: no eventType, no data and no payment key."""

    TYPE = "DEPOSIT_CALLBACK"
    order_id: OrderId
    status: PresentText
    secret: Text = None
    transaction_key: Text = None


class CancelStatusChanged(Event):
    """An asynchronous cancel (overseas easy pay) ended DONE or ABORTED."""

    TYPE = "CANCEL_STATUS_CHANGED"
    data: Cancel


class BillingDeleted(Event):
    """A billing key was deleted. The reference's table puts its fields beside eventType, its example into data."""

    TYPE = "BILLING_DELETED"
    billing_key: BillingKey
    customer_key: Text = None
    reason: Text = None


class MethodUpdated(Event):
    """BrandPay: a customer's payment method was registered, deleted or renamed."""

    TYPE = "METHOD_UPDATED"
    data: Object = None


class CustomerStatusChanged(Event):
    """BrandPay: a customer joined, left or changed a setting."""

    TYPE = "CUSTOMER_STATUS_CHANGED"
    data: Object = None


class PayoutChanged(Event):
    """A payout became COMPLETED or FAILED. Always signed."""

    TYPE = "payout.changed"
    event_id: Text = None
    entity_body: Payout


class SellerChanged(Event):
    """A seller's approval changed. Always signed."""

    TYPE = "seller.changed"
    event_id: Text = None
    entity_body: Object = None


class OrderPaymentStatusChanged(Event):
    """LinkPay: the payment of a link's order changed."""

    TYPE = "ORDER_PAYMENT_STATUS_CHANGED"
    data: OrderPayment


class ArsReservationChanged(Event):
    """A reservation for paying by phone was used or cancelled."""

    TYPE = "ars-reservation.changed"
    event_id: Text = None
    entity_body: Object = None


class VirtualAccountIssued(Event):
    """Guide only: an account was issued and waits for its deposit."""

    TYPE = "VIRTUAL_ACCOUNT_ISSUED"
    data: IssuedAccount


class VirtualAccountDeposit(Event):
    """Guide only: money arrived on a virtual account."""

    TYPE = "VIRTUAL_ACCOUNT_DEPOSIT"
    data: Deposit


class BillingKeyIssued(Event):
    """Guide only: a customer has a billing key."""

    TYPE = "BILLING_KEY_ISSUED"
    data: IssuedBillingKey


class BillingKeyDeleted(Event):
    """Guide only: a billing key was deleted."""

    TYPE = "BILLING_KEY_DELETED"
    data: DeletedBillingKey


class SettlementCompleted(Event):
    """Guide only: a seller's settlement is done."""

    TYPE = "SETTLEMENT_COMPLETED"
    data: Settlement


class UnknownEvent(Event):
    """An event of an unknown type. Toss adds types without notice."""


class MalformedEvent(Event):
    """An event of a known type that lacks what identifies its subject, or has an unreadable amount."""

    problem: str


TYPES: dict[str, type[Event]] = {
    model.TYPE: model
    for model in (
        PaymentStatusChanged,
        DepositCallback,
        CancelStatusChanged,
        BillingDeleted,
        MethodUpdated,
        CustomerStatusChanged,
        PayoutChanged,
        SellerChanged,
        OrderPaymentStatusChanged,
        ArsReservationChanged,
        VirtualAccountIssued,
        VirtualAccountDeposit,
        BillingKeyIssued,
        BillingKeyDeleted,
        SettlementCompleted,
    )
}
_FLAT = (DepositCallback.TYPE, BillingDeleted.TYPE)


def read_event(fields: Mapping[str, Any]) -> Event | UsualEvent:
    """The event of a body, in the quicker form where it fits. Never raises."""
    return read_usual(fields) or parse_event(fields)


def parse_event(fields: Mapping[str, Any]) -> Event:
    """The typed event of a body. Never raises: what can't be typed is an UnknownEvent or a MalformedEvent."""
    event_type = _type_of(fields)
    model = TYPES.get(event_type)
    if model is None:
        return UnknownEvent(event_type=event_type[:MAX_TYPE_LENGTH], created_at=fields.get("createdAt"))
    content = dict(fields)
    if event_type in _FLAT and isinstance(fields.get("data"), dict):
        content = {**fields["data"], "createdAt": fields.get("createdAt", fields["data"].get("createdAt"))}
    content["eventType"] = event_type
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problem = "; ".join(f"{'.'.join(map(str, item['loc'])) or 'event'}: {item['msg']}" for item in error.errors())
        return MalformedEvent(event_type=event_type, created_at=fields.get("createdAt"), problem=problem)


def _type_of(fields: Mapping[str, Any]) -> str:
    named = fields.get("eventType")
    if isinstance(named, str) and named:
        return named
    if {"secret", "transactionKey", "orderId", "status"} <= fields.keys():
        return DepositCallback.TYPE
    return "unknown"
