"""The days of a made-up shop: orders spread over a Korean day, subscriptions, payouts, and failures.

A day depends only on its date and the seed, so a second run makes the same webhooks.
"""

import datetime as dt
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from scripts.seeding.orders import SEOUL, Body, Order

BY_HOUR = (14, 8, 4, 2, 2, 3, 6, 12, 20, 28, 34, 38, 42, 36, 32, 32, 34, 36, 40, 46, 54, 58, 48, 28)
"""How busy each hour is, from midnight on; lunch and the evening are busiest."""

ORDERS = 40
"""On a weekday; Saturday and Sunday have half as many again."""

RESENT_SHARE = 0.12
"""Share of webhooks that Toss sends again, as if the answer had come too late."""

METHODS = ("카드", "간편결제", "계좌이체", "휴대폰", "문화상품권")
METHOD_WEIGHTS = (55, 28, 8, 6, 3)


@dataclass(frozen=True)
class Webhook:
    """One webhook. `form`: hex (as in the guide), v1 (as Toss signs payouts), forged (a wrong signature) or none."""

    at: dt.datetime
    body: Body
    form: str = "hex"
    sends: int = 1


@dataclass
class Day:
    """One day: webhooks in order of time, what Toss knows, and rows that the shop's own application wrote."""

    webhooks: list[Webhook] = field(default_factory=list)
    payments: list[Body] = field(default_factory=list)
    settlements: list[Body] = field(default_factory=list)
    billing_keys: list[Body] = field(default_factory=list)
    orders: list[Body] = field(default_factory=list)

    def add(self, order: Order, *, until: dt.datetime, is_known: bool = True, is_lost: bool = False) -> None:
        """Adds an order, as far as it has happened by `until`."""
        # The dice are also rolled for webhooks still to come, so that the day is the same at any hour.
        made = [Webhook(at, body, sends=_sends(order.dice)) for at, body in order.webhooks]
        happened = [webhook for webhook in made if webhook.at <= until]
        if not is_lost:
            self.webhooks += happened
        reports = [it.body["data"] for it in happened if it.body["eventType"] == "PAYMENT_STATUS_CHANGED"]
        if is_known and reports:
            self.payments.append(reports[-1])
        if order.settlement and len(happened) == len(made):
            self.settlements.append(order.settlement)


def days(first: dt.date, now: dt.datetime, seed: int) -> Iterator[Day]:
    """The days from `first` until now."""
    date = first
    while date <= now.astimezone(SEOUL).date():
        yield _Maker(date, now, seed).day()
        date += dt.timedelta(days=1)


