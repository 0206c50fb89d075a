"""Toss's JSON objects: Payment, Cancel, Transaction, Settlement.

Source: docs.tosspayments.com, core API reference, API version 2022-11-16.
"""

import datetime as dt
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from scripts.emulator.formats import with_offset
from scripts.emulator.payment import Cancel, Method, Payment, Status

VERSION = "2022-11-16"
_PAID = (Status.DONE, Status.PARTIAL_CANCELED, Status.CANCELED, Status.WAITING_FOR_DEPOSIT)
_FEE_RATE = Decimal("0.025")


@dataclass(frozen=True)
class Transaction:
    """One approval or cancel, a row of GET /v1/transactions."""

    key: str
    payment: Payment
    status: str
    at: dt.datetime
    amount: Decimal


def payment_json(payment: Payment) -> dict[str, Any]:
    """The Payment object as it is now."""
    supplied, vat = _split_tax(payment.balance, payment.currency)
    is_paid = payment.status in _PAID
    key = payment.payment_key
    receipt = f"https://dashboard.tosspayments.com/receipt/redirection?transactionId={key}&ref=PX"
    return {
        "mId": payment.m_id,
        "lastTransactionKey": payment.last_transaction_key,
        "paymentKey": key,
        "orderId": payment.order_id,
        "orderName": payment.order_name,
        "taxExemptionAmount": 0,
        "status": payment.status,
        "requestedAt": with_offset(payment.requested_at),
        "approvedAt": with_offset(payment.approved_at),
        "useEscrow": False,
        "cultureExpense": False,
        **_method_objects(payment),
        "cashReceipt": None,
        "cashReceipts": None,
        "discount": None,
        "cancels": [cancel_json(cancel) for cancel in payment.cancels] or None,
        "secret": payment.secret if is_paid else None,
        "type": payment.type,
        "country": payment.country,
        "failure": payment.describe_failure(),
        "isPartialCancelable": payment.is_partly_cancelable,
        "receipt": {"url": receipt} if is_paid else None,
        "checkout": {"url": f"https://api.tosspayments.com/v1/payments/{key}/checkout"},
        "currency": payment.currency,
        "totalAmount": payment.total,
        "balanceAmount": payment.balance,
        "suppliedAmount": supplied,
        "vat": vat,
        "taxFreeAmount": 0,
        "method": payment.method if payment.has_method else None,
        "version": VERSION,
        "metadata": payment.metadata,
    }


def cancel_json(cancel: Cancel) -> dict[str, Any]:
    """The Cancel object. It names neither its payment nor its order."""
    return {
        "transactionKey": cancel.transaction_key,
        "cancelReason": cancel.reason,
        "taxExemptionAmount": 0,
        "canceledAt": with_offset(cancel.canceled_at),
        "transferDiscountAmount": 0,
        "easyPayDiscountAmount": 0,
        "receiptKey": None,
        "cancelAmount": cancel.amount,
        "taxFreeAmount": 0,
        "refundableAmount": cancel.refundable,
        "cancelStatus": cancel.status,
        "cancelRequestId": cancel.request_id,
    }


def transaction_json(transaction: Transaction) -> dict[str, Any]:
    """The Transaction object."""
    payment = transaction.payment
    key = payment.payment_key
    return {
        "mId": payment.m_id,
        "transactionKey": transaction.key,
        "paymentKey": key,
        "orderId": payment.order_id,
        "method": payment.method,
        "customerKey": payment.customer_key,
        "useEscrow": False,
        "receiptUrl": f"https://dashboard.tosspayments.com/receipt/redirection?transactionId={key}&ref=PX",
        "status": transaction.status,
        "transactionAt": with_offset(transaction.at),
        "currency": payment.currency,
        "amount": transaction.amount,
    }


