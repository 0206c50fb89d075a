"""Deliveries to send: made-up orders and customers with everything that can happen to them, as Toss tells it.

Every body carries `faultId`, a field that is unknown to the service: by it the oracle finds a signed event again.
"""

import datetime as dt
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Body = dict[str, Any]

SEOUL = dt.timezone(dt.timedelta(hours=9))
START = dt.datetime(2026, 3, 14, 9, 0, tzinfo=SEOUL)


@dataclass(frozen=True, slots=True)
class Sent:
    """One event to deliver. form: how it is signed, `hex`, `v1` or not at all (None)."""

    name: str
    raw: bytes
    form: str | None = "hex"

    @property
    def stored_as(self) -> str:
        """What the oracle knows its event by: of an unsigned one nothing is stored but what Toss answers."""
        if self.form is not None:
            return self.name
        body = json.loads(self.raw)
        data = body.get("data") or body
        return f"{body.get('eventType', 'DEPOSIT_CALLBACK')} of {data['orderId']}"


@dataclass(slots=True)
class Mix:
    """Events to deliver, and the orders that the application has stored before: order id to amount."""

    events: list[Sent] = field(default_factory=list)
    stored_amounts: dict[str, int] = field(default_factory=dict)

    def add(self, body: Body, form: str | None = "hex") -> None:
        """One more event."""
        name = f"{len(self.events):06d}"
        raw = json.dumps({**body, "faultId": name}, ensure_ascii=False, separators=(",", ":")).encode()
        self.events.append(Sent(name, raw, form))


class Order:
    """One order, its attempts at paying, and what Toss sends about them."""

    def __init__(self, mix: Mix, number: int, chance: random.Random, *, is_stored: bool = True) -> None:
        self.id = f"fault-{number:06d}"
        self.amount = chance.randrange(2_000, 200_000, 100)
        self._mix = mix
        self._now = START + dt.timedelta(seconds=97 * number)
        self._attempts = 0
        if is_stored:
            mix.stored_amounts[self.id] = self.amount
        self.attempt()

    def attempt(self) -> "Order":
        """Another payment for the same order."""
        self._attempts += 1
        self.payment: Body = {
            "mId": "tfaults01",
            "paymentKey": f"tfault-{self.id}-{self._attempts}",
            "orderId": self.id,
            "orderName": "유기농 쌀 10kg 외 1건",
            "method": "카드",
            "currency": "KRW",
            "totalAmount": self.amount,
            "balanceAmount": self.amount,
            "requestedAt": _with_offset(self._now),
            "approvedAt": None,
            "cancels": None,
            "failure": None,
        }
        return self

    def report(self, status: str, **changes: Any) -> "Order":
        """PAYMENT_STATUS_CHANGED, half a minute later."""
        self._now += dt.timedelta(seconds=30)
        self.payment |= {"status": status, **changes}
        self._mix.add(
            {"eventType": "PAYMENT_STATUS_CHANGED", "createdAt": _without_offset(self._now), "data": self.payment}
        )
        return self

    def pay(self, **changes: Any) -> "Order":
        """DONE."""
        return self.report("DONE", approvedAt=_with_offset(self._now + dt.timedelta(seconds=30)), **changes)

    def pay_in_the_guides_form(self) -> "Order":
        """DONE as the merchant's guide shows it, without createdAt."""
        self._now += dt.timedelta(seconds=30)
        data = {
            "paymentKey": self.payment["paymentKey"],
            "orderId": self.id,
            "status": "DONE",
            "approvedAt": _with_offset(self._now),
            "totalAmount": self.amount,
        }
        self._mix.add({"eventType": "PAYMENT_STATUS_CHANGED", "data": data})
        return self

    def cancel(self, amount: int | None = None) -> "Order":
        """Gives back a part, or all."""
        balance = self.payment["balanceAmount"]
        given_back = balance if amount is None else min(amount, balance)
        cancels = self.payment["cancels"] or []
        item = {
            "transactionKey": f"{self.payment['paymentKey']}-cancel-{len(cancels)}",
            "cancelAmount": given_back,
            "cancelStatus": "DONE",
            "cancelReason": "구매자 변심",
            "canceledAt": _with_offset(self._now + dt.timedelta(seconds=30)),
        }
        status = "CANCELED" if amount is None and not cancels else "PARTIAL_CANCELED"
        return self.report(status, cancels=[*cancels, item], balanceAmount=balance - given_back)

    def fail(self) -> "Order":
        """ABORTED."""
        failure = {"code": "REJECT_CARD_COMPANY", "message": "결제 승인이 거절되었습니다."}
        return self.report("ABORTED", failure=failure, approvedAt=None)

    def issue_account(self) -> "Order":
        """A virtual account waits for its deposit."""
        due = _with_offset(self._now + dt.timedelta(days=7))
        account = {"accountNumber": "X0000000000001", "bankCode": "20", "dueDate": due}
        return self.report("WAITING_FOR_DEPOSIT", virtualAccount=account, approvedAt=None)

    def take_back_the_deposit(self) -> "Order":
        """DONE returns to WAITING_FOR_DEPOSIT: a deposit error."""
        return self.report("WAITING_FOR_DEPOSIT", approvedAt=None)

    def settle(self) -> "Order":
        """The seller gets the money."""
        self._now += dt.timedelta(days=2)
        data = {
            "settlementKey": f"settlement-{self.id}",
            "paymentKey": self.payment["paymentKey"],
            "orderId": self.id,
            "amount": self.amount,
            "payOutAmount": self.amount - 100,
            "fee": 100,
            "currency": "KRW",
        }
        self._mix.add({"eventType": "SETTLEMENT_COMPLETED", "createdAt": _without_offset(self._now), "data": data})
        return self

    def say_something_new(self) -> "Order":
        """A type that nobody knows yet."""
        self._mix.add({"eventType": "SOMETHING_NEW", "createdAt": _without_offset(self._now), "data": {"a": 1}})
        return self


