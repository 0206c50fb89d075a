"""The merchant's account at Toss: its payments, billing keys, transactions and settlements."""

import asyncio
import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any

from scripts.emulator.billing import BillingKey, BillingKeys
from scripts.emulator.errors import NotPossible, TossError
from scripts.emulator.events import Event, billing_deleted, cancel_event, payment_events
from scripts.emulator.formats import Names, now
from scripts.emulator.payment import APPROVED, Cancel, Method, Payment, Status
from scripts.emulator.shapes import Transaction, settlement_json

AUTHENTICATE_SECONDS = 30 * 60.0
CONFIRM_SECONDS = 10 * 60.0
PAID_OUT_AFTER = dt.timedelta(days=2)


class Ledger:
    """The rows of GET /v1/transactions and GET /v1/settlements, in order: one for each approval and each cancel."""

    def __init__(self) -> None:
        self.transactions: list[Transaction] = []
        self.settlements: list[dict[str, Any]] = []

    def approved(self, payment: Payment) -> None:
        """Money came in."""
        key = payment.last_transaction_key or ""
        self.transactions.append(Transaction(key, payment, Status.DONE, payment.approved_at or now(), payment.total))

    def canceled(self, payment: Payment, cancel: Cancel) -> None:
        """Money goes back; the amount is the cancel's, without a sign."""
        row = Transaction(cancel.transaction_key, payment, payment.status, cancel.canceled_at, cancel.amount)
        self.transactions.append(row)

    def reverted(self, payment: Payment) -> None:
        """A deposit was reversed: its row stays, but is no longer DONE."""
        for number, row in enumerate(self.transactions):
            if row.key == payment.last_transaction_key:
                self.transactions[number] = Transaction(row.key, payment, payment.status, row.at, row.amount)

    def settle(self, payment: Payment, sold_on: dt.date | None, paid_out_on: dt.date | None) -> list[dict[str, Any]]:
        """Settles what is unsettled of a payment, and returns the new rows. No webhook follows."""
        if payment.approved_at is None:
            raise NotPossible("only an approved payment is settled")
        sold = sold_on or payment.approved_at.date()
        settled = {row["transactionKey"] for row in self.settlements}
        rows = [
            settlement_json(row, sold, paid_out_on or sold + PAID_OUT_AFTER)
            for row in self.transactions
            if row.payment is payment and row.key not in settled
        ]
        self.settlements += rows
        return rows

    def replace(self, payment: Payment, rows: Iterable[Transaction]) -> None:
        """Lists these rows of a payment instead of those it had, in order of time."""
        others = (row for row in self.transactions if row.payment.payment_key != payment.payment_key)
        self.transactions = sorted((*others, *rows), key=lambda row: row.at)

    def add_settlements(self, rows: Iterable[dict[str, Any]]) -> None:
        """Lists settlements; one that is listed stays as it is."""
        settled = {row["transactionKey"] for row in self.settlements}
        self.settlements += [row for row in rows if row["transactionKey"] not in settled]

    def reset(self) -> None:
        """Forgets everything."""
        self.transactions.clear()
        self.settlements.clear()


