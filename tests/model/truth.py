"""What really happens at Toss: payments, their webhooks, and what look-ups answer. Nothing here knows the service.

Sources: docs.tosspayments.com, core API reference (the Payment object and its states) and webhook event reference.
"""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from enum import Enum
from typing import Any

Payment = dict[str, Any]
"""Toss's Payment object, as JSON has it."""

SEOUL = dt.timezone(dt.timedelta(hours=9))
BEGINNING = dt.datetime(2026, 3, 14, 1, 0, 0, tzinfo=dt.UTC)

SMALLEST = {"KRW": Decimal(1), "USD": Decimal("0.01")}
"""The smallest amount of each currency."""

NEVER_PAID = frozenset({"READY", "IN_PROGRESS", "ABORTED", "EXPIRED"})


BOTH = ("PAYMENT_STATUS_CHANGED", "DEPOSIT_CALLBACK")
"""What tells of a change of an account. The event reference speaks of the second only, integrators see both."""

_CANCELS = ("cancel part", "cancel all")


class IllegalMove(Exception):
    """What Toss does not do in this state of a payment."""


class Clock:
    """The one time of a story: Toss's, the application's and the service's. It moves only when it is told to."""

    def __init__(self) -> None:
        self.now = BEGINNING

    def advance(self, seconds: float) -> dt.datetime:
        """Lets time pass, and tells the time."""
        self.now += dt.timedelta(seconds=seconds)
        return self.now


class Kind(Enum):
    """How a payment is paid."""

    CARD = "카드"
    ACCOUNT = "가상계좌"


_MOVES: Mapping[Kind, Mapping[str, Sequence[str]]] = {
    Kind.CARD: {
        "READY": ("authenticate", "expire"),
        "IN_PROGRESS": ("approve", "abort", "expire"),
        "DONE": _CANCELS,
        "PARTIAL_CANCELED": _CANCELS,
    },
    Kind.ACCOUNT: {
        "READY": ("issue", "expire"),
        "WAITING_FOR_DEPOSIT": ("deposit", "cancel all", "pass due date"),
        "DONE": (*_CANCELS, "take back"),
        "PARTIAL_CANCELED": _CANCELS,
    },
}
"""What can happen in which state. An account without a deposit is cancelled as a whole only."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """One webhook as Toss sends it. body: the same bytes at every delivery of it."""

    number: int
    order_id: str
    payment_key: str
    event_type: str
    status: str
    body: bytes = field(repr=False)

    def __str__(self) -> str:
        return f"w{self.number} ({self.event_type} {self.status} of {self.payment_key})"


@dataclass(slots=True)
class Cancel:
    """Money that was given back."""

    transaction_key: str
    amount: Decimal
    at: dt.datetime


@dataclass(slots=True)
class Attempt:
    """One payment at Toss: an attempt at paying for an order. `states`: every state it ever had, oldest first."""

    payment_key: str
    order_id: str
    kind: Kind
    total: Decimal
    currency: str
    requested_at: dt.datetime
    status: str = "READY"
    approved_at: dt.datetime | None = None
    cancels: list[Cancel] = field(default_factory=list)
    is_overdue: bool = False
    was_paid: bool = False
    is_reported: bool = False
    last_transaction: str | None = None
    states: list[Payment] = field(default_factory=list, repr=False)

    @property
    def balance(self) -> Decimal:
        """What can still be cancelled."""
        return self.total - sum((cancel.amount for cancel in self.cancels), Decimal())

    @property
    def holds_money(self) -> bool:
        """Whether the merchant has money of it now."""
        return self.status == "DONE" or (self.status == "PARTIAL_CANCELED" and self.balance > 0)

    @property
    def moved_money(self) -> bool:
        """Whether it was approved, whatever was given back since. An account's deposit that failed did not count."""
        return self.approved_at is not None

    def shown(self) -> Payment:
        """The Payment object of this moment."""
        is_account = self.kind is Kind.ACCOUNT and self.status != "READY"
        return {
            "mId": "tmodel01",
            "version": "2022-11-16",
            "paymentKey": self.payment_key,
            "type": "NORMAL",
            "orderId": self.order_id,
            "orderName": f"주문 {self.order_id}",
            "status": self.status,
            "currency": self.currency,
            "method": None if self.status == "READY" else self.kind.value,
            "totalAmount": _number(self.total),
            "balanceAmount": _number(self.balance),
            "requestedAt": seconds_of(self.requested_at),
            "approvedAt": seconds_of(self.approved_at) if self.approved_at else None,
            "lastTransactionKey": self.last_transaction,
            "secret": f"ps_{self.payment_key}",
            "cancels": [self._shown_cancel(cancel) for cancel in self.cancels] or None,
            "card": {"amount": _number(self.total), "issuerCode": "W1"} if self.kind is Kind.CARD else None,
            "virtualAccount": self._shown_account() if is_account else None,
            "receipt": {"url": f"https://dashboard.tosspayments.com/receipt/{self.payment_key}"},
            "failure": {"code": "REJECT_CARD_PAYMENT", "message": "거절"} if self.status == "ABORTED" else None,
        }

    def _shown_cancel(self, cancel: Cancel) -> Payment:
        return {
            "transactionKey": cancel.transaction_key,
            "cancelAmount": _number(cancel.amount),
            "cancelReason": "구매자 변심",
            "canceledAt": seconds_of(cancel.at),
            "cancelStatus": "DONE",
            "cancelRequestId": None,
        }

    def _shown_account(self) -> Payment:
        due = self.requested_at + dt.timedelta(days=7)
        return {
            "accountType": "일반",
            "accountNumber": "X0000000000001",
            "bankCode": "088",
            "dueDate": seconds_of(due),
            "expired": self.is_overdue,
        }


