import datetime as dt
import json
from collections import Counter
from typing import Any

import pytest

from benchmarks.oracle import verify
from benchmarks.rows import Row
from benchmarks.workload import OrderMix, Sending, plan

SENDINGS = plan(60, 0.5, OrderMix.MIXED, seed=3)


class Tables:
    """Rows as a database would hold them: right ones, until a test changes them."""

    def __init__(self, sendings: tuple[Sending, ...]) -> None:
        deliveries = Counter(one.body for one in sendings)
        bodies = sorted((json.loads(body) for body in deliveries), key=lambda event: event["createdAt"])
        self.events: list[Row] = [
            {
                "payment_key": event["data"]["paymentKey"],
                "order_id": event["data"]["orderId"],
                "status": "processed",
                "delivery_count": deliveries[_bytes(event)],
                "created_at": event["createdAt"],
            }
            for event in bodies
        ]
        latest = {event["data"]["orderId"]: event["data"] for event in bodies}
        self.payments: list[Row] = [
            {
                "order_id": data["orderId"],
                "payment_key": data["paymentKey"],
                "payment_status": data["status"],
                "amount": data["totalAmount"],
                "balance_amount": data["balanceAmount"],
                "approved_at": data["approvedAt"],
                "canceled_at": data["cancels"][-1]["canceledAt"] if data["status"] == "CANCELED" else None,
            }
            for data in latest.values()
        ]

    def query(self, query: str) -> list[Row]:
        return self.events if "webhook_events" in query else self.payments

    def execute(self, statement: str) -> None:
        raise AssertionError(statement)


def _bytes(event: dict[str, Any]) -> bytes:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


@pytest.fixture
def tables() -> Tables:
    return Tables(SENDINGS)


def test_right_rows_are_right(tables: Tables) -> None:
    assert verify(tables, SENDINGS) == []


def test_times_are_compared_as_instants(tables: Tables) -> None:
    for row in tables.payments:
        row["approved_at"] = dt.datetime.fromisoformat(row["approved_at"]).astimezone(dt.UTC)

    assert verify(tables, SENDINGS) == []


def test_a_lost_event_is_found(tables: Tables) -> None:
    lost = tables.events.pop()

    problems = verify(tables, SENDINGS)

    assert any(problem.startswith("lost: the event") and lost["payment_key"] in problem for problem in problems)


def test_a_lost_delivery_of_an_event_is_found(tables: Tables) -> None:
    next(row for row in tables.events if row["delivery_count"] > 1)["delivery_count"] -= 1

    assert [problem.split(":")[0] for problem in verify(tables, SENDINGS)] == ["lost"]


def test_an_event_with_two_rows_is_found(tables: Tables) -> None:
    tables.events.append(dict(tables.events[0]))

    assert [problem.split(":")[0] for problem in verify(tables, SENDINGS)] == ["doubled"]


def test_a_delivery_that_counts_twice_is_found(tables: Tables) -> None:
    tables.events[0]["delivery_count"] += 1

    assert [problem.split(":")[0] for problem in verify(tables, SENDINGS)] == ["doubled"]


def test_an_order_with_two_rows_is_found(tables: Tables) -> None:
    tables.payments.append(dict(tables.payments[0]))

    assert [problem.split(":")[0] for problem in verify(tables, SENDINGS)] == ["doubled"]


def test_a_lost_payment_is_found(tables: Tables) -> None:
    lost = tables.payments.pop()

    assert verify(tables, SENDINGS) == [f"lost: the payment of the order {lost['order_id']}"]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("payment_status", "ABORTED"),
        ("amount", 1),
        ("balance_amount", 1),
        ("payment_key", "another"),
        ("approved_at", None),
        ("approved_at", "2026-03-14T10:00:00+00:00"),
        ("canceled_at", "2026-03-14T10:00:00+09:00"),
    ],
)
def test_a_wrong_payment_is_found(tables: Tables, column: str, value: object) -> None:
    tables.payments[0][column] = value

    (problem,) = verify(tables, SENDINGS)

    assert problem.startswith(f"wrong: the order {tables.payments[0]['order_id']}: ")


def test_an_event_that_is_not_processed_is_found(tables: Tables) -> None:
    tables.events[0]["status"] = "failed"

    assert [problem.split(":")[0] for problem in verify(tables, SENDINGS)] == ["wrong"]


def test_rows_that_nobody_sent_are_found(tables: Tables) -> None:
    tables.events.append({**tables.events[0], "payment_key": "stray"})
    tables.payments.append({**tables.payments[0], "order_id": "stray"})

    assert [problem.split(":")[0] for problem in verify(tables, SENDINGS)] == ["wrong", "wrong"]


def test_what_was_not_acknowledged_may_be_there_or_not() -> None:
    once = [index for index, one in enumerate(SENDINGS) if [other.body for other in SENDINGS].count(one.body) == 1]
    without = tuple(one for index, one in enumerate(SENDINGS) if index not in once)

    assert verify(Tables(SENDINGS), SENDINGS, once) == []
    assert verify(Tables(without), SENDINGS, once) == []
    assert verify(Tables(without), SENDINGS) != []


def test_many_problems_are_told_in_part(tables: Tables) -> None:
    tables.events.clear()
    tables.payments.clear()

    problems = verify(tables, SENDINGS)

    assert len(problems) == 21
    assert problems[-1].startswith("and ")