class Merchant:
    """Payments, billing keys and the ledger. Raises TossError where Toss would refuse, else NotPossible."""

    def __init__(self, m_id: str, names: Names, send: Callable[[Iterable[Event]], None]) -> None:
        self.m_id = m_id
        self.billing_keys = BillingKeys(names)
        self.ledger = Ledger()
        self._names = names
        self._send = send
        self._payments: dict[str, Payment] = {}
        self._orders: dict[str, list[Payment]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def reset(self) -> None:
        """Forgets everything."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._payments.clear()
        self._orders.clear()
        self.billing_keys.reset()
        self.ledger.reset()

    @property
    def count(self) -> int:
        """How many payments there are."""
        return len(self._payments)

    def new_payment(self, order_id: str, order_name: str, method: Method, currency: str, total: Decimal) -> Payment:
        """A READY payment, as the payment window creates it."""
        payment = Payment(
            self._names.payment_key(),
            order_id,
            order_name,
            self.m_id,
            method,
            currency,
            total,
            self._names.secret(),
            account_number=self._names.account_number(),
            is_partly_cancelable=method.is_partly_cancelable,
        )
        self._payments[payment.payment_key] = payment
        self._orders.setdefault(order_id, []).append(payment)
        self._expire_after(payment, AUTHENTICATE_SECONDS)
        return payment

    def adopt(self, payment: Payment, rows: Iterable[Transaction]) -> None:
        """Stores a payment that was made up elsewhere, in place of the one with its key. No webhook follows."""
        known = self._payments.pop(payment.payment_key, None)
        if known is not None:
            self._stop_timer(known)
            self._orders[known.order_id].remove(known)
        self._payments[payment.payment_key] = payment
        self._orders.setdefault(payment.order_id, []).append(payment)
        self.ledger.replace(payment, rows)

    def newest(self) -> Iterator[Payment]:
        """Every payment, newest first: made-up ones by their own time."""
        latest_first = reversed(self._payments.values())
        return iter(sorted(latest_first, key=lambda payment: payment.requested_at, reverse=True))

    def payment(self, payment_key: str) -> Payment:
        """The payment with this key."""
        if payment := self._payments.get(payment_key):
            return payment
        raise TossError("NOT_FOUND_PAYMENT")

    def payments_with(self, status: Status) -> list[Payment]:
        """The payments with this status, newest first."""
        return [payment for payment in self.newest() if payment.status is status]

    def attempts(self, order_id: str) -> list[Payment]:
        """The payments of an order, oldest first."""
        return list(self._orders.get(order_id, ()))

    def payment_of_order(self, order_id: str) -> Payment:
        """The order's newest attempt; Toss does not document which one it returns."""
        if attempts := self._orders.get(order_id):
            return attempts[-1]
        raise TossError("NOT_FOUND_PAYMENT")

    def confirm(self, payment_key: str, order_id: str, amount: Decimal) -> Payment:
        """The shop confirms what the buyer authenticated."""
        payment = self.payment(payment_key)
        if payment.order_id != order_id or payment.status is Status.EXPIRED:
            raise TossError("NOT_FOUND_PAYMENT_SESSION")
        if payment.status not in (Status.READY, Status.IN_PROGRESS):
            raise TossError("ALREADY_PROCESSED_PAYMENT")
        if amount != payment.total:
            raise TossError("INVALID_REQUEST", "amount")
        self._check_order_is_free(order_id)
        if payment.status is Status.READY and not payment.is_virtual_account:
            raise TossError("NOT_FOUND_PAYMENT_SESSION")
        if payment.refuse_with:
            self.abort(payment, payment.refuse_with)
            raise TossError(payment.refuse_with)
        return self.approve(payment)

    def approve(self, payment: Payment) -> Payment:
        """Approves without confirm's checks, so that one order can be paid twice."""
        payment.approve(self._transaction_key(payment))
        if payment.status is Status.DONE:
            self.ledger.approved(payment)
        return self._changed(payment)

    def authenticate(self, payment: Payment) -> Payment:
        """The buyer completed the payment window."""
        payment.authenticate()
        self._expire_after(payment, CONFIRM_SECONDS)
        return payment

    def abort(self, payment: Payment, code: str) -> Payment:
        """The approval failed."""
        payment.abort(code)
        return self._changed(payment)

    def expire(self, payment: Payment) -> Payment:
        """The time to authenticate or confirm ran out."""
        payment.expire()
        return self._changed(payment)

    def deposit(self, payment: Payment) -> Payment:
        """The money arrived on the virtual account."""
        payment.deposit(self._transaction_key(payment))
        self.ledger.approved(payment)
        return self._changed(payment)

    def deposit_error(self, payment: Payment) -> Payment:
        """The deposit is reversed."""
        payment.deposit_error()
        self.ledger.reverted(payment)
        return self._changed(payment)

    def pass_due_date(self, payment: Payment) -> Payment:
        """The deposit becomes overdue; Toss sends no webhook."""
        payment.pass_due_date()
        return payment

    def cancel(
        self, payment: Payment, reason: str, amount: Decimal | None = None, request_id: str | None = None
    ) -> Payment:
        """Cancels the whole balance or a part; an asynchronous cancel only starts."""
        cancel = payment.cancel(self._transaction_key(payment), reason, amount, request_id)
        if cancel.status != "DONE":
            return payment
        self.ledger.canceled(payment, cancel)
        return self._changed(payment)

    def finish_cancel(self, payment: Payment, status: str) -> Payment:
        """The result of an asynchronous cancel: DONE or ABORTED."""
        cancel = next((cancel for cancel in payment.cancels if cancel.status == "IN_PROGRESS"), None)
        if cancel is None:
            raise NotPossible("no cancel of this payment is in progress")
        payment.finish_cancel(cancel, status)
        self._send([cancel_event(cancel)])
        if status != "DONE":
            return payment
        self.ledger.canceled(payment, cancel)
        return self._changed(payment)

    def finish_refund(self, payment: Payment, status: str) -> Payment:
        """The outcome of a refund to a buyer's account; Toss sends no webhook."""
        payment.finish_refund(status)
        return payment

    def charge(self, billing_key: str, customer_key: str, order_id: str, order_name: str, amount: Decimal) -> Payment:
        """A payment by billing key: request and approval in one call, and no webhook."""
        billing = self.billing_keys.usable(billing_key)
        if billing.customer_key != customer_key:
            raise TossError("NOT_MATCHES_CUSTOMER_KEY")
        self._check_order_is_free(order_id)
        if billing.refuse_with:
            raise TossError(billing.refuse_with)
        payment = self.new_payment(order_id, order_name, Method.CARD, "KRW", amount)
        self._stop_timer(payment)
        payment.type, payment.customer_key = "BILLING", customer_key
        payment.authenticate()
        payment.approve(self._transaction_key(payment))
        self.ledger.approved(payment)
        return payment

    def delete_billing_key(self, billing_key: str, reason: str | None = None) -> BillingKey:
        """Deletes a billing key permanently."""
        billing = self.billing_keys.usable(billing_key)
        billing.is_removed = True
        self._send([billing_deleted(billing_key, reason)])
        return billing

    def _check_order_is_free(self, order_id: str) -> None:
        if any(payment.status in APPROVED for payment in self._orders.get(order_id, ())):
            raise TossError("DUPLICATED_ORDER_ID")

    def _changed(self, payment: Payment) -> Payment:
        self._stop_timer(payment)
        self._send(payment_events(payment))
        return payment

    def _transaction_key(self, payment: Payment) -> str:
        return self._names.transaction_key(is_virtual_account=payment.is_virtual_account)

    def _expire_after(self, payment: Payment, seconds: float) -> None:
        self._stop_timer(payment)
        timer = asyncio.get_running_loop().call_later(seconds, self.expire, payment)
        self._timers[payment.payment_key] = timer

    def _stop_timer(self, payment: Payment) -> None:
        if timer := self._timers.pop(payment.payment_key, None):
            timer.cancel()
