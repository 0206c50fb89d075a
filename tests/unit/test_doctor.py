"""The doctor's judgements where the running stack shows only one of the cases."""

import asyncio
import base64
import datetime as dt
import json
import re
from collections.abc import Callable
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from supatoss.cli.doctor import Level, Verdict
from supatoss.cli.doctor.access import ARGUMENTS, TABLES, check_access
from supatoss.cli.doctor.checks import check_alerts, check_endpoint, check_settings, judge
from supatoss.cli.doctor.token import check_token, judge_token
from supatoss.key_shapes import role_of
from supatoss.receiving import PROBE_HEADER
from supatoss.settings import Settings
from supatoss.store.client import Function

MIGRATIONS = sorted((Path(__file__).parents[2] / "supabase/migrations").glob("*.sql"))
NOW = dt.datetime(2026, 3, 14, 1, 0, tzinfo=dt.UTC)
SETTINGS = Settings.load(
    supabase_url="http://127.0.0.1:1",
    supabase_secret_key="sb_secret_for_doctor",
    supabase_publishable_key="sb_publishable_x",
    toss_secret_key=("test_sk_for_doctor_and_tests",),
    public_url="https://127.0.0.1:2",
)
REFUSAL = httpx.Response(401, json={"code": "42501", "message": "permission denied"})


def run(
    check: Callable[..., Any],
    answer: Callable[[httpx.Request], httpx.Response],
    settings: object = SETTINGS,
    **options: Any,
) -> list[Verdict]:
    async def inside() -> list[Verdict]:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
            verdicts: list[Verdict] = await check(settings, http, **options)
            return verdicts

    return asyncio.run(inside())


def by_name(verdicts: list[Verdict]) -> dict[str, Verdict]:
    return {verdict.check: verdict for verdict in verdicts}


def names(pattern: str) -> set[str]:
    return {
        name for file in MIGRATIONS for name in re.findall(pattern, file.read_text(encoding="utf-8"), re.IGNORECASE)
    }


def test_every_table_of_ours_is_looked_at() -> None:
    assert set(TABLES) == names(r"create (?:table (?:if not exists )?|view )public\.(\w+)")


def test_every_function_of_ours_is_called() -> None:
    assert set(ARGUMENTS) == set(Function)


def test_everything_refused_is_what_is_wanted() -> None:
    verdicts = run(check_access, lambda _request: REFUSAL)
    assert {verdict.level for verdict in verdicts} == {Level.OK}
    assert len(verdicts) == len(TABLES) + 1


def test_rows_that_the_public_key_reads_are_a_failure_and_not_shown() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=[{"secret": "ps_1"}]) if "/webhook_events" in request.url.path else REFUSAL

    verdict = by_name(run(check_access, answer))["anon reads webhook_events"]
    assert verdict.level is Level.FAILED
    assert "enable row level security" in (verdict.fix or "")
    assert "ps_1" not in repr(verdict)


@pytest.mark.parametrize(("rows", "level"), [([{"id": 1}], Level.OK), ([], Level.SKIPPED)])
def test_an_empty_answer_proves_something_only_where_there_are_rows(rows: list[Any], level: Level) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=rows if request.headers["apikey"] == "sb_secret_for_doctor" else [])

    assert by_name(run(check_access, answer))["anon reads webhook_events"].level is level


@pytest.mark.parametrize("status", [200, 204, 400, 500])
def test_a_function_that_is_not_refused_is_a_failure_however_it_ends(status: int) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        is_claim = request.url.path.endswith("/rpc/claim_webhook_events_v1")
        return httpx.Response(status, json={"code": "22000"}) if is_claim else REFUSAL

    verdict = by_name(run(check_access, answer))["anon calls functions"]
    assert verdict.level is Level.FAILED
    assert verdict.message == "it can call claim_webhook_events_v1"


@pytest.mark.parametrize(("status", "level"), [(406, Level.OK), (404, Level.OK), (401, Level.OK), (200, Level.FAILED)])
def test_tables_are_looked_for_in_the_schema_that_they_were_copied_to(status: int, level: Level) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if (
            request.url.path.endswith("/rpc/supatoss_table_names_v1")
            and request.headers["apikey"] == "sb_secret_for_doctor"
        ):
            return httpx.Response(200, json={"payments": "toss.payments"})
        if request.url.path.endswith("/payments") and "accept-profile" not in request.headers:
            return httpx.Response(200, json=[{"id": "of the project's own table"}])
        is_ours = request.headers.get("accept-profile") == "toss" and status != 401
        return httpx.Response(status, json=[{"id": 1}]) if is_ours else REFUSAL

    verdict = by_name(run(check_access, answer))["anon reads payments"]
    assert verdict.level is level
    assert "toss.payments" in (verdict.fix or verdict.message) or status == 401


