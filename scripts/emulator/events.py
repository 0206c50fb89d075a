"""The bodies of webhooks, in the three envelopes of Toss, and the payouts and sellers that two of them carry.

Source: docs.tosspayments.com, webhook event reference.
"""

from dataclasses import dataclass
from typing import Any

from scripts.emulator.formats import Names, now, to_json, with_offset, without_offset
from scripts.emulator.payment import Cancel, Payment, Status
from scripts.emulator.requests import ChangedSeller, NewPayout
from scripts.emulator.shapes import VERSION, cancel_json, payment_json

DEPOSIT_STATUSES = (Status.WAITING_FOR_DEPOSIT, Status.DONE, Status.CANCELED, Status.PARTIAL_CANCELED)
SILENT_STATUSES = (Status.READY, Status.IN_PROGRESS)


@dataclass(frozen=True)
class Event:
    """The content of one webhook. `body` never changes: a retry sends the same bytes."""

    event_type: str
    body: bytes
    is_signed: bool = False


def payment_events(payment: Payment) -> list[Event]:
    """The webhooks for a payment's new status: none, one, or two for a virtual account."""
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
    """payout.changed and seller.changed: the only signed webhooks."""
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
    """Five fields, without an event type or a payment key."""
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


def payout_json(body: NewPayout, names: Names) -> dict[str, Any]:
    """The payout. Its amount has a fraction even in won, as in Toss's documentation."""
    payout_id = body.id or names.payout_id()
    failed = {"code": "EMULATED_BANK_ERROR", "message": "계좌 오류"} if body.status == "FAILED" else None
    return {
        "id": payout_id,
        "refPayoutId": body.ref_payout_id or f"ref-{payout_id}",
        "destination": body.destination,
        "scheduleType": body.schedule_type,
        "payoutDate": (body.payout_date or now().date()).isoformat(),
        "amount": {"currency": body.currency, "value": float(body.amount)},
        "transactionDescription": body.transaction_description,
        "requestedAt": with_offset(now()),
        "status": body.status,
        "error": body.error or failed,
        "metadata": body.metadata,
    }


def seller_json(body: ChangedSeller) -> dict[str, Any]:
    """The seller."""
    person = {"name": "홍길동", "email": "owner@example.com", "phone": "01000000000"}
    company = {
        "name": "가상상점",
        "representativeName": "홍길동",
        "businessRegistrationNumber": "0000000000",
        "email": "owner@example.com",
        "phone": "01000000000",
    }
    is_person = body.business_type == "INDIVIDUAL"
    return {
        "id": body.id,
        "refSellerId": body.ref_seller_id or f"ref-{body.id}",
        "businessType": body.business_type,
        "company": None if is_person else company,
        "individual": person if is_person else None,
        "account": {"bankCode": "092", "accountNumber": "100*****00001", "holderName": "홍길동"},
        "status": body.status,
        "metadata": None,
    }