class Toss:
    """All payments of a story. Every change takes its time from the clock and sends the webhooks that Toss would send.

    of_accounts: the types of webhooks that are registered and sent for virtual accounts.
    """

    def __init__(self, clock: Clock, of_accounts: Sequence[str] = BOTH) -> None:
        self.clock = clock
        self.of_accounts = of_accounts
        self.attempts: dict[str, Attempt] = {}
        self.webhooks: list[Webhook] = []

    def open(self, payment_key: str, order_id: str, kind: Kind, total: Decimal, currency: str) -> Attempt:
        """The buyer opens the payment window."""
        attempt = Attempt(payment_key, order_id, kind, total, currency, self.clock.now)
        self.attempts[payment_key] = attempt
        attempt.states.append(attempt.shown())
        return attempt

    def of_order(self, order_id: str) -> list[Attempt]:
        """The attempts at paying for an order, oldest first."""
        return [attempt for attempt in self.attempts.values() if attempt.order_id == order_id]

    def moves(self, attempt: Attempt) -> Sequence[str]:
        """What can happen to a payment in its state."""
        moves = _MOVES[attempt.kind].get(attempt.status, ())
        return [move for move in moves if move not in self._barred(attempt)]

    def move(self, attempt: Attempt, name: str) -> None:  # noqa: C901 - one case a move
        """Makes one of the moves. Raises IllegalMove for another one."""
        if name not in self.moves(attempt):
            raise IllegalMove(f"{name} of a payment that is {attempt.status}")
        now = self.clock.now.replace(microsecond=0)
        match name:
            case "authenticate":  # the buyer passes the card's authentication
                self._change(attempt, "IN_PROGRESS", is_told=False)
            case "approve":  # the merchant confirms, and the card is charged
                self._change(attempt, "DONE", approved_at=now)
            case "abort":  # the approval is refused
                self._change(attempt, "ABORTED")
            case "expire":  # the window's half hour, or the ten minutes for the confirmation, run out
                self._change(attempt, "EXPIRED")
            case "issue":  # the buyer is given an account to pay into
                self._change(attempt, "WAITING_FOR_DEPOSIT")
            case "deposit":  # money arrives on the account
                self._change(attempt, "DONE", approved_at=now)
            case "take back":  # the deposit failed after all (limit, network)
                self._change(attempt, "WAITING_FOR_DEPOSIT")
            case "pass due date":  # the deadline of the deposit: the status stays, and no webhook tells of it
                attempt.is_overdue = True
                self._change(attempt, attempt.status, is_told=False)
            case "cancel all":
                self._cancel(attempt, attempt.balance)
            case "cancel part":
                quarter = (attempt.total / 4).quantize(SMALLEST[attempt.currency], ROUND_DOWN)
                self._cancel(attempt, min(quarter, attempt.balance))

    def _barred(self, attempt: Attempt) -> set[str]:
        barred = {"pass due date", "deposit"} if attempt.is_overdue else set()
        return barred | ({"cancel part", "cancel all"} if not attempt.balance else set())

    def _cancel(self, attempt: Attempt, amount: Decimal) -> None:
        """Given back in steps, a payment stays PARTIAL_CANCELED when nothing is left (integrators measured it)."""
        transaction = f"txrd_cancel_{len(attempt.states):02}_{attempt.payment_key}"
        attempt.cancels.append(Cancel(transaction, amount, self.clock.now.replace(microsecond=0)))
        status = "CANCELED" if amount == attempt.total else "PARTIAL_CANCELED"
        self._change(attempt, status, approved_at=attempt.approved_at, transaction=transaction)

    def look_up(self, attempt: Attempt, changes_behind: int = 0) -> Payment:
        """What GET /v1/payments/{paymentKey} answers; where it lags, an earlier state."""
        return attempt.states[max(0, len(attempt.states) - 1 - changes_behind)]

    def _change(
        self,
        attempt: Attempt,
        status: str,
        *,
        approved_at: dt.datetime | None = None,
        transaction: str | None = None,
        is_told: bool = True,
    ) -> None:
        attempt.status, attempt.approved_at = status, approved_at
        attempt.was_paid |= approved_at is not None
        if is_told:
            attempt.last_transaction = transaction or f"txrd_{len(attempt.states):02}_{attempt.payment_key}"
        attempt.states.append(attempt.shown())
        if not is_told:
            return
        attempt.is_reported = True
        created_at = self.clock.now.astimezone(SEOUL) + dt.timedelta(milliseconds=350)
        stamp = created_at.strftime("%Y-%m-%dT%H:%M:%S.%f")
        names = self.of_accounts if attempt.states[-1]["virtualAccount"] else ("PAYMENT_STATUS_CHANGED",)
        if "PAYMENT_STATUS_CHANGED" in names:
            payment = {"createdAt": stamp, "eventType": "PAYMENT_STATUS_CHANGED", "data": attempt.states[-1]}
            self._send(attempt, "PAYMENT_STATUS_CHANGED", payment)
        if "DEPOSIT_CALLBACK" in names:
            callback = {
                "createdAt": stamp,
                "secret": attempt.states[-1]["secret"],
                "status": attempt.status,
                "transactionKey": attempt.last_transaction,
                "orderId": attempt.order_id,
            }
            self._send(attempt, "DEPOSIT_CALLBACK", callback)

    def _send(self, attempt: Attempt, event_type: str, body: Payment) -> None:
        number = len(self.webhooks) + 1
        text = json_bytes(body)
        self.webhooks.append(Webhook(number, attempt.order_id, attempt.payment_key, event_type, attempt.status, text))


def json_bytes(value: Any) -> bytes:
    """JSON as Toss writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def seconds_of(moment: dt.datetime) -> str:
    """A time of a Payment object: whole seconds of Korea, with the offset."""
    return moment.astimezone(SEOUL).strftime("%Y-%m-%dT%H:%M:%S+09:00")


def _number(amount: Decimal) -> int | float:
    """Won are whole; dollars have cents, and two decimals are exact in a float's shortest text."""
    return int(amount) if amount == amount.to_integral_value() else float(amount)
