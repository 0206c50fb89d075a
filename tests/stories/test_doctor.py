"""`supatoss doctor` against the running stack, well and broken."""

import json
from typing import Any

import jwt
import pytest
from typer.testing import CliRunner, Result

from scripts.local_stack import LOOPBACK
from supatoss.cli import app
from supatoss.cli.doctor.access import ARGUMENTS
from supatoss.store.client import OWNER_FUNCTIONS
from tests.stories.conftest import SUPABASE_KEY, World
from tests.support import SECRET_KEY, SECURITY_KEY

NOBODY = f"http://{LOOPBACK}:9"


def environment(world: World) -> dict[str, str | None]:
    return {
        "SUPABASE_URL": world.supabase.url,
        "SUPABASE_SECRET_KEY": SUPABASE_KEY,
        "SUPABASE_PUBLISHABLE_KEY": world.supabase.publishable_key,
        "TOSS_SECRET_KEY": SECRET_KEY,
        "TOSS_SECURITY_KEY": SECURITY_KEY,
        "TOSS_API_URL": world.emulator_url,
        "PUBLIC_URL": world.service_url,
        "WEBHOOK_URL": f"{world.service_url}/webhooks/toss",
        "ALERT_WEBHOOK_URL": None,
    }


def doctor(world: World, *arguments: str, **changes: str | None) -> Result:
    return CliRunner().invoke(app, ["doctor", *arguments], env={**environment(world), **changes})


def verdicts(result: Result) -> dict[str, dict[str, Any]]:
    return {verdict["check"]: verdict for verdict in json.loads(result.stdout)["verdicts"]}


def test_a_stack_that_works_has_no_failure(world: World) -> None:
    assert CliRunner().invoke(app, ["trigger", "--all"], env=environment(world)).exit_code == 0
    result = doctor(world, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["ok"] is True
    found = verdicts(result)
    assert {verdict["level"] for verdict in found.values()} == {"ok", "skipped"}
    skipped = {check: verdict["message"] for check, verdict in found.items() if verdict["level"] == "skipped"}
    assert {check: message for check, message in skipped.items() if not message.endswith("the table is empty")} == {
        "public address": f"{world.service_url} is on this machine, where Toss itself can't reach it",
        "alerts": "ALERT_WEBHOOK_URL is not set; a local stack needs no alerts",
    }
    key = found["Toss key 1 of 1"]["message"]
    # A payment of another test may have named it.
    named, unknown = "merchant id tmadeshop01", "merchant id unknown: no transaction in 7 days"
    assert key in (f"test key, accepted; {named}", f"test key, accepted; {unknown}")
    for table in ("webhook_events", "payments", "subscriptions", "settlements"):
        assert found[f"anon reads {table}"]["level"] == "ok"
    assert found["anon calls functions"]["message"] == f"all {len(ARGUMENTS)} refused"
    assert found["clock, Data API"]["message"] == found["clock, Toss"]["message"] == "within 5 s"
    assert found["public webhook"]["message"].endswith("refuses unsigned and wrongly signed deliveries")
    assert all(verdict["fix"] for verdict in found.values() if verdict["level"] not in ("ok", "skipped"))


def test_the_service_s_own_key_is_enough(world: World) -> None:
    token = jwt.encode({"role": "supatoss_service"}, world.supabase.jwt_secret)
    result = doctor(world, "--json", SUPABASE_SECRET_KEY=token)
    assert result.exit_code == 0, result.output
    found = verdicts(result)
    assert found["token"]["message"] == "the service signs in as supatoss_service; the token never expires"
    assert {found[check]["level"] for check in ("Data API", "schema", "open tables", "anon reads payments")} == {"ok"}


RELEASE_CHECKS = {"Data API", "schema", "functions", "writing"}


def test_a_release_is_checked_without_toss_and_the_public_address(world: World) -> None:
    token = jwt.encode({"role": "supatoss_service"}, world.supabase.jwt_secret)
    tables = ("webhook_events", "payments", "peek_operator_actions", "peek_alerts", "peek_reconciliations")
    before = [sorted(map(str, world.rows(f"{table}?select=*"))) for table in tables]
    for key, more in ((SUPABASE_KEY, set()), (token, {"token"})):
        away = {"TOSS_API_URL": NOBODY, "PUBLIC_URL": NOBODY, "SUPABASE_SECRET_KEY": key}
        result = doctor(world, "--release", "--json", **away)
        assert result.exit_code == 0, result.output
        found = verdicts(result)
        assert set(found) == RELEASE_CHECKS | more
        assert {verdict["level"] for verdict in found.values()} == {"ok"}
        assert (
            found["functions"]["message"]
            == f"all {len(ARGUMENTS) - len(OWNER_FUNCTIONS)} that this release needs can be called"
        )
    assert [sorted(map(str, world.rows(f"{table}?select=*"))) for table in tables] == before


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"TOSS_SECRET_KEY": None}, "settings"),
        ({"SUPABASE_URL": NOBODY}, "Data API"),
        ({"SUPABASE_SECRET_KEY": "sb_secret_of_another_project"}, "Data API"),
    ],
)
def test_a_release_that_cannot_work_is_stopped(world: World, changes: dict[str, str | None], check: str) -> None:
    result = doctor(world, "--release", "--json", **changes)
    assert (result.exit_code, verdicts(result)[check]["level"]) == (1, "failed")


def test_a_release_check_is_not_mixed_with_others(world: World) -> None:
    for other in ("--adopt", "--send-test-alert"):
        assert doctor(world, "--release", other).exit_code == 2


def test_it_stores_nothing(world: World) -> None:
    before = world.rows("webhook_events?select=id&order=id")
    doctor(world)
    assert world.rows("webhook_events?select=id&order=id") == before


