"""The merchant's application: the rows it inserts and updates, as the service role, in its own words."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import psycopg

from tests.model.truth import Attempt, Kind


@dataclass(slots=True)
class Order:
    """What the application knows of an order. price: what it stores, whatever the window asks the buyer for."""

    order_id: str
    price: Decimal
    currency: str
    is_inserted: bool = False
    written_for: Attempt | None = None
    """The attempt that the application marked as paid."""
    key: str = ""
    """What it has put into payment_key."""
    wrote_at: int = 0
    """Place of its last update among the steps of the story. An insert learns at once what was told before."""

    @property
    def placeholder(self) -> str:
        """Its own value for payment_key until the real one is known."""
        return f"placeholder-{self.order_id}"


def approved_cards(order: Order, attempts: Sequence[Attempt]) -> list[Attempt]:
    """What the application can have approved: it compares the amounts before."""
    return [
        attempt
        for attempt in attempts
        if attempt.kind is Kind.CARD and attempt.approved_at is not None and attempt.total == order.price
    ]


@dataclass(slots=True)
class Shop:
    """Writes of the application, over a connection of its own."""

    connection: psycopg.Connection[Any] = field(repr=False)
    opened: list[Order] = field(default_factory=list)

    @property
    def has_open_transaction(self) -> bool:
        """Whether a write is not committed yet."""
        return bool(self.opened)

    def insert(self, order: Order, paid_by: Attempt | None = None, *, stays_open: bool = False) -> None:
        """The order's row: PENDING, a placeholder as its key, the price. paid_by: a renewal's charge, which is DONE."""
        if stays_open:
            self.connection.execute("begin")
            self.opened.append(order)
        key = paid_by.payment_key if paid_by else order.placeholder
        self.connection.execute(
            "insert into public.payments (payment_key, order_id, order_name, amount, currency, payment_status,"
            " payment_method, approved_at) values (%s, %s, %s, %s, %s, %s, %s, %s)",
            (
                key,
                order.order_id,
                f"주문 {order.order_id}",
                order.price,
                order.currency,
                "DONE" if paid_by else "PENDING",
                paid_by and paid_by.kind.value,
                paid_by and paid_by.approved_at,
            ),
        )
        order.is_inserted, order.key, order.written_for = True, key, paid_by

    def commit(self) -> None:
        """Ends the open transaction."""
        self.connection.execute("commit")
        self.opened.clear()

    def abandon(self) -> None:
        """Ends a transaction that a story left open."""
        if self.opened:
            self.connection.execute("rollback")

    def mark_paid(self, order: Order, attempt: Attempt, place: int, key: str, off: dt.timedelta) -> None:
        """What follows the approval. key: Toss's, or still the placeholder; off: how wrong its time is."""
        if attempt.approved_at is None:
            raise ValueError("not approved")
        self.connection.execute(
            "update public.payments set payment_key = %s, payment_status = 'DONE', payment_method = %s,"
            " approved_at = %s, receipt_url = %s where order_id = %s",
            (
                key,
                attempt.kind.value,
                attempt.approved_at + off,
                f"https://dashboard.tosspayments.com/receipt/{attempt.payment_key}",
                order.order_id,
            ),
        )
        order.written_for, order.key, order.wrote_at = attempt, key, place
