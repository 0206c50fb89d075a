"""What the merchant's tests share: events of one order, orders of steps, and what they read."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tests.database.support import Database, Row, payment_event
from tests.merchant.application import APPROVED_AT, PRICE, USER

Step = Callable[[], Any]

ORDER, KEY, CUSTOMER = "order-100", "tviva-100", "customer-100"


def orders_of(*streams: Sequence[Step]) -> list[tuple[Step, ...]]:
    """Every order of these steps in which those of one stream stay in theirs."""
    owners = [number for number, stream in enumerate(streams) for _ in stream]
    found = []
    for order in sorted(set(itertools.permutations(owners))):
        rest = [iter(stream) for stream in streams]
        found.append(tuple(next(rest[number]) for number in order))
    return found


def paid(status: str = "DONE", second: int = 10, *, price: int = PRICE, **data: Any) -> Row:
    data = {"order": ORDER, "key": KEY, "approvedAt": APPROVED_AT, **data}
    return payment_event(status, second, totalAmount=price, **data)


def profile(project: Database) -> tuple[int, int]:
    (row,) = project.rows("select credits, paid_orders from profiles where id = %s", USER)
    return row["credits"], row["paid_orders"]


def unfinished(project: Database) -> list[Row]:
    return project.rows(
        "select event_type, status, reason, last_error from webhook_events"
        " where status not in ('processed', 'ignored') and event_key not like 'unkeyed:%%'"
    )


def orders(project: Database) -> set[str]:
    return {
        row["order_id"]
        for row in project.rows("select order_id from payments where created_at > now() - interval '1 h'")
    }


@contextmanager
def undone(project: Database) -> Iterator[None]:
    with project.connection.transaction(force_rollback=True):
        yield


def subscriptions(project: Database, customer: str = CUSTOMER) -> list[tuple[Any, ...]]:
    rows = project.rows(
        "select billing_key, status, tier, user_id, amount from subscriptions where customer_key = %s"
        " order by billing_key",
        customer,
    )
    return [(row["billing_key"], row["status"], row["tier"], str(row["user_id"]), row["amount"]) for row in rows]