def test_the_text_has_a_line_a_verdict_and_a_way_to_mend_it(world: World) -> None:
    shown = doctor(world).stdout
    assert "ok       schema: version " in shown
    assert "skipped  alerts: ALERT_WEBHOOK_URL is not set; a local stack needs no alerts" in shown
    assert " skipped" in shown.splitlines()[-1]


@pytest.mark.parametrize(
    ("changes", "check", "message"),
    [
        (
            {"SUPABASE_SECRET_KEY": "sb_secret_of_another_project"},
            "Data API",
            "{url}: the gateway before the Data API does not accept the key",
        ),
        (
            {"SUPABASE_URL": NOBODY},
            "Data API",
            f"{NOBODY}: no answer from the Data API: nothing listens at SUPABASE_URL: connection refused",
        ),
        ({"TOSS_SECRET_KEY": "test_sk_revoked_long_ago"}, "Toss key 1 of 1", "test key, not accepted: "),
        (
            {"TOSS_SECRET_KEY": f"{SECRET_KEY},test_sk_of_long_ago_00001"},
            "Toss key 2 of 2",
            "test key, not accepted: ",
        ),
        (
            {"TOSS_SECRET_KEY": f"{SECRET_KEY},live_sk_of_long_ago_00001"},
            "settings",
            "TOSS_SECRET_KEY has test and live keys together",
        ),
        ({"TOSS_API_URL": NOBODY}, "Toss key 1 of 1", "test key, can't reach Toss"),
        ({"PUBLIC_URL": NOBODY}, "public /readyz", "no answer: nothing listens at PUBLIC_URL"),
        ({"PUBLIC_URL": NOBODY}, "public webhook", "no answer: nothing listens at PUBLIC_URL"),
        ({"PORT": "a lot"}, "settings", "PORT should be a whole number"),
        ({"SUPABASE_SECRET_KEY": None}, "settings", "SUPABASE_SECRET_KEY is missing"),
        ({"SUPABASE_PUBLISHABLE_KEY": SUPABASE_KEY}, "settings", "SUPABASE_PUBLISHABLE_KEY is a secret key"),
        ({"PUBLIC_URL": "https://app.fly.dev/webhooks/toss"}, "settings", "PUBLIC_URL should be an address such as"),
    ],
)
def test_what_is_broken_is_named(world: World, changes: dict[str, str | None], check: str, message: str) -> None:
    result = doctor(world, "--json", **changes)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["ok"] is False
    verdict = verdicts(result)[check]
    message = message.replace("{url}", world.supabase.url)
    assert (verdict["level"], verdict["message"].startswith(message)) == ("failed", True), verdict
    assert verdict["fix"]


@pytest.mark.parametrize(
    ("fault", "message", "fix"),
    [
        ({"status": 500}, "Toss can't answer now: Toss, payment_by_order: FAILED_", "the problem is at Toss"),
        ({"status": 502, "garbage": True}, "Toss can't answer now: ", "the problem is at Toss"),
        ({"status": 429, "retry_after_seconds": 30}, "Toss can't answer now: ", "too many requests with this key"),
        ({"drop": True, "count": 2}, "can't reach Toss: ", "check that TOSS_API_URL ("),
    ],
)
def test_what_toss_answers_is_not_taken_for_the_network(
    world: World, fault: dict[str, Any], message: str, fix: str
) -> None:
    world.fault(path_prefix="/v1/payments/orders/supatoss-doctor", **fault)
    verdict = verdicts(doctor(world, "--json"))["Toss key 1 of 1"]
    assert verdict["message"].startswith(f"test key, {message}"), verdict
    assert verdict["fix"].startswith(fix)


def test_a_wrong_address_is_named_and_not_the_key(world: World) -> None:
    found = verdicts(doctor(world, "--json", SUPABASE_URL=world.emulator_url, TOSS_API_URL=world.service_url))
    assert found["Data API"]["message"] == (
        f"{world.emulator_url}: what answers at SUPABASE_URL is not a Supabase project: HTTP 404"
    )
    assert found["Data API"]["fix"].startswith("check that SUPABASE_URL is the project's address")
    toss = found["Toss key 1 of 1"]
    assert toss["message"].endswith("answered without an error code (HTTP 404)")
    assert toss["fix"] == f"what answers at TOSS_API_URL ({world.service_url}) is not Toss's API: check the address"


def test_another_service_at_the_public_address_is_seen(world: World) -> None:
    found = verdicts(doctor(world, "--json", PUBLIC_URL=world.emulator_url))
    assert found["public /readyz"]["level"] == found["public webhook"]["level"] == "failed"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"TOSS_UNSIGNED": "reject"}, "TOSS_UNSIGNED=reject refuses every payment event"),
        ({"TOSS_ALLOWED_IPS": "13.124.18.147"}, "behind a proxy that is the proxy's"),
    ],
)
def test_settings_that_somebody_should_know_about(world: World, changes: dict[str, str], message: str) -> None:
    verdict = verdicts(doctor(world, "--json", **changes))["settings"]
    assert verdict["level"] == "warning"
    assert message in verdict["message"]


def test_what_was_not_looked_at_is_said(world: World) -> None:
    found = verdicts(doctor(world, "--json", PUBLIC_URL=None, SUPABASE_PUBLISHABLE_KEY=None))
    assert found["public address"]["message"] == "not checked: PUBLIC_URL is not set"
    assert "not checked" in found["publishable key"]["message"]


def test_no_key_is_shown(world: World) -> None:
    for shown in (doctor(world).output, doctor(world, "--json", SUPABASE_URL=NOBODY, TOSS_API_URL=NOBODY).output):
        assert not any(key in shown for key in (SUPABASE_KEY, SECRET_KEY, SECURITY_KEY, world.supabase.publishable_key))
