"""POST /emulator/known: payments, settlements and billing keys that exist at Toss from now on, without a webhook.

Made-up webhooks (`supatoss trigger`, scripts/seed.py) are about payments that were not made here. This makes look-ups
and reconciliation agree with them. A payment is a Payment object of Toss; it replaces the one with the same key.
"""

import datetime as dt
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from scripts.emulator import requests as bodies
from scripts.emulator.control import answer, control, read
from scripts.emulator.formats import SEOUL, now
from scripts.emulator.merchant import Merchant
from scripts.emulator.payment import APPROVED, DEPOSIT_WINDOW, Cancel, Method, Payment, Status
from scripts.emulator.shapes import Transaction, settlement_json


class Known:
    """Stores what other programs made up."""

    def __init__(self, merchant: Merchant) -> None:
        self._merchant = merchant

    def routes(self) -> list[Route]:
        """The route."""
        return [Route("/emulator/known", control(self.learn), methods=["POST"])]

    async def learn(self, request: Request) -> Response:
        """All or nothing: a body with an error is refused before anything changes."""
        body = await read(request, bodies.KnownAtToss)
        for payment in [to_payment(item, self._merchant.m_id) for item in body.payments]:
            self._merchant.adopt(payment, _transactions(payment))
        for item in body.settlements:
            self._merchant.ledger.add_settlements(_settlements(self._merchant.payment(item.payment_key), item))
        for key in body.billing_keys:
            self._merchant.billing_keys.adopt(key.billing_key, key.customer_key, is_removed=key.is_removed)
        return answer({"payments": self._merchant.count}, 201)


def to_payment(item: bodies.KnownPayment, m_id: str) -> Payment:
    """The payment that a Payment object describes."""
    requested_at = _in_korea(item.requested_at or item.approved_at or now())
    account = item.virtual_account or bodies.KnownAccount()
    method = item.method or Method.CARD
    payment = Payment(
        item.payment_key,
        item.order_id,
        item.order_name,
        item.m_id or m_id,
        method,
        item.currency,
        item.total_amount,
        item.secret or "ps_made",
        account_number=account.account_number,
        customer_name=account.customer_name,
        customer_key=item.customer_key,
        metadata=item.metadata,
        type=item.type,
        is_partly_cancelable=method.is_partly_cancelable,
        status=item.status,
        requested_at=requested_at,
        last_transaction_key=item.last_transaction_key,
        has_method=item.method is not None,
        failure_code=(item.failure or {}).get("code"),
        cancels=[_cancel(cancel) for cancel in item.cancels or ()],
    )
    # An account can be cancelled before anybody pays: then nothing was approved.
    if payment.status in APPROVED and (item.approved_at or not payment.is_virtual_account):
        payment.approved_at = _in_korea(item.approved_at or requested_at)
    if payment.status is Status.CANCELED and not payment.cancels:
        # The API never shows one without its cancel.
        at = payment.approved_at or requested_at
        payment.cancels.append(Cancel(f"{item.payment_key}-cancel", "구매자 변심", payment.total, Decimal(0), at))
    if payment.is_virtual_account:
        payment.due_at = _in_korea(account.due_date or requested_at + DEPOSIT_WINDOW)
        payment.last_transaction_key = payment.last_transaction_key or f"{item.payment_key}-deposit"
    return payment


def _cancel(item: bodies.KnownCancel) -> Cancel:
    return Cancel(
        item.transaction_key,
        item.cancel_reason,
        item.cancel_amount,
        item.refundable_amount,
        _in_korea(item.canceled_at),
        item.cancel_request_id,
        item.cancel_status,
    )


def _transactions(payment: Payment) -> list[Transaction]:
    """What GET /v1/transactions lists about a payment: its approval and its cancels."""
    finished = [cancel for cancel in payment.cancels if cancel.status == "DONE"]
    rows = []
    if payment.approved_at is not None:
        named = payment.last_transaction_key
        is_cancels = any(cancel.transaction_key == named for cancel in finished)
        key = f"{payment.payment_key}-approve" if named is None or is_cancels else named
        rows.append(Transaction(key, payment, Status.DONE, payment.approved_at, payment.total))
    return [
        *rows,
        *(
            Transaction(
                cancel.transaction_key,
                payment,
                Status.CANCELED if cancel.amount == payment.total else Status.PARTIAL_CANCELED,
                cancel.canceled_at,
                cancel.amount,
            )
            for cancel in finished
        ),
    ]


def _settlements(payment: Payment, item: bodies.KnownSettlement) -> list[dict[str, Any]]:
    """The rows of GET /v1/settlements, with the fee that was made up for the approval."""
    rows = []
    for row in _transactions(payment):
        settled = settlement_json(row, item.sold_date, item.paid_out_date)
        if row.status == Status.DONE:
            settled |= {
                "transactionKey": item.transaction_key or row.key,
                "fees": [{"type": "BASE", "fee": item.fee}],
                "supplyAmount": item.fee,
                "vat": Decimal(0),
                "payOutAmount": settled["amount"] - item.fee,
            }
        rows.append(settled)
    return rows


def _in_korea(moment: dt.datetime) -> dt.datetime:
    """Without an offset, Toss means Korean time."""
    return moment.replace(tzinfo=SEOUL) if moment.tzinfo is None else moment.astimezone(SEOUL)
