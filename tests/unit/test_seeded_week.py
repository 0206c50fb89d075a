"""The made-up week of scripts/seed.py: the same whenever it is made up, and with everything that can happen in it."""

import datetime as dt
import json
from collections import Counter

from scripts.seeding.orders import SEOUL
from scripts.seeding.week import Webhook, days

FIRST = dt.date(2026, 11, 19)
MORNING = dt.datetime(2026, 11, 26, 10, 0, tzinfo=SEOUL)
NIGHT = dt.datetime(2026, 11, 26, 23, 59, tzinfo=SEOUL)


def webhooks(now: dt.datetime, seed: int = 1) -> list[Webhook]:
    return [webhook for day in days(FIRST, now, seed) for webhook in day.webhooks]


def told(sent: list[Webhook]) -> set[str]:
    return {json.dumps([webhook.body, webhook.sends, webhook.form], sort_keys=True) for webhook in sent}


def test_a_later_run_adds_only_what_has_happened_since() -> None:
    morning, night = webhooks(MORNING), webhooks(NIGHT)
    assert told(morning) < told(night)
    assert all(webhook.at <= MORNING for webhook in morning)
    assert told(webhooks(MORNING)) == told(morning)
    assert told(webhooks(MORNING, seed=2)).isdisjoint(told(morning))


def test_nothing_of_a_day_depends_on_where_the_week_begins() -> None:
    (last,) = list(days(FIRST + dt.timedelta(days=6), MORNING, 1))[:1]
    assert told(last.webhooks) <= told(webhooks(MORNING))


def test_a_week_has_its_rhythm_and_its_troubles() -> None:
    sent = webhooks(NIGHT)
    by_hour = Counter(webhook.at.hour for webhook in sent)
    assert sum(by_hour[hour] for hour in (20, 21, 22)) > 5 * sum(by_hour[hour] for hour in (2, 3, 4))
    assert any(webhook.sends > 1 for webhook in sent)
    assert {webhook.form for webhook in sent} == {"hex", "v1", "forged", "none"}
    statuses = {webhook.body["data"].get("status") for webhook in sent if "data" in webhook.body}
    assert {"DONE", "CANCELED", "PARTIAL_CANCELED", "ABORTED", "EXPIRED", "WAITING_FOR_DEPOSIT"} <= statuses
    assert "HELD_FOR_REVIEW" in statuses
    paid = Counter(
        webhook.body["data"].get("orderId")
        for webhook in sent
        if webhook.form == "hex" and webhook.body["data"].get("status") == "DONE"
    )
    assert max(paid.values()) == 2


def test_toss_knows_what_was_told_and_what_got_lost() -> None:
    for day in days(FIRST, NIGHT, 1):
        known = {payment["paymentKey"]: payment["status"] for payment in day.payments}
        for webhook in day.webhooks:
            if webhook.form == "hex" and webhook.body["eventType"] == "PAYMENT_STATUS_CHANGED":
                data = webhook.body["data"]
                assert data.get("paymentKey") in known or data["status"] == "HELD_FOR_REVIEW" or "orderId" not in data
    told_of = {webhook.body.get("data", {}).get("paymentKey") for webhook in webhooks(NIGHT)}
    everything = {payment["paymentKey"] for day in days(FIRST, NIGHT, 1) for payment in day.payments}
    assert len(everything - told_of) >= 4
