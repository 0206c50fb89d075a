"""Computes the expected tables from the deliveries alone, and compares. It shares no code with the service.

A run is right if every acknowledged delivery is stored, none counts twice, and every order's row matches its events. An
unacknowledged delivery may or may not be stored: Toss would send it again.
"""

import datetime as dt
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from benchmarks.rows import Row, Rows
from benchmarks.workload import Sending
from supatoss.toss.fields import SEOUL

MAX_PROBLEMS = 20
"""Problems listed; one is enough to fail a run."""

EVENTS = (
    "select payment_key, order_id, status, delivery_count, payload ->> 'createdAt' as created_at"
    " from public.webhook_events"
)
PAYMENTS = (
    "select order_id, payment_key, payment_status, amount, balance_amount, approved_at, canceled_at"
    " from public.payments"
)
_EventId = tuple[str, str]


@dataclass(frozen=True, slots=True)
class ExpectedEvent:
    """An event, and its numbers of acknowledged and sent deliveries."""

    payment_key: str
    order_id: str
    acknowledged: int
    sent: int


@dataclass(frozen=True, slots=True)
class ExpectedPayment:
    """What an order's row must show when its events are recorded."""

    payment_key: str
    status: str
    amount: Decimal
    balance: Decimal
    approved_at: dt.datetime | None
    canceled_at: dt.datetime | None


@dataclass
class Problems:
    """What is wrong; only the first MAX_PROBLEMS are listed."""

    listed: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, problem: str) -> None:
        """Adds a problem."""
        self.count += 1
        if self.count <= MAX_PROBLEMS:
            self.listed.append(problem)


def verify(
    rows: Rows, sendings: Sequence[Sending], unacknowledged: Iterable[int] = (), orders: tuple[str, str] | None = None
) -> list[str]:
    """What is lost, duplicated or wrong in webhook_events and payments after these sendings; empty if nothing is.

    `orders`: only orders whose id is from the first of these, up to but without the second.
    """
    only = f" where order_id >= '{orders[0]}' and order_id < '{orders[1]}'" if orders else ""
    problems = Problems()
    events = expected_events(sendings, set(unacknowledged))
    stored = compare_events(events, rows.query(EVENTS + only), problems)
    compare_payments(expected_payments(sendings, stored), rows.query(PAYMENTS + only), problems)
    if problems.count > len(problems.listed):
        problems.listed.append(f"and {problems.count - len(problems.listed)} more")
    return problems.listed


def expected_events(sendings: Sequence[Sending], unacknowledged: set[int]) -> dict[_EventId, ExpectedEvent]:
    """By (payment key, createdAt)."""
    sent = Counter(sending.body for sending in sendings)
    lost = Counter(sending.body for index, sending in enumerate(sendings) if index in unacknowledged)
    expected = {}
    for body, number in sent.items():
        event = json.loads(body)
        data = event["data"]
        expected[data["paymentKey"], event["createdAt"]] = ExpectedEvent(
            data["paymentKey"], data["orderId"], number - lost[body], number
        )
    return expected


def expected_payments(sendings: Sequence[Sending], stored: set[_EventId]) -> dict[str, ExpectedPayment]:
    """By order id, from the events that are stored: the latest one by createdAt says what the order is."""
    by_order: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for body in {sending.body for sending in sendings}:
        event = json.loads(body)
        if (event["data"]["paymentKey"], event["createdAt"]) in stored:
            by_order[event["data"]["orderId"]][event["createdAt"]] = event["data"]
    return {order_id: _latest(by_time) for order_id, by_time in by_order.items()}


def compare_events(expected: dict[_EventId, ExpectedEvent], rows: Iterable[Row], problems: Problems) -> set[_EventId]:
    """Compares the inbox; returns which events are in it."""
    seen: set[_EventId] = set()
    for row in rows:
        identity = (row["payment_key"], row["created_at"])
        event = expected.get(identity)
        if event is None:
            problems.add(f"wrong: an event that nobody sent: {identity}")
        elif identity in seen:
            problems.add(f"doubled: the event {identity} has two rows")
        else:
            count = row["delivery_count"]
            if count < event.acknowledged:
                problems.add(f"lost: {event.acknowledged - count} deliveries of the event {identity}")
            if count > event.sent:
                problems.add(f"doubled: {count} deliveries of the event {identity} are counted, {event.sent} were sent")
            if (row["order_id"], row["status"]) != (event.order_id, "processed"):
                problems.add(f"wrong: the event {identity} is {row['status']} for the order {row['order_id']}")
        seen.add(identity)
    for identity, event in expected.items():
        if event.acknowledged and identity not in seen:
            problems.add(f"lost: the event {identity}, answered with 200 {event.acknowledged} times")
    return seen


def compare_payments(expected: dict[str, ExpectedPayment], rows: Iterable[Row], problems: Problems) -> None:
    """Compares the payments."""
    seen: set[str] = set()
    for row in rows:
        order_id = row["order_id"]
        if order_id in seen:
            problems.add(f"doubled: the order {order_id} has two rows")
        seen.add(order_id)
        if order_id not in expected:
            problems.add(f"wrong: a payment of the order {order_id} that no event is about")
        elif (found := _shown(row)) != expected[order_id]:
            problems.add(f"wrong: the order {order_id}: {_difference(found, expected[order_id])}")
    for order_id in expected.keys() - seen:
        problems.add(f"lost: the payment of the order {order_id}")


def _latest(by_time: dict[str, dict[str, Any]]) -> ExpectedPayment:
    data = by_time[max(by_time)]
    # The guide: a payment that is CANCELED has canceled_at; one of which a part is left is not cancelled.
    cancels = data["cancels"] if data["status"] == "CANCELED" else []
    canceled = [cancel["canceledAt"] for cancel in cancels]
    return ExpectedPayment(
        payment_key=data["paymentKey"],
        status=data["status"],
        amount=Decimal(data["totalAmount"]),
        balance=Decimal(data["balanceAmount"]),
        approved_at=_time(data["approvedAt"]),
        canceled_at=_time(max(canceled)) if canceled else None,
    )


def _difference(found: ExpectedPayment, expected: ExpectedPayment) -> str:
    shown, wanted = asdict(found), asdict(expected)
    return ", ".join(
        f"{name} is {shown[name]}, its events say {wanted[name]}" for name in wanted if shown[name] != wanted[name]
    )


def _shown(row: Row) -> ExpectedPayment:
    return ExpectedPayment(
        payment_key=row["payment_key"],
        status=row["payment_status"],
        amount=Decimal(row["amount"]),
        balance=Decimal(row["balance_amount"]),
        approved_at=_time(row["approved_at"]),
        canceled_at=_time(row["canceled_at"]),
    )


def _time(value: str | dt.datetime | None) -> dt.datetime | None:
    """A time from the database driver or from JSON."""
    moment = dt.datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.astimezone(SEOUL) if moment else None
