"""The health page: what is well, what is not, and never a secret."""

import datetime as dt

import pytest

from supatoss.errors import TossMisconfigured, TossUnavailable
from supatoss.ops.health import shown_settings
from supatoss.ops.key_checks import CACHE_SECONDS, KeyChecks
from supatoss.settings import Settings
from supatoss.store.client import Function
from supatoss.store.schema import SCHEMA_VERSION
from tests.support import SECRET_KEY, SECURITY_KEY
from tests.unit.ops.office import AT, Office, OfficeToss

pytestmark = pytest.mark.anyio

SECRETS = {
    "SUPABASE_SECRET_KEY": "sb_secret_hidden_for_tests",
    "toss_secret_key": SECRET_KEY,
    "toss_security_key": SECURITY_KEY,
    "ops_password": "a phrase for tests",
    "alert_webhook_url": "https://hooks.slack.com/services/T0/B0/hidden",
    "metrics_token": "a-metrics-token-hidden",
}


@pytest.fixture
async def office() -> Office:
    signed_in = Office(alert_webhook_url=SECRETS["alert_webhook_url"], metrics_token=SECRETS["metrics_token"])
    await signed_in.sign_in()
    return signed_in


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_what_is_well_is_said(office: Office) -> None:
    text = (await office.get("/ops/health")).text
    assert f"schema: service {SCHEMA_VERSION}, database {SCHEMA_VERSION}" in text
    assert "No pending events" in text
    assert "status--failed" not in text


async def test_keys_are_shown_by_their_ends_and_their_merchants(office: Office) -> None:
    text = (await office.get("/ops/health")).text
    for shown in ("key 1 (…1111)", "mid-of-1", "TEST", "key 2 (…2222)", "mid-of-2", "LIVE"):
        assert shown in text
    assert "first_shop" not in text


async def test_a_key_that_toss_refuses_and_one_without_an_answer(office: Office) -> None:
    office.toss.troubles = {
        "key 1 (…1111)": TossMisconfigured("payment by order", "UNAUTHORIZED_KEY", code="UNAUTHORIZED_KEY"),
        "key 2 (…2222)": TossUnavailable("payment by order", "timeout"),
    }
    text = (await office.get("/ops/health")).text
    assert "UNAUTHORIZED_KEY" in text
    assert "No answer" in text
    assert "Toss refuses a key" in text


async def test_toss_is_asked_at_most_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("supatoss.ops.key_checks.time.monotonic", lambda: now[0])
    toss = OfficeToss()
    checks = KeyChecks(toss)
    for _ in range(3):
        await checks.look()
    assert len(toss.asked) == 2
    now[0] += CACHE_SECONDS + 1
    await checks.look()
    assert len(toss.asked) == 4


async def test_what_is_wrong_is_said_with_where_to_look(office: Office) -> None:
    office.store.answers[Function.SCHEMA_VERSION] = SCHEMA_VERSION - 1
    office.store.answers[Function.OPS_HEALTH] |= {
        "oldest_waiting_seconds": 4000,
        "failed": 1000,
        "open_alerts": 2,
        "untold_alerts": 1,
        "processes": [
            {"name": "machine-a:worker:17", "since": AT.isoformat(), "seen_at": AT.isoformat(), "is_gone": True},
            {"name": "fe80::1:web:18", "since": AT.isoformat(), "seen_at": AT.isoformat(), "is_gone": False},
        ],
    }
    text = (await office.get("/ops/health")).text
    for shown in ("Oldest pending event: 66 min", "Need review: 1,000+", "Open: 2", "Not reporting: 1"):
        assert shown in text
    assert "Waiting to be sent: 1" in text
    assert "the database has schema version" in text
    assert 'href="/ops/events?status=failed"' in text
    assert "machine-a" in text
    assert "fe80::1" in text  # a name may hold colons


def test_of_a_secret_only_whether_it_is_set_is_shown() -> None:
    settings = Settings.load(supabase_url="http://127.0.0.1:1", **SECRETS)
    shown = {setting.name: setting for setting in shown_settings(settings)}
    assert not [
        secret
        for secret in SECRETS.values()
        if any(secret in setting.value + setting.hint for setting in shown.values())
    ]
    secret = {name for name, setting in shown.items() if setting.secret == "set"}
    assert secret == {name.upper() for name in SECRETS}
    assert shown["ALERT_WEBHOOK_SECRET"].secret == shown["OPS_USERS"].secret == "unset"
    assert shown["TOSS_SECRET_KEY"].hint == "1"


def test_other_settings_are_shown_as_they_are_written() -> None:
    settings = Settings.load(
        supabase_url="http://127.0.0.1:1", reconcile_at=dt.time(4, 30), toss_allowed_ips="13.124.18.147", **SECRETS
    )
    shown = {setting.name: setting for setting in shown_settings(settings)}
    assert (shown["RECONCILE_AT"].value, shown["RECONCILE_AT"].is_default) == ("04:30", False)
    assert shown["TOSS_ALLOWED_IPS"].value == "13.124.18.147/32"
    assert (shown["PORT"].value, shown["PORT"].is_default) == ("8080", True)
    assert (shown["PUBLIC_URL"].value, shown["PUBLIC_URL"].secret) == ("", "")


async def test_it_is_for_those_who_signed_in() -> None:
    assert (await Office().get("/ops/health")).status_code == 303
