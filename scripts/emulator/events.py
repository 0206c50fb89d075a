"""The bodies of webhooks, in the three envelopes of Toss.

Source: docs.tosspayments.com, webhook event reference.
"""

from dataclasses import dataclass
from typing import Any

from scripts.emulator.moments import now, to_json, with_offset, without_offset
from scripts.emulator.payment import Cancel, Payment, Status
from scripts.emulator.shapes import VERSION, cancel_json, payment_json

DEPOSIT_STATUSES = (Status.WAITING_FOR_DEPOSIT, Status.DONE, Status.CANCELED, Status.PARTIAL_CANCELED)
SILENT_STATUSES = (Status.READY, Status.IN_PROGRESS)


@dataclass(frozen=True)
class Event:
    """What one webhook says. `body` never changes again: a re-send carries the same bytes."""

    event_type: str
    body: bytes
    is_signed: bool = False


def payment_events(payment: Payment) -> list[Event]:
    """The webhooks of a payment's new status: none, one, or for a virtual account two."""
    if payment.status in SILENT_STATUSES:
        return []
    events = []
    if payment.is_virtual_account and payment.status in DEPOSIT_STATUSES:
        events.append(_deposit_callback(payment))
    events.append(_enveloped("PAYMENT_STATUS_CHANGED", payment_json(payment)))
    return events


def cancel_event(cancel: Cancel) -> Event:
    """The result of an asynchronous cancel."""
    return _enveloped("CANCEL_STATUS_CHANGED", cancel_json(cancel))


def billing_deleted(billing_key: str, reason: str | None) -> Event:
    """A billing key was deleted."""
    return _enveloped("BILLING_DELETED", {"billingKey": billing_key, "reason": reason})


def entity_event(event_type: str, event_id: str, entity: dict[str, Any]) -> Event:
    """payout.changed and seller.changed: the only webhooks that are signed."""
    content = {
        "eventType": event_type,
        "createdAt": with_offset(now()),
        "version": VERSION,
        "eventId": event_id,
        "entityType": event_type.partition(".")[0],
        "entityBody": entity,
    }
    return Event(event_type, to_json(content), is_signed=True)


def _deposit_callback(payment: Payment) -> Event:
    """Five keys, no type and no payment key."""
    content = {
        "createdAt": without_offset(now()),
        "secret": payment.secret,
        "status": payment.status,
        "transactionKey": payment.last_transaction_key,
        "orderId": payment.order_id,
    }
    return Event("DEPOSIT_CALLBACK", to_json(content))


def _enveloped(event_type: str, data: dict[str, Any]) -> Event:
    content = {"createdAt": without_offset(now()), "eventType": event_type, "data": data}
    return Event(event_type, to_json(content))
