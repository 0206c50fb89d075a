"""An order's timeline: each state once, and what was paid too much."""

from decimal import Decimal
from typing import Any

from supatoss.ops.i18n import Language, Translator
from supatoss.ops.order import _sums
from supatoss.ops.timeline import Step, build_timeline, find_surplus

EN = Translator(Language.EN)


def told(reported: str | None, second: int, **changes: Any) -> dict[str, Any]:
    """An event of supatoss_ops_payment_v1."""
    return {
        "id": f"event-{second}",
        "event_type": "PAYMENT_STATUS_CHANGED",
        "status": "processed",
        "reason": None,
        "last_error": None,
        "payment_key": "key-1",
        "occurred_at": f"2026-11-25T12:00:{second:02d}+09:00",
        "delivery_count": 1,
        "kind": "payment",
        "payment_status": reported,
        "amount": "9900",
        "balance": None,
        "currency": "KRW",
        "method": None,
        "is_first": False,
        "failure_code": None,
        "failure_message": None,
        "settlement_key": None,
        "cancels": [],
        **changes,
    }


def steps_of(*events: dict[str, Any]) -> list[Step]:
    return build_timeline({"payment": None, "settlements": [], "events": events, "has_more": False}, EN).steps


def titles(steps: list[Step]) -> list[tuple[str, int]]:
    return [(step.title, len(step.events)) for step in steps]


def cancel(key: str) -> dict[str, Any]:
    return {"key": key, "amount": "100", "reason": None, "at": "2026-11-25T13:00:00+09:00", "status": "DONE"}


def test_a_state_is_shown_once_however_many_events_report_it() -> None:
    steps = steps_of(
        told("WAITING_FOR_DEPOSIT", 1),
        told("DONE", 2, event_type="DEPOSIT_CALLBACK", amount=None, delivery_count=3),
        told("DONE", 3, method="가상계좌", delivery_count=2),
        told("DONE", 4, event_type="supatoss.payment_reconciled"),
    )
    assert titles(steps) == [("Waiting for deposit", 1), ("Paid", 3)]
    paid = steps[1]
    assert (paid.amount, paid.lines, paid.delivery_count) == ("9900", ("Paid by 가상계좌",), 6)
    assert paid.at is not None
    assert paid.at.second == 2


def test_a_state_that_comes_back_is_another_one() -> None:
    steps = steps_of(told("DONE", 1), told("WAITING_FOR_DEPOSIT", 2), told("DONE", 3))
    assert titles(steps) == [("Paid", 1), ("Waiting for deposit", 1), ("Paid", 1)]


def test_two_payments_of_an_order_are_two_states() -> None:
    twice = {"payment_key": "key-2", "status": "failed", "reason": "double_charge"}
    steps = steps_of(told("DONE", 1), told("DONE", 2, **twice), told("DONE", 3), told("DONE", 4, **twice))
    assert titles(steps) == [("Paid", 2), ("Paid", 2)]
    assert [step.tone for step in steps] == ["processed", "failed"]


def test_every_cancel_is_a_state_of_its_own() -> None:
    first, second = cancel("c1"), cancel("c2")
    steps = steps_of(
        told("PARTIAL_CANCELED", 1, cancels=[first], balance="9800"),
        told("PARTIAL_CANCELED", 2, cancels=[first], balance="9800"),
        told("PARTIAL_CANCELED", 3, cancels=[first, second], balance="9700"),
    )
    assert titles(steps) == [("Partly cancelled", 2), ("Partly cancelled", 1)]
    assert [[item["key"] for item in step.cancels] for step in steps] == [["c1"], ["c2"]]


def test_events_without_a_status_are_never_taken_for_each_other() -> None:
    assert titles(steps_of(told(None, 1), told(None, 2))) == [("Other event", 1), ("Other event", 1)]


def test_a_surplus_is_what_is_left_of_the_second_payment() -> None:
    twice = {"payment_key": "key-2", "status": "failed", "reason": "double_charge"}
    events = [told("DONE", 1), told("DONE", 2, **twice)]
    (surplus,) = find_surplus(events, "KRW")
    assert (surplus.payment_key, surplus.left, surplus.event_id) == ("key-2", Decimal(9900), "event-2")
    events.append(told("PARTIAL_CANCELED", 3, balance="4900", **twice))
    (surplus,) = find_surplus(events, "KRW")
    assert (surplus.left, surplus.event_id) == (Decimal(4900), "event-3")
    assert surplus.at is not None
    assert surplus.at.second == 2


def test_nothing_is_too_much_where_nothing_failed_so() -> None:
    assert find_surplus([told("DONE", 1), told("DONE", 2, status="failed", reason="amount_mismatch")], "KRW") == []


def test_amounts_are_an_account() -> None:
    payment = {"currency": "KRW", "amount": "10000", "balance": "7000", "status": "PARTIAL_CANCELED"}
    settlement = {"fee": "210", "pay_out_amount": "6790", "kind": "settlement"}
    assert _sums(payment, [settlement], []) == [
        ("paid", Decimal(10000), "KRW"),
        ("refunded", Decimal(-3000), "KRW"),
        ("remaining", Decimal(7000), "KRW"),
        ("fee", Decimal(-210), "KRW"),
        ("paid_out", Decimal(6790), "KRW"),
    ]
    unpaid = {"currency": None, "amount": "10000", "balance": None, "status": "EXPIRED"}
    assert _sums(unpaid, [], []) == [("asked", Decimal(10000), "KRW")]
    # An application's own cancel leaves no balance.
    cancelled = {"currency": "KRW", "amount": "10000", "balance": None, "status": "CANCELED"}
    assert _sums(cancelled, [], [])[-1] == ("remaining", Decimal(0), "KRW")