def settlement_json(transaction: Transaction, sold_on: dt.date, paid_out_on: dt.date) -> dict[str, Any]:
    """The Settlement object of an approval, or with negative amounts of a cancel."""
    payment = transaction.payment
    cancel = next((cancel for cancel in payment.cancels if cancel.transaction_key == transaction.key), None)
    amount = transaction.amount if cancel is None else -transaction.amount
    unit = Decimal(1) if payment.currency == "KRW" else Decimal("0.01")
    supply = (amount * _FEE_RATE).quantize(unit, ROUND_HALF_UP)
    vat = (supply / 10).quantize(unit, ROUND_HALF_UP)
    return {
        "mId": payment.m_id,
        "paymentKey": payment.payment_key,
        "transactionKey": transaction.key,
        "orderId": payment.order_id,
        "currency": payment.currency,
        "method": payment.method,
        "amount": amount,
        "interestFee": 0,
        "fees": [{"type": "BASE", "fee": supply + vat}],
        "supplyAmount": supply,
        "vat": vat,
        "payOutAmount": amount - supply - vat,
        "approvedAt": with_offset(payment.approved_at),
        "soldDate": sold_on.isoformat(),
        "paidOutDate": paid_out_on.isoformat(),
        **_method_objects(payment),
        "cancel": cancel_json(cancel) if cancel else None,
    }


def card_json(payment: Payment) -> dict[str, Any]:
    """The card of a payment."""
    return {
        "issuerCode": "61",
        "acquirerCode": "31",
        "number": "12345600****789*",
        "installmentPlanMonths": 0,
        "isInterestFree": False,
        "interestPayer": None,
        "approveNo": "00000000" if payment.approved_at else "",
        "useCardPoint": False,
        "cardType": "신용",
        "ownerType": "개인",
        "acquireStatus": "CANCELED" if payment.status is Status.CANCELED else "READY",
        "amount": payment.total,
    }


def _method_objects(payment: Payment) -> dict[str, Any]:
    """The payment method's object, and null for all others."""
    objects: dict[str, Any] = dict.fromkeys(
        ("card", "virtualAccount", "transfer", "mobilePhone", "giftCertificate", "easyPay")
    )
    if not payment.has_method:
        return objects
    match payment.method:
        case Method.CARD:
            objects["card"] = card_json(payment)
        case Method.VIRTUAL_ACCOUNT:
            objects["virtualAccount"] = _virtual_account(payment) if payment.last_transaction_key else None
        case Method.TRANSFER:
            objects["transfer"] = {"bankCode": "88", "settlementStatus": "INCOMPLETED"}
        case Method.MOBILE_PHONE:
            url = "https://dashboard.tosspayments.com/receipt/phone/emulated"
            phone = {"customerMobilePhone": "01000000000", "settlementStatus": "INCOMPLETED", "receiptUrl": url}
            objects["mobilePhone"] = phone
        case Method.EASY_PAY:
            objects["easyPay"] = {"provider": "토스페이", "amount": payment.total, "discountAmount": 0}
        case Method.FOREIGN_EASY_PAY:
            objects["easyPay"] = {"provider": "알리페이", "amount": payment.total, "discountAmount": 0}
        case _:
            objects["giftCertificate"] = {"approveNo": "90000000", "settlementStatus": "INCOMPLETED"}
    return objects


def _virtual_account(payment: Payment) -> dict[str, Any]:
    is_refunded = bool(payment.cancels) and payment.approved_at is not None
    return {
        "accountNumber": payment.account_number,
        "accountType": "일반",
        "bankCode": "20",
        "customerName": payment.customer_name,
        "depositorName": payment.customer_name if payment.approved_at else None,
        "dueDate": with_offset(payment.due_at),
        "expired": payment.is_expired_account,
        "settlementStatus": "INCOMPLETED",
        "refundStatus": (payment.refund_status or "COMPLETED") if is_refunded else "NONE",
        "refundReceiveAccount": None,
    }


def _split_tax(balance: Decimal, currency: str) -> tuple[Decimal, Decimal]:
    """Supplied amount and VAT: amounts in won include 10 %, foreign ones none."""
    if currency != "KRW":
        return balance, Decimal(0)
    supplied = (balance / Decimal("1.1")).quantize(Decimal(1), ROUND_HALF_UP)
    return supplied, balance - supplied
