"""What the tables have to hold at the end, from Toss's side: its payments as it shows them, and its webhooks."""

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import psycopg
from psycopg.rows import dict_row

Payment = Mapping[str, Any]
Row = dict[str, Any]

_ROWS = """
    select order_id, payment_key, payment_status, amount, balance_amount, approved_at,
           (select coalesce(sum((item ->> 'cancelAmount')::numeric), 0)
            from jsonb_array_elements(coalesce(cancels, '[]'::jsonb)) item) as canceled
    from payments
"""
_EVENTS = "select distinct payment_key from webhook_events where payment_key is not null"


def compare(
    connection: psycopg.Connection[Any],
    payments: Iterable[Payment],
    deliveries: Iterable[Row],
    elsewhere: AbstractSet[str] = frozenset(),
) -> list[str]:
    """What differs, a line each. Orders that nobody paid may wait, and those paid elsewhere; nothing else is there."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = {row.pop("order_id"): row for row in cursor.execute(_ROWS)}
        stored = {row["payment_key"] for row in cursor.execute(_EVENTS)}
    orders: dict[str, list[Payment]] = defaultdict(list)
    for payment in payments:
        orders[payment["orderId"]].append(payment)
    wrong = [
        f"{order}: {name} is {rows.get(order, {}).get(name)}, not {value}"
        for order, attempts in orders.items()
        for name, value in _expected(attempts).items()
        if rows.get(order, {}).get(name) != value
    ]
    wrong += [
        f"{order} should not be there" for order in rows.keys() - orders.keys() - elsewhere if _has_moved(rows[order])
    ]
    return wrong + [f"{key}: answered 200, and no event" for key in sorted(_acknowledged(deliveries) - stored)]


def _expected(attempts: Sequence[Payment]) -> Row:
    """The row of an order: the attempt that holds money, the earliest of them; else one that held some."""
    payment = min(attempts, key=lambda item: (-_weight(item), item["approvedAt"] or item["requestedAt"]))
    approved_at = payment["approvedAt"] and dt.datetime.fromisoformat(payment["approvedAt"])
    has_moved = _weight(payment) > 0
    return {
        "payment_key": payment["paymentKey"],
        "payment_status": payment["status"],
        "amount": payment["totalAmount"],
        "balance_amount": payment["balanceAmount"] if has_moved else None,
        "approved_at": approved_at,
        "canceled": sum(item["cancelAmount"] for item in payment["cancels"] or []),
    }


def _weight(payment: Payment) -> int:
    if not payment["approvedAt"]:
        return 0
    return 2 if payment["balanceAmount"] else 1


def _has_moved(row: Row) -> bool:
    return row["payment_status"] in ("DONE", "CANCELED", "PARTIAL_CANCELED")


def _acknowledged(deliveries: Iterable[Row]) -> set[str]:
    """Payments of whose status Toss was told that it is stored."""
    bodies = [json.loads(item["body"]) for item in deliveries if item["state"] == "success"]
    return {body["data"]["paymentKey"] for body in bodies if body.get("eventType") == "PAYMENT_STATUS_CHANGED"}
