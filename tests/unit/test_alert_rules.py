"""The rules of alerts."""

import datetime as dt
from typing import Any

import pytest

from supatoss.alerts.local import DeliveryCounts, judge_deliveries
from supatoss.alerts.rules import Limits, Rule, evaluate, judged
from supatoss.store.alerts import AlertFacts, DayDifferences, Failure, Overcancelled, ReconciliationFacts

READ_AT = dt.datetime(2026, 3, 14, 12, tzinfo=dt.UTC)
LIMITS = Limits(backlog_minutes=10, silence_hours=6)


def found(limits: Limits = LIMITS, **facts: Any) -> list[tuple[str, str]]:
    return [(item.rule.value, item.subject) for item in evaluate(AlertFacts(READ_AT, **facts), limits)]


def test_nothing_is_wrong_with_nothing() -> None:
    assert found() == []


def test_failed_events_are_an_alert_a_rule_and_order() -> None:
    failure = Failure("amount_mismatch", "o-1", "approval_amount_mismatch", "o-1", None, 25, ["e-1", "e-2"])
    (violation,) = evaluate(AlertFacts(READ_AT, failed=(failure,)), LIMITS)
    assert (violation.rule, violation.subject) == (Rule.AMOUNT_MISMATCH, "o-1")
    assert (violation.details["events"], violation.details["ids"]) == (25, ["e-1", "e-2"])


def test_a_look_has_an_opinion_about_what_it_judges_only() -> None:
    limits = {item["rule"]: item.get("limit") for item in judged(Limits(10))}
    assert (limits["backlog"], limits["amount_mismatch"]) == (10, None)
    assert "silence" not in limits
    assert {item["rule"]: item.get("limit") for item in judged(LIMITS)}["silence"] == 6
    (violation,) = evaluate(AlertFacts(READ_AT, oldest_waiting_seconds=601), LIMITS)
    assert violation.limit == 10


def test_more_failed_events_than_are_shown_are_one_more_alert() -> None:
    assert found(has_more_failed=True) == [("event_failed", "more")]


@pytest.mark.parametrize(("seconds", "is_alert"), [(None, False), (0.0, False), (600.0, False), (600.1, True)])
def test_backlog(seconds: float | None, is_alert: bool) -> None:
    assert found(oldest_waiting_seconds=seconds) == ([("backlog", "")] if is_alert else [])


def violated(recent: DeliveryCounts, longer: DeliveryCounts) -> set[str]:
    opinions = judge_deliveries(recent, longer, "machine:1")
    assert {opinion.subject for opinion in opinions} == {"machine:1"}
    return {opinion.rule.value for opinion in opinions if opinion.details is not None}


@pytest.mark.parametrize(
    ("accepted", "rejected", "is_alert"),
    [(1, 18, False), (0, 20, True), (10, 10, False), (9, 11, True), (1000, 0, False), (1000, 1001, True)],
)
def test_a_share_of_rejections_needs_a_number(accepted: int, rejected: int, is_alert: bool) -> None:
    counts = DeliveryCounts(accepted, rejected)
    assert violated(counts, counts) == ({"rejected_share"} if is_alert else set())


@pytest.mark.parametrize(
    ("accepted", "rejected", "is_alert"), [(0, 4, False), (0, 5, True), (1, 5, False), (1, 19, False)]
)
def test_a_delivery_that_is_rejected_with_all_its_retries_is_an_alert(
    accepted: int, rejected: int, is_alert: bool
) -> None:
    expected = {"rejected_share"} if is_alert else set()
    assert violated(DeliveryCounts(0, 1), DeliveryCounts(accepted, rejected)) == expected


@pytest.mark.parametrize(
    ("accepted", "failed", "is_alert"), [(0, 2, False), (0, 3, True), (12, 3, False), (11, 3, True), (4, 1, False)]
)
def test_deliveries_that_are_not_stored(accepted: int, failed: int, is_alert: bool) -> None:
    counts = DeliveryCounts(accepted, 0, failed)
    assert violated(counts, counts) == ({"not_stored"} if is_alert else set())


@pytest.mark.parametrize(
    ("hours", "recent", "limit", "is_alert"),
    [(7, 20, 6, True), (6, 20, 6, False), (7, 19, 6, False), (500, 20, 0, False)],
)
def test_silence_is_an_alert_where_events_are_regular(hours: int, recent: int, limit: int, is_alert: bool) -> None:
    newest = READ_AT - dt.timedelta(hours=hours)
    expected = [("silence", "")] if is_alert else []
    assert found(limits=Limits(10, limit), newest_event_at=newest, recent_events=recent) == expected


def test_rows_that_cannot_be() -> None:
    facts: dict[str, Any] = {
        "unapproved": ("o-1",),
        "overcancelled": (Overcancelled("o-2", "1", "2"),),
        "unrefunded": ("o-3",),
    }
    acknowledged = ("METHOD_UPDATED", "NEW_A", "NEW_B", "NEW_C", "NEW_D")
    (unknown,) = evaluate(AlertFacts(READ_AT, acknowledged=acknowledged), LIMITS)
    assert (unknown.rule, unknown.details) == (Rule.UNKNOWN_TYPE, {"types": "NEW_A, NEW_B, NEW_C"})
    assert found(acknowledged=("METHOD_UPDATED",)) == []
    days = (DayDifferences("2026-03-13", 3, {"missing": 2, "amount": 1}),)
    (differing,) = evaluate(AlertFacts(READ_AT, reconciliation=ReconciliationFacts(days=days)), LIMITS)
    assert (differing.rule, differing.subject) == (Rule.RECONCILIATION_DIFFERENCE, "2026-03-13")
    assert differing.details == {"findings": 3, "kinds": "amount 1, missing 2"}
    assert found(**facts, gone=("a:1",)) == [
        ("done_without_approval", "o-1"),
        ("cancels_above_total", "o-2"),
        ("refund_failed", "o-3"),
        ("process_gone", "a:1"),
    ]