_ORDERS: tuple[Callable[[Order], object], ...] = (
    lambda order: order.pay(),
    lambda order: order.pay().cancel(),
    lambda order: order.pay().cancel(500).cancel(700),
    lambda order: order.pay().cancel(900).cancel(10**9),
    lambda order: order.fail().attempt().pay(),
    lambda order: order.issue_account().pay(),
    lambda order: order.issue_account().pay().take_back_the_deposit(),
    lambda order: order.issue_account().pay().take_back_the_deposit().pay(),
    lambda order: order.pay(totalAmount=order.amount - 1_000, balanceAmount=order.amount - 1_000),
    lambda order: order.pay().attempt().pay(),
    lambda order: order.fail(),
    lambda order: order.report("EXPIRED"),
    lambda order: order.pay().settle(),
    lambda order: order.pay_in_the_guides_form(),
    lambda order: order.pay().say_something_new(),
)

_CUSTOMERS: tuple[tuple[tuple[str, int], ...], ...] = (
    (("issued", 0),),
    (("issued", 0), ("deleted", 0)),
    (("issued", 0), ("issued", 1), ("deleted", 0)),
    (("issued", 0), ("deleted", 0), ("issued", 1)),
)
"""One key; a customer who left; a changed card; one who came back."""


def make_mix(least_events: int, seed: int = 1) -> Mix:
    """At least so many events, every kind of order and customer in turn; the same seed makes the same ones."""
    mix = Mix()
    chance = random.Random(seed)  # noqa: S311 - test data
    number = 0
    while len(mix.events) < least_events:
        _ORDERS[number % len(_ORDERS)](Order(mix, number, chance, is_stored=number % 3 != 2 or number % 15 == 8))
        if number % 3 == 0:
            for body in _customer(number, _CUSTOMERS[number // 3 % len(_CUSTOMERS)]):
                mix.add(body)
        if number % 5 == 0:
            mix.add(_payout(number), "v1")
        number += 1
    return mix


def _customer(number: int, steps: tuple[tuple[str, int], ...]) -> Iterator[Body]:
    now = START + dt.timedelta(seconds=97 * number)
    for step, (action, card) in enumerate(steps):
        moment = now + dt.timedelta(days=step)
        key = f"faultKey-{number:06d}-{card}="
        if action == "issued":
            data = {
                "billingKey": key,
                "customerKey": f"fault-customer-{number:06d}",
                "issuedAt": _with_offset(moment),
            }
            yield {"eventType": "BILLING_KEY_ISSUED", "data": data}
        else:
            data = {"billingKey": key, "reason": "가맹점 요청"}
            yield {"eventType": "BILLING_DELETED", "createdAt": _without_offset(moment), "data": data}


def _payout(number: int) -> Body:
    moment = START + dt.timedelta(seconds=97 * number)
    return {
        "eventType": "payout.changed",
        "createdAt": _with_offset(moment),
        "version": "2022-11-16",
        "eventId": f"fault-payout-event-{number:06d}",
        "entityType": "payout",
        "entityBody": {
            "id": f"fault-payout-{number:06d}",
            "refPayoutId": f"ref-{number:06d}",
            "destination": "seller-1",
            "status": "COMPLETED",
            "amount": {"value": 10_000 + number, "currency": "KRW"},
        },
    }


def _with_offset(moment: dt.datetime) -> str:
    return moment.isoformat(timespec="seconds")


def _without_offset(moment: dt.datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds")
