"""No secret is in anything that is written, and in no column but those that must hold it."""

import base64
import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.canary.canaries import Canaries, distinct
from tests.canary.paths import BUYER, FORGED_BILLING_KEY, FORGED_SECRET, MISPLACED, MISTYPED_PASSWORD, play
from tests.canary.stack import (
    ALERT_PATH,
    ALERT_SECRET,
    METRICS_TOKEN,
    OLDER_SECRET_KEY,
    OPS_PASSWORD,
    SECRET_KEY,
    SECURITY_KEY,
    SUPABASE_KEY,
    Stack,
    running_stack,
)

KEYS = {
    "TOSS_SECRET_KEY": SECRET_KEY.removeprefix("test_sk_"),
    "TOSS_SECRET_KEY, older": OLDER_SECRET_KEY.removeprefix("test_sk_"),
    "TOSS_SECURITY_KEY": SECURITY_KEY,
    "SUPABASE_SECRET_KEY": SUPABASE_KEY.removeprefix("sb_secret_"),
    "OPS_PASSWORD": OPS_PASSWORD,
    "METRICS_TOKEN": METRICS_TOKEN,
    "ALERT_WEBHOOK_SECRET": ALERT_SECRET.removeprefix("whsec_"),
    "ALERT_WEBHOOK_URL": ALERT_PATH,
    "a mistyped password": MISTYPED_PASSWORD,
}

MUST_HOLD = {
    "webhook_events.payload",
    "webhook_events.change",
    "subscriptions.billing_key",
    "subscriptions.billing_state",
    "supatoss.refused_deliveries.body",
}
"""What Toss sent, and the keys that are charged with. Closed to anon and authenticated by the tests of rights."""


@pytest.fixture(scope="module")
def canaries() -> Canaries:
    sent = {
        "a forged secret": FORGED_SECRET,
        "a forged billing key": FORGED_BILLING_KEY,
        "a misplaced value": MISPLACED,
    }
    return Canaries({**KEYS, **BUYER, **sent})


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory, canaries: Canaries) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("canary")) as stack:
        play(stack, canaries)
        yield stack


def test_every_path_was_taken(played: Stack) -> None:
    lines = [json.loads(line) for line in played.logs()["service.log"].splitlines() if line.startswith("{")]
    answers = {(line["outcome"], line["reason"]) for line in lines if line["event"] == "delivery"}
    assert answers >= {
        ("created", None),
        ("duplicate", None),
        ("acknowledged", None),
        ("rejected", "invalid_signature"),
        ("rejected", "unknown_to_toss"),
        ("rejected", "secret_differs"),
        ("rejected", "unknown_billing_key"),
        ("rejected", "not_json"),
        ("rejected", "too_large"),
        ("failed", "cannot_ask_toss"),
        ("failed", "store_unavailable"),
    }
    assert {"info", "warning", "error"} <= {line["level"] for line in lines}
    reasons = {reason for (reason,) in played.query("select distinct reason from webhook_events")}
    assert reasons >= {"amount_mismatch", "refused_by_database", "operator", None}
    errors = [error for (error,) in played.query("select last_error from webhook_events where last_error is not null")]
    assert any("trigger own_rule on subscriptions" in error for error in errors), errors
    assert "worker started" in played.logs()["worker.log"]
    spans = {span.name for span in played.collector.spans}
    assert spans >= {"POST /webhooks/toss", "verify", "record", "Toss payment", "claim", "attempt", "send alerts"}


def test_nothing_that_is_written_shows_a_secret(played: Stack, canaries: Canaries) -> None:
    sent = {"alerts": "\n".join(played.receiver.bodies), "traces": "\n".join(played.collector.texts)}
    written = {**played.written, **played.logs(), **sent}
    assert all(written.values())
    found = {(name, secret): where for name, text in written.items() for secret, where in canaries.places(text).items()}
    # An operator is shown what an event holds; only secrets and people are masked.
    allowed = {("pages", "a misplaced value"), ("supatoss events show", "a misplaced value")}
    assert {key: where for key, where in found.items() if key not in allowed} == {}


def test_tables_hold_secrets_only_where_they_must(played: Stack, canaries: Canaries) -> None:
    held = {column: found for column, text in played.columns() if (found := canaries.found_in(text))}
    assert held.keys() == MUST_HOLD
    everywhere = set().union(*held.values())
    assert everywhere.isdisjoint(KEYS)
    assert {"a forged secret", "secret of canary-account", "billing key of canary-refused"} <= everywhere


@pytest.mark.parametrize(
    "written",
    [
        *(KEYS["TOSS_SECRET_KEY"], f"key={quote(SECRET_KEY)}", SECRET_KEY[12:30]),
        f"Basic {base64.b64encode(f'{SECRET_KEY}:'.encode()).decode()}",
        f"'{SECRET_KEY.encode().hex()}'",
    ],
)
def test_a_secret_is_found_however_it_is_spelled(canaries: Canaries, written: str) -> None:
    assert canaries.found_in(f"x {written} y") == {"TOSS_SECRET_KEY"}
    assert canaries.found_in(f"x {distinct('something else')} y") == set()
