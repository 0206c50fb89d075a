"""What an event of Toss means for a row. Pure: no clock, no I/O.

A change is a JSON object that the SQL function record_webhook_events_v1 applies. Its kinds:

- payment: status, amount, balance, currency, method, order_name, receipt_url, merchant_id, virtual_account, metadata,
  requested_at, approved_at, canceled_at, failure_code, failure_message, cancels; is_first: true if the event
  sorts before all others, whenever it was sent; was_approved: false for an account cancelled without a deposit
- cancel: cancel_key, cancel_request; never applied, only kept until its payment is found
- billing: action (issued | deleted), billing_key, customer_key
- settlement: settlement_kind (settlement | payout), settlement_key, status, the payment it names, amounts, dates

Amounts are decimal text, times ISO 8601 in UTC; absent values are left out.
"""

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import Any

from supatoss.inbox.event import EventReason, EventStatus, Meaning
from supatoss.toss import events
from supatoss.toss.delivery import plain_number
from supatoss.toss.fields import PaymentStatus, PayoutStatus, parse_time
from supatoss.toss.models import Cancel, Deposit, Failure, Money, Payment
from supatoss.toss.usual import UsualEvent, UsualFailure, UsualPayment

_STATUSES = dict(PaymentStatus.__members__)
_NO_FAILURE = UsualFailure()


def interpret(event: events.Event | UsualEvent) -> Meaning:  # noqa: C901, PLR0912 - one branch per type of event
    """What an event means. `occurred_at` is the body's own time; `createdAt`, if present, takes precedence over it."""
    match event:
        case UsualEvent():
            return interpret_payment(event.data)
        case events.MalformedEvent():
            return Meaning(EventStatus.FAILED, reason=EventReason.MALFORMED, error=event.problem)
        case events.UnknownEvent():
            return Meaning(EventStatus.IGNORED, reason=EventReason.UNKNOWN_TYPE)
        case events.PaymentStatusChanged():
            return interpret_payment(event.data)
        case events.OrderPaymentStatusChanged():
            return interpret_payment(event.data.payment)
        case events.VirtualAccountIssued():
            return _issued_account(event)
        case events.DepositCallback():
            return _deposit_callback(event)
        case events.VirtualAccountDeposit():
            return _deposit(event.data)
        case events.CancelStatusChanged():
            return _cancel(event.data)
        case events.BillingKeyIssued():
            change = _billing("issued", event.data.billing_key, event.data.customer_key)
            return Meaning(EventStatus.PROCESSED, change, occurred_at=event.data.issued_at)
        case events.BillingKeyDeleted():
            change = _billing("deleted", event.data.billing_key, event.data.customer_key)
            return Meaning(EventStatus.PROCESSED, change, occurred_at=event.data.deleted_at)
        case events.BillingDeleted():
            return Meaning(EventStatus.PROCESSED, _billing("deleted", event.billing_key, event.customer_key))
        case events.PayoutChanged():
            return _payout(event)
        case events.SettlementCompleted():
            return _settlement(event)
        case _:
            return Meaning(EventStatus.IGNORED, reason=EventReason.NO_PROJECTION)


def _issued_account(event: events.VirtualAccountIssued) -> Meaning:
    """An account is issued before anything else happens to it, so a re-send must not look like a deposit error."""
    payment = event.data.model_copy(update={"status": event.data.status or PaymentStatus.WAITING_FOR_DEPOSIT.value})
    meaning = interpret_payment(payment)
    if meaning.change is None or event.created_at:
        return meaning
    return replace(meaning, change={**meaning.change, "is_first": True}, occurred_at=payment.requested_at)


def interpret_payment(payment: Payment | UsualPayment) -> Meaning:
    """What a Payment object means for its row, whether it came in an event or from Toss's API."""
    named = payment.status
    status = _STATUSES.get(named or "")
    if status is None:
        # Nobody knows what a new status means for the money, so a person has to look.
        return Meaning(
            EventStatus.FAILED,
            reason=EventReason.UNKNOWN_STATUS if named else EventReason.MALFORMED,
            error=f"data.status: {(named or 'missing')[:50]} is none of {', '.join(PaymentStatus)}",
            payment_key=payment.payment_key,
            order_id=payment.order_id,
        )
    approved_at = payment.approved_at
    canceled_at = payment.canceled_at or max(
        (moment for item in payment.cancels or () if (moment := parse_time(item.get("canceledAt")))), default=None
    )
    failure = payment.failure or _NO_FAILURE
    change = _present(
        kind="payment",
        status=named,
        amount=payment.total_amount,
        balance=payment.balance_amount,
        currency=payment.currency,
        method=payment.method,
        order_name=payment.order_name,
        receipt_url=payment.receipt,
        merchant_id=payment.m_id,
        virtual_account=payment.virtual_account,
        metadata=payment.metadata,
        requested_at=payment.requested_at,
        approved_at=approved_at,
        was_approved=False if status is PaymentStatus.CANCELED and _holds_no_deposit(payment) else None,
        canceled_at=canceled_at if status.is_canceled else None,
        failure_code=failure.code or payment.failure_code,
        failure_message=failure.message or payment.failure_message,
        cancels=payment.cancels or None,
    )
    return Meaning(
        EventStatus.PROCESSED,
        change,
        payment_key=payment.payment_key,
        order_id=payment.order_id,
        occurred_at=_own_time(status, approved_at, canceled_at),
    )