def test_a_public_key_that_is_refused_itself_proves_nothing() -> None:
    verdicts = run(check_access, lambda _request: httpx.Response(401, json={"message": "Invalid API key"}))
    (verdict,) = verdicts
    assert (verdict.check, verdict.level) == ("publishable key", Level.WARNING)
    assert verdict.message == "can't verify what it reads: SUPABASE_PUBLISHABLE_KEY is not accepted, HTTP 401"


def test_a_secret_key_that_is_refused_proves_nothing() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.headers["apikey"] == "sb_secret_for_doctor":
            return httpx.Response(401, json={"message": "Invalid API key"})
        return REFUSAL if "/rpc/" in request.url.path else httpx.Response(200, json=[])

    verdict = by_name(run(check_access, answer))["anon reads payments"]
    assert (verdict.level, verdict.message[:44]) == (Level.SKIPPED, "can't verify: SUPABASE_SECRET_KEY is not acc")


def test_the_older_service_key_is_recognised() -> None:
    payload = base64.urlsafe_b64encode(json.dumps({"role": "service_role"}).encode()).decode().rstrip("=")
    assert role_of(f"eyJhbGciOiJIUzI1NiJ9.{payload}.x") == "service_role"
    assert role_of("sb_publishable_x") is role_of("a.b.c") is role_of("a.bnVsbA.c") is None


def token(**claims: object) -> SecretStr:
    payload = base64.urlsafe_b64encode(json.dumps({"role": "supatoss_service", **claims}).encode()).decode().rstrip("=")
    return SecretStr(f"eyJhbGciOiJIUzI1NiJ9.{payload}.x")


@pytest.mark.parametrize(
    ("changes", "level", "words"),
    [
        ({"supabase_secret_key": token()}, Level.OK, "signs in as supatoss_service; the token never expires"),
        ({"supabase_secret_key": token(exp=NOW.timestamp() + 86400 * 31)}, Level.OK, "expires in 31 days"),
        ({"supabase_secret_key": token(exp=int(NOW.timestamp()) + 86400 * 29)}, Level.WARNING, "expires in 29 days"),
        ({"supabase_secret_key": token(exp=NOW.timestamp() - 86400)}, Level.FAILED, "expired 1 days ago"),
        (
            {"supabase_secret_key": token(), "supabase_publishable_key": None},
            Level.FAILED,
            "has no key for the gate",
        ),
    ],
)
def test_a_token_of_our_role(changes: dict[str, Any], level: Level, words: str) -> None:
    (verdict,) = judge_token(SETTINGS.model_copy(update=changes), NOW)
    assert verdict.level is level
    assert words in verdict.message


@pytest.mark.parametrize("key", ["sb_secret_x", "eyJh.eyJy.x", token(role="service_role").get_secret_value()])
def test_other_keys_are_no_tokens(key: str) -> None:
    assert asyncio.run(check_token(SETTINGS.model_copy(update={"supabase_secret_key": SecretStr(key)}))) == []


def test_a_table_is_hidden_from_the_service_s_own_key_too() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        is_ours = request.headers.get("authorization") == f"Bearer {token().get_secret_value()}"
        assert request.headers["apikey"] == "sb_publishable_x"
        return httpx.Response(403, json={"code": "42501"}) if is_ours else httpx.Response(200, json=[])

    settings = SETTINGS.model_copy(update={"supabase_secret_key": token()})
    verdict = by_name(run(check_access, answer, settings))["anon reads payments"]
    assert verdict == Verdict(
        "anon reads payments", Level.OK, "no row is visible; the service's own key can't see whether there are any"
    )


@pytest.mark.parametrize("setting", ["supabase_secret_key", "supabase_publishable_key"])
def test_a_legacy_key_works_until_the_end_of_2026(setting: str) -> None:
    (verdict,) = asyncio.run(check_settings(SETTINGS.model_copy(update={setting: SecretStr("eyJh.eyJy.x")})))
    assert verdict.level is Level.WARNING
    assert re.fullmatch(rf"{setting.upper()} is a legacy \w+ key; .* by the end of 2026", verdict.message)
    assert "Project Settings > API Keys" in (verdict.fix or "")
    assert asyncio.run(check_settings(SETTINGS))[0].level is Level.OK


@pytest.mark.parametrize(("key", "authorization"), [("sb_publishable_x", None), ("eyJh.eyJy.x", "Bearer eyJh.eyJy.x")])
def test_only_a_legacy_key_is_a_bearer_token(key: str, authorization: str | None) -> None:
    sent: set[tuple[str, str | None]] = set()

    def answer(request: httpx.Request) -> httpx.Response:
        sent.add((request.headers["apikey"], request.headers.get("authorization")))
        return REFUSAL

    run(check_access, answer, SETTINGS.model_copy(update={"supabase_publishable_key": SecretStr(key)}))
    assert sent - {("sb_secret_for_doctor", None)} == {(key, authorization)}