class _Maker:
    """Makes up one day."""

    def __init__(self, date: dt.date, now: dt.datetime, seed: int) -> None:
        self.date, self.now = date, now
        self.dice = random.Random(f"{seed}:{date}")  # noqa: S311 - test data, and the same each time
        self.prefix = f"{date:%Y%m%d}" if seed == 1 else f"{date:%Y%m%d}-{seed}"
        self.made = Day()
        self.count = 0

    def day(self) -> Day:
        """The day, with its webhooks in order. Each kind of trouble comes once in seven days."""
        busy = 1.5 if self.date.weekday() >= 5 else 1.0
        for _ in range(round(ORDERS * busy * self.dice.uniform(0.85, 1.15))):
            self._add(_history(self.dice, self._order))
        self._subscriptions()
        self._payouts()
        self._strangers()
        if self.date.toordinal() % 2:
            self._add(self._order().pay(), is_lost=True)
        _TROUBLES[self.date.toordinal() % len(_TROUBLES)](self)
        self.made.webhooks = sorted(
            (webhook for webhook in self.made.webhooks if webhook.at <= self.now), key=lambda webhook: webhook.at
        )
        return self.made

    def mismatch(self) -> None:
        """The application stored a different amount from the one Toss reports."""
        order = self._order().pay()
        self._add(order)
        self._store(order, order.amount * 10)

    def double_charge(self) -> None:
        """An order is paid twice."""
        first = self._order().pay()
        again = Order(self.dice, first.now, first.payment["orderId"]).wait(60, 300)
        again.payment |= {name: first.payment[name] for name in ("orderName", "totalAmount", "balanceAmount")}
        self._add(first)
        self._add(again.pay())

    def unknown_status(self) -> None:
        """Toss reports a status that supatoss doesn't know."""
        self._add(self._order().wait(20, 90).report("HELD_FOR_REVIEW"), is_known=False)

    def malformed(self) -> None:
        """A webhook without a payment key or order id."""
        at, body = self._order().pay().webhooks[0]
        data = {name: value for name, value in body["data"].items() if name not in ("paymentKey", "orderId")}
        self.made.webhooks.append(Webhook(at, {**body, "data": data}))

    def no_stored_amount(self) -> None:
        """A deposit that needs an approval, for an order that the application never stored."""
        order = self._order("가상계좌")
        order.payment |= {"status": "IN_PROGRESS"}
        if order.wait(300, 900).now <= self.now:
            self.made.payments.append(order.payment)
        named = {name: order.payment[name] for name in ("paymentKey", "orderId", "secret")}
        data = {**named, "depositedAt": order.now.isoformat(timespec="seconds")}
        self.made.webhooks.append(Webhook(order.now, {"eventType": "VIRTUAL_ACCOUNT_DEPOSIT", "data": data}))

    def lost(self) -> None:
        """Webhooks that never arrived: reconciliation finds them."""
        self._add(self._order().pay(), is_lost=True)
        self._add(self._order().pay().wait(600, 7_200).refund(), is_lost=True)

    def unpaid(self) -> None:
        """Orders that nobody paid, and another wrong amount."""
        for _ in range(2):
            self._store(self._order())
        self.mismatch()

    def _add(self, order: Order, *, is_known: bool = True, is_lost: bool = False) -> None:
        self.made.add(order, until=self.now, is_known=is_known, is_lost=is_lost)

    def _order(self, method: str | None = None, currency: str = "KRW") -> Order:
        self.count += 1
        chosen = method or self.dice.choices(METHODS, METHOD_WEIGHTS)[0]
        return Order(self.dice, self._moment(), f"{self.prefix}-{self.count:04d}", chosen, currency)

    def _moment(self) -> dt.datetime:
        hour = self.dice.choices(range(24), BY_HOUR)[0]
        start = dt.datetime.combine(self.date, dt.time(hour), SEOUL)
        return start + dt.timedelta(milliseconds=self.dice.randrange(3_600_000))

    def _store(self, order: Order, amount: float | None = None) -> None:
        """The row that the application writes before its buyer pays."""
        requested_at = dt.datetime.fromisoformat(order.payment["requestedAt"])
        if requested_at <= self.now:
            row = {
                "order_id": order.payment["orderId"],
                "payment_key": f"placeholder-{order.payment['orderId']}",
                "order_name": order.payment["orderName"],
                "amount": amount or order.amount,
                "payment_status": "PENDING",
                "created_at": requested_at.isoformat(),
            }
            self.made.orders.append(row)

    def _subscriptions(self) -> None:
        """Customers who register a card; some replace it, some leave."""
        for number in range(3):
            customer, at = f"customer-{self.prefix}-{number}", self._moment()
            steps = self.dice.choices(("+", "+-", "++-"), (6, 2, 2))[0]
            cards = [f"seedBilling{self.dice.randrange(16**16):016x}=" for _ in steps]
            held: list[str] = []
            for step in steps:
                if at <= self.now:
                    self._change_card(at, customer, step, cards, held)
                at += dt.timedelta(hours=self.dice.randint(5, 40))

    def _change_card(self, at: dt.datetime, customer: str, step: str, cards: list[str], held: list[str]) -> None:
        if step == "+":
            key = cards.pop()
            held.append(key)
            data = {"billingKey": key, "customerKey": customer, "issuedAt": at.isoformat(timespec="seconds")}
            body: Body = {"eventType": "BILLING_KEY_ISSUED", "data": data}
        else:
            key = held.pop(0)
            moment = at.replace(tzinfo=None).isoformat(timespec="microseconds")
            data = {"billingKey": key, "reason": "고객 요청"}
            body = {"eventType": "BILLING_DELETED", "createdAt": moment, "data": data}
        self.made.webhooks.append(Webhook(at, body))
        self.made.billing_keys.append({"billingKey": key, "customerKey": customer, "isRemoved": step == "-"})

    def _payouts(self) -> None:
        """Payouts to sellers, signed as Toss signs them."""
        at = dt.datetime.combine(self.date, dt.time(10, self.dice.randrange(60)), SEOUL)
        moment = at.isoformat(timespec="seconds")
        for number in range(2):
            is_done = self.dice.random() > 0.15
            mark = f"{self.prefix}-{number}"
            payout: Body = {
                "id": f"FPA_{mark}",
                "refPayoutId": f"payout-{mark}",
                "destination": f"seller-{number}",
                "scheduleType": "SCHEDULED",
                "payoutDate": f"{self.date}",
                "amount": {"currency": "KRW", "value": float(self.dice.randrange(100, 2_000) * 1_000)},
                "transactionDescription": "정산",
                "requestedAt": moment,
                "status": "COMPLETED" if is_done else "FAILED",
                "error": None if is_done else {"code": "EMULATED_BANK_ERROR", "message": "계좌 오류"},
                "metadata": None,
            }
            envelope = {"eventId": f"evt_seed{mark}", "entityType": "payout", "version": "2022-11-16"}
            body = {"eventType": "payout.changed", "createdAt": moment, **envelope, "entityBody": payout}
            self.made.webhooks.append(Webhook(at, body, form="v1"))

    def _strangers(self) -> None:
        """Deliveries that are refused, or change nothing."""
        for _ in range(self.dice.randint(1, 4)):
            at, body = self._order().pay().webhooks[0]
            self.made.webhooks.append(Webhook(at, body, form="forged"))
        at = self._moment()
        data = {"customerKey": f"brandpay-{self.prefix}", "status": "CREATED", "changedAt": at.isoformat()}
        self.made.webhooks.append(Webhook(at, {"eventType": "CUSTOMER_STATUS_CHANGED", "data": data}, form="none"))