def _holds_no_deposit(payment: Payment | UsualPayment) -> bool:
    """Whether Toss says that an account has no deposit: none came, or it was taken back."""
    return payment.is_said_unapproved and payment.virtual_account is not None


def _own_time(
    status: PaymentStatus, approved_at: dt.datetime | None, canceled_at: dt.datetime | None
) -> dt.datetime | None:
    """When a status began, by the payment's own times. requestedAt would sort a return to WAITING before its DONE."""
    if status is PaymentStatus.DONE:
        return approved_at
    return canceled_at if status.is_canceled else None


def _deposit_callback(event: events.DepositCallback) -> Meaning:
    """It names an order, no payment, and has no amounts: Toss's answer says which attempt is meant, and the rest."""
    if event.status not in _STATUSES:
        return interpret_payment(Payment(order_id=event.order_id, status=event.status))
    change = _present(kind="payment", status=event.status)
    return Meaning(EventStatus.PENDING, change, EventReason.CHECK_DEPOSIT, order_id=event.order_id)


def _deposit(deposit: Deposit) -> Meaning:
    return Meaning(
        EventStatus.PENDING,
        _present(kind="payment", status=PaymentStatus.DONE.value, approved_at=deposit.deposited_at),
        EventReason.CHECK_DEPOSIT,
        payment_key=deposit.payment_key,
        order_id=deposit.order_id,
        occurred_at=deposit.deposited_at,
    )


def _cancel(cancel: Cancel) -> Meaning:
    """A Cancel object names no payment: the payment with this cancel has to be found, then looked up at Toss."""
    return Meaning(
        EventStatus.PENDING,
        _present(kind="cancel", cancel_key=cancel.transaction_key, cancel_request=cancel.cancel_request_id),
        EventReason.FIND_PAYMENT,
        payment_key=cancel.payment_key,
        order_id=cancel.order_id,
        occurred_at=cancel.canceled_at,
    )


def _billing(action: str, billing_key: str, customer_key: str | None) -> dict[str, Any]:
    return _present(kind="billing", action=action, billing_key=billing_key, customer_key=customer_key)


def _payout(event: events.PayoutChanged) -> Meaning:
    payout = event.entity_body
    error = payout.error or Failure()
    amount = payout.amount or Money()
    is_completed = payout.status == PayoutStatus.COMPLETED
    return Meaning(
        EventStatus.PROCESSED,
        _present(
            kind="settlement",
            settlement_kind="payout",
            settlement_key=f"payout:{payout.id}",
            status=payout.status,
            reference=payout.ref_payout_id,
            seller_id=payout.destination,
            amount=amount.value,
            pay_out_amount=amount.value,
            currency=amount.currency,
            paid_out_date=payout.payout_date,
            requested_at=payout.requested_at,
            settled_at=event.created_at if is_completed else None,
            failure_code=error.code,
            failure_message=error.message,
            metadata=payout.metadata,
        ),
    )


def _settlement(event: events.SettlementCompleted) -> Meaning:
    settlement = event.data
    own_key = settlement.settlement_key or settlement.settlement_id or settlement.transaction_key
    about = settlement.payment_key or settlement.order_id
    if own_key is None and about is None:
        return Meaning(
            EventStatus.FAILED,
            reason=EventReason.MALFORMED,
            error="data: settlementKey, transactionKey, paymentKey or orderId is needed",
        )
    day = settlement.sold_date or settlement.paid_out_date
    settled_at = settlement.settled_at or settlement.completed_at
    return Meaning(
        EventStatus.PROCESSED,
        _present(
            kind="settlement",
            settlement_kind="settlement",
            settlement_key=f"settlement:{own_key or ':'.join(filter(None, (about, str(day) if day else None)))}",
            status=settlement.status or "COMPLETED",
            payment_key=settlement.payment_key,
            order_id=settlement.order_id,
            transaction_key=settlement.transaction_key,
            seller_id=settlement.seller_id,
            amount=settlement.amount,
            pay_out_amount=settlement.pay_out_amount,
            fee=settlement.fee,
            currency=settlement.currency,
            sold_date=settlement.sold_date,
            paid_out_date=settlement.paid_out_date,
            settled_at=settled_at or event.created_at,
        ),
        payment_key=settlement.payment_key,
        order_id=settlement.order_id,
        occurred_at=settled_at,
    )


def _present(**fields: Any) -> dict[str, Any]:
    """The fields that have a value, as JSON."""
    return {name: v if type(v) is str else _json(v) for name, v in fields.items() if v is not None}


def _json(value: Any) -> Any:
    """Top-level amounts become decimal text; numbers inside Toss's own objects stay numbers."""
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, dict | list):
        return _plain(value)
    raise TypeError(type(value).__name__)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return plain_number(value) if isinstance(value, Decimal) else value
