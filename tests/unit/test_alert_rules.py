"""The rules and the messages of alerts."""

import datetime as dt
from typing import Any

import pytest

from supatoss.alerts.messages import MAX_CHARACTERS, compose, describe_alert
from supatoss.alerts.rules import DeliveryCounts, Limits, Rule, evaluate
from supatoss.store.alerts import AlertFacts, FailedEvent, Overcancelled, UnsentAlert

READ_AT = dt.datetime(2026, 3, 14, 12, tzinfo=dt.UTC)
LIMITS = Limits(backlog_minutes=10, silence_hours=6)


def found(deliveries: DeliveryCounts | None = None, limits: Limits = LIMITS, **facts: Any) -> list[tuple[str, str]]:
    violations = evaluate(AlertFacts(READ_AT, **facts), deliveries or DeliveryCounts(), limits, "machine:1")
    return [(violation.rule.value, violation.subject) for violation in violations]


def test_nothing_is_wrong_with_nothing() -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("reason", "rule"),
    [
        ("amount_mismatch", "amount_mismatch"),
        ("approval_amount_mismatch", "amount_mismatch"),
        ("double_charge", "double_charge"),
        ("refused_by_database", "event_failed"),
        (None, "event_failed"),
    ],
)
def test_a_failed_event_is_an_alert_of_its_own(reason: str | None, rule: str) -> None:
    assert found(failed=(FailedEvent("e-1", reason, "o-1", None),)) == [(rule, "e-1")]


def test_more_failed_events_than_are_shown_are_one_more_alert() -> None:
    assert found(has_more_failed=True) == [("event_failed", "more")]


@pytest.mark.parametrize(("seconds", "is_alert"), [(None, False), (0.0, False), (600.0, False), (600.1, True)])
def test_backlog(seconds: float | None, is_alert: bool) -> None:
    assert found(oldest_waiting_seconds=seconds) == ([("backlog", "")] if is_alert else [])


@pytest.mark.parametrize(
    ("accepted", "rejected", "is_alert"),
    [(0, 19, False), (0, 20, True), (10, 10, False), (9, 11, True), (1000, 0, False), (1000, 1001, True)],
)
def test_rejected_share_needs_a_number_and_belongs_to_its_process(accepted: int, rejected: int, is_alert: bool) -> None:
    expected = [("rejected_share", "machine:1")] if is_alert else []
    assert found(DeliveryCounts(accepted, rejected)) == expected


@pytest.mark.parametrize(
    ("hours", "recent", "limit", "is_alert"),
    [(7, 20, 6, True), (6, 20, 6, False), (7, 19, 6, False), (500, 20, 0, False)],
)
def test_silence_is_an_alert_where_events_are_regular(hours: int, recent: int, limit: int, is_alert: bool) -> None:
    newest = READ_AT - dt.timedelta(hours=hours)
    expected = [("silence", "")] if is_alert else []
    assert found(limits=Limits(10, limit), newest_event_at=newest, recent_events=recent) == expected


def test_rows_that_cannot_be() -> None:
    assert found(unapproved=("o-1",), overcancelled=(Overcancelled("o-2", "1", "2"),)) == [
        ("done_without_approval", "o-1"),
        ("cancels_above_total", "o-2"),
    ]


def unsent(rule: str, subject: str = "s", phase: str = "start", **details: Any) -> UnsentAlert:
    return UnsentAlert("i", f"token-{subject}", rule, subject, phase, "t", None, 1, details)


@pytest.mark.parametrize("rule", Rule)
@pytest.mark.parametrize("phase", ["start", "end"])
def test_each_rule_has_a_message_in_both_languages(rule: Rule, phase: str) -> None:
    text = describe_alert(unsent(rule, "the-subject", phase, reason="r", order_id="주문-1", minutes=11, hours=7))
    assert rule.value in text
    assert any("가" <= letter <= "힣" for letter in text)
    assert text.startswith("🚨" if phase == "start" else "✅")
    assert ("→ " in text) == (phase == "start")
    assert "{" not in text


def test_an_alert_of_a_newer_release_is_sent_too() -> None:
    assert "something_new: order-1" in describe_alert(unsent("something_new", "order-1"))


def test_what_comes_from_outside_steers_nothing() -> None:
    text = describe_alert(unsent(Rule.DONE_WITHOUT_APPROVAL, "<!channel> @everyone `x`\n*b*\x1b[31m\u202e{subject}"))
    first = text.splitlines()[0]
    for steering in ("<", ">", "@", "`", "*", "\x1b", "\u202e"):
        assert steering not in text
    assert "channel" in first


def test_messages_are_few_and_short_enough_and_name_every_alert() -> None:
    alerts = [unsent(Rule.EVENT_FAILED, f"event-{number}", reason="r" * 500) for number in range(40)]
    messages = list(compose(alerts))
    assert all(len(text) <= MAX_CHARACTERS for text, _ in messages)
    assert [alert for _, sent in messages for alert in sent] == alerts
    for text, sent in messages:
        assert all(alert.subject in text for alert in sent)
    assert len(messages) < 20
    assert list(compose([])) == []