@pytest.mark.parametrize(
    ("ahead_seconds", "level", "message"),
    [
        (0, Level.OK, "within 5 s"),
        (-20, Level.WARNING, "this machine is 20 s behind"),
        (20, Level.WARNING, "this machine is 20 s ahead"),
        (3600, Level.FAILED, "this machine is 3600 s ahead"),
    ],
)
def test_clocks(ahead_seconds: int, level: Level, message: str) -> None:
    theirs = NOW - dt.timedelta(seconds=ahead_seconds)
    verdict = judge("clock", format_datetime(theirs, usegmt=True), NOW + dt.timedelta(seconds=0.5))
    assert (verdict.level, verdict.message) == (level, message)


@pytest.mark.parametrize("date", ["", "yesterday"])
def test_an_answer_without_a_date(date: str) -> None:
    assert judge("clock", date, NOW).level is Level.SKIPPED


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (httpx.Response(308, headers={"location": "https://www.x/"}), "redirects to https://www.x/"),
        (httpx.Response(200, text="OK"), "accepts a delivery that is unsigned"),
        (httpx.Response(404), "answers HTTP 404 to a delivery that is unsigned, not 401"),
        (httpx.Response(503), "answers HTTP 503 to a delivery that is unsigned, not 401"),
    ],
)
def test_a_webhook_that_does_not_refuse(answer: httpx.Response, message: str) -> None:
    verdict = by_name(run(check_endpoint, lambda _request: answer))["public webhook"]
    assert (verdict.level, verdict.message) == (Level.FAILED, message)


def test_a_webhook_that_believes_a_wrong_signature() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200 if "tosspayments-webhook-signature" in request.headers else 401)

    verdict = by_name(run(check_endpoint, answer))["public webhook"]
    assert verdict.message == "accepts a delivery that is wrongly signed"


def test_a_service_that_is_not_ready_says_why() -> None:
    problem = "the database has schema version 1, this release needs 2: run the migrations"
    answer = httpx.Response(503, json={"status": "not ready", "problem": problem})
    verdict = by_name(run(check_endpoint, lambda _request: answer))["public /readyz"]
    assert (verdict.level, verdict.message) == (Level.FAILED, f"not ready: {problem}")


HOSTED = SETTINGS.model_copy(update={"supabase_url": "https://abcdefgh.supabase.co"})
TARGET = SETTINGS.model_copy(update={"alert_webhook_url": SecretStr("https://hooks.example.com/T0/secret")})


def unsendable(_request: httpx.Request) -> httpx.Response:
    raise AssertionError("nothing is to be sent")


@pytest.mark.parametrize(
    ("settings", "level"), [(SETTINGS, Level.SKIPPED), (HOSTED, Level.WARNING), (TARGET, Level.OK)]
)
def test_no_alert_is_sent_unless_told_to(settings: object, level: Level) -> None:
    (verdict,) = run(check_alerts, unsendable, settings, sends=False)
    assert verdict.level is level


def refuse_connection(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("https://hooks.example.com/T0/secret", request=request)


@pytest.mark.parametrize(
    ("answer", "level", "message"),
    [
        (lambda _request: httpx.Response(200), Level.OK, "the target accepted a test message"),
        (lambda _request: httpx.Response(404), Level.FAILED, "the target answers HTTP 404"),
        (refuse_connection, Level.FAILED, "the target cannot be reached: no connection to ALERT_WEBHOOK_URL"),
    ],
)
def test_a_test_alert_says_what_became_of_it_and_hides_the_target(
    answer: Callable[[httpx.Request], httpx.Response], level: Level, message: str
) -> None:
    (verdict,) = run(check_alerts, answer, TARGET, sends=True)
    assert (verdict.level, verdict.message) == (level, message)
    assert "secret" not in repr(verdict)


@pytest.mark.parametrize(
    ("url", "fields"),
    [
        ("https://hooks.slack.com/services/T0/B0/secret", {"text", "blocks", "unfurl_links"}),
        ("https://discord.com/api/webhooks/1/secret", {"embeds", "allowed_mentions"}),
        ("https://hooks.example.com/T0/secret", {"type", "timestamp", "text", "data"}),
    ],
)
def test_a_test_alert_is_one_that_its_target_takes(url: str, fields: set[str]) -> None:
    sent: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content))
        return httpx.Response(204)

    run(check_alerts, answer, SETTINGS.model_copy(update={"alert_webhook_url": SecretStr(url)}), sends=True)
    assert [set(body) for body in sent] == [fields]


def test_its_probes_say_that_they_are_probes() -> None:
    probes: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        probes.append(request)
        return httpx.Response(401)

    run(check_endpoint, answer)
    assert [request.headers.get(PROBE_HEADER) for request in probes if request.method == "POST"] == ["doctor"] * 2