_TROUBLES: tuple[Callable[[_Maker], None], ...] = (
    _Maker.mismatch,
    _Maker.double_charge,
    _Maker.unknown_status,
    _Maker.lost,
    _Maker.malformed,
    _Maker.no_stored_amount,
    _Maker.unpaid,
)

_NewOrder = Callable[..., Order]

_HISTORIES: tuple[tuple[int, Callable[[_NewOrder], Order]], ...] = (
    (40, lambda new: new().pay()),
    (14, lambda new: new().pay().settle()),
    (7, lambda new: new().pay().wait(3_600, 200_000).refund()),
    (5, lambda new: new("카드").pay().wait(3_600, 90_000).refund(0.3).wait(3_600, 90_000).refund(0.5)),
    (8, lambda new: new().fail()),
    (5, lambda new: new().expire()),
    (6, lambda new: new("가상계좌").issue_account()),
    (9, lambda new: new("가상계좌").issue_account().wait(600, 90_000).pay()),
    (2, lambda new: new("가상계좌").issue_account().wait(600, 90_000).pay().revert_deposit()),
    (2, lambda new: new("가상계좌").issue_account().wait(600, 90_000).refund()),
    (2, lambda new: new("카드", "USD").pay()),
)


def _history(dice: random.Random, new: _NewOrder) -> Order:
    weights = [weight for weight, _ in _HISTORIES]
    return dice.choices([tell for _, tell in _HISTORIES], weights)[0](new)


def _sends(dice: random.Random) -> int:
    """How often a webhook is sent."""
    return dice.choice((2, 2, 3)) if dice.random() < RESENT_SHARE else 1
