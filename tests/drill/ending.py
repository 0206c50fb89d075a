"""How a scenario has to end: all is well, and operators were told of everything once."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import psycopg

from tests.drill.stage import Stage
from tests.drill.truth import compare

TOLD_BY_EACH = {"database_away", "key_refused", "toss_away", "not_stored"}
"""Rules about what a process sees itself: with the database away, each tells of them and none knows of the others."""

_WAITING = "select order_id, status, reason, last_error from webhook_events where status in ('failed', 'pending')"
_OPEN = (
    "select rule, subject from supatoss.alerts where ended_at is null or start_told_at is null or end_told_at is null"
)


def check_end(stage: Stage, rules: Iterable[str]) -> None:
    """Every webhook answered 200, tables as at Toss, each alert begun once and ended once, and no other alert."""
    stage.until_none(lambda: _unanswered(stage), "webhooks are not answered 200")
    stage.until_none(lambda: stage.execute(_WAITING), "events need a person, or wait")
    stage.until_none(lambda: _differences(stage), "tables are not as at Toss")
    stage.until_none(lambda: stage.execute(_OPEN), "alerts are open or untold")
    stage.until_none(lambda: _unended(stage), "nobody was told of the end")
    told = Counter(
        (message.rule, message.subject, message.phase) for message in stage.receiver.messages if message.rule
    )
    assert {rule for rule, _, _ in told} <= {*rules}, f"others were told of: {told}"
    was_away = any(rule == "database_away" for rule, _, _ in told)
    repeated = [key for key, count in told.items() if count > 1 and not (was_away and key[0] in TOLD_BY_EACH)]
    assert repeated == [], f"told more than once: {repeated}"
    ends = {key[:2] for key in told if key[2] != "started"}
    assert ends <= {key[:2] for key in told if key[2] == "started"}, f"ended and never began: {told}"


def _unended(stage: Stage) -> set[tuple[str, str]]:
    messages = [message for message in stage.receiver.messages if message.rule]
    ended = {(message.rule, message.subject) for message in messages if message.phase != "started"}
    return {(message.rule, message.subject) for message in messages} - ended


def _unanswered(stage: Stage) -> list[tuple[str, str]]:
    """Webhooks that Toss still has to send. What it would repeat in hours is sent by its Resend button."""
    sending = [item for item in stage.toss.deliveries() if item["state"] not in ("success", "suppressed")]
    for item in sending:
        stage.toss.play(f"deliveries/{item['id']}/resend")
    return [(item["eventType"], item["state"]) for item in sending]


def _differences(stage: Stage) -> list[Any]:
    with psycopg.connect(stage.world.dsn, autocommit=True) as connection:
        payments = [stage.toss.payment(key) for key in stage.payment_keys]
        return compare(connection, payments, stage.toss.deliveries(), stage.elsewhere)
