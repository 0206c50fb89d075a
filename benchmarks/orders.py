"""Orders that are stored before they are paid, what Toss shows of them, and what must have become of them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx

from benchmarks.oracle import (
    PAYMENTS,
    Problems,
    compare_events,
    compare_payments,
    expected_events,
    expected_payments,
)
from benchmarks.rows import Rows
from benchmarks.stack import SUPABASE_KEY, Project
from benchmarks.workload import Sending

ORDERS_A_CALL = 500
STORE_SECONDS = 60.0
_EVENTS = (
    "select payment_key, order_id, status, delivery_count, payload ->> 'createdAt' as created_at,"
    " payload -> 'data' as data from public.webhook_events"
)
_UNTOUCHED = (
    "select count(*) as orders from public.payments where payment_status = 'PENDING'"
    " and payment_key = 'placeholder-' || order_id and approved_at is null"
)


def store_orders(project: Project, payments: Sequence[Mapping[str, Any]]) -> None:
    """Inserts orders as the application does: PENDING, a placeholder as payment key, through the Data API."""
    headers = {"apikey": SUPABASE_KEY, "authorization": f"Bearer {SUPABASE_KEY}", "prefer": "return=minimal"}
    with httpx.Client(base_url=project.url, headers=headers, timeout=STORE_SECONDS, trust_env=False) as client:
        for start in range(0, len(payments), ORDERS_A_CALL):
            rows = [
                {
                    "payment_key": f"placeholder-{data['orderId']}",
                    "order_id": data["orderId"],
                    "order_name": data["orderName"],
                    "amount": data["totalAmount"],
                    "payment_status": "PENDING",
                }
                for data in payments[start : start + ORDERS_A_CALL]
            ]
            client.post("/rest/v1/payments", json=rows).raise_for_status()


def shown_by_toss(sendings: Iterable[Sending]) -> dict[str, bytes]:
    """By payment key, the body of its last event: Toss shows a payment as it is in the end."""
    by_key: dict[str, tuple[str, bytes]] = {}
    for body in {sending.body for sending in sendings}:
        event = json.loads(body)
        found = event["createdAt"], body
        key = event["data"]["paymentKey"]
        by_key[key] = max(by_key.get(key, found), found)
    return {key: body for key, (_, body) in by_key.items()}


def looked_up(sendings: Iterable[Sending], shown: Mapping[str, bytes]) -> list[Sending]:
    """What unsigned deliveries come to: each says what Toss shows of its payment."""
    return [replace(each, body=shown[json.loads(each.body)["data"]["paymentKey"]]) for each in sendings]


def verify(rows: Rows, sendings: Sequence[Sending], unacknowledged: Iterable[int], stored: int) -> list[str]:
    """What is lost, duplicated or wrong after these sendings about some of the `stored` orders."""
    problems = Problems()
    expected = expected_events(sendings, set(unacknowledged))
    states = {_state(json.loads(body)): json.loads(body)["createdAt"] for body in {each.body for each in sendings}}
    # Toss's answer is stored under the time when it was asked; only what it says tells which event it is.
    events = [{**row, "created_at": states.get(_state(row), row["created_at"])} for row in rows.query(_EVENTS)]
    seen = compare_events(expected, events, problems)
    paid = expected_payments(sendings, seen)
    compare_payments(paid, rows.query(f"{PAYMENTS} where payment_status <> 'PENDING'"), problems)
    (untouched,) = rows.query(_UNTOUCHED)
    if untouched["orders"] != stored - len(paid):
        problems.add(f"wrong: {untouched['orders']} of {stored} orders are as they were, {len(paid)} have events")
    return problems.listed


def _state(event: Mapping[str, Any]) -> str:
    return json.dumps(event["data"], sort_keys=True)
