import html
import json
import re
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from supatoss.errors import ConfigurationError, StoreUnavailable
from supatoss.ops.page import HOME, MAX_FORM_BYTES, safe_path
from tests.unit.fakes import LogLines
from tests.unit.ops.office import ADDRESS, EVENT_ID, PASSWORD, Office, token_of

pytestmark = pytest.mark.anyio

PAGES = ("/ops/", "/ops/events", f"/ops/events/{EVENT_ID}", "/ops/payment?order=order-0001")
ACTIONS = (
    f"/ops/events/{EVENT_ID}/replay",
    f"/ops/events/{EVENT_ID}/ignore",
    "/ops/sign-out",
    "/ops/sessions/end",
)


def sign_ins(outcome: str) -> float:
    return REGISTRY.get_sample_value("supatoss_ops_sign_ins_total", {"outcome": outcome}) or 0


@pytest.mark.parametrize("path", ["/ops", *PAGES, "/ops/sign-in", "/ops/static/ops.css"])
async def test_without_a_password_there_is_no_page(path: str) -> None:
    office = Office(ops_password=None)
    assert (await office.get(path)).status_code == 404


def test_a_short_password_stops_the_start_without_being_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Office(ops_password="elevenchars")
    assert caught.value.problems == ["OPS_PASSWORD should have at least 12 characters."]


@pytest.mark.parametrize("path", PAGES)
async def test_an_empty_password_is_none(path: str) -> None:
    assert (await Office(ops_password="").get(path)).status_code == 404


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_asks_to_sign_in_first(office: Office, path: str) -> None:
    response = await office.get(path)
    assert response.status_code == 303
    assert response.headers["location"].startswith("/ops/sign-in")


@pytest.mark.parametrize("path", ACTIONS)
async def test_nobody_acts_without_signing_in(office: Office, path: str) -> None:
    response = await office.post(path, mode="apply", reason="because")
    assert (response.status_code, response.headers["location"]) == (303, "/ops/sign-in")
    assert office.store.did == []


async def test_signing_in_continues_to_the_requested_page(office: Office) -> None:
    asked = await office.get("/ops/payment?order=주문-1")
    form = await office.get(asked.headers["location"])
    response = await office.sign_in(next=_value(form, "next"))
    assert response.headers["location"] == "/ops/payment?order=%EC%A3%BC%EB%AC%B8-1"
    assert (await office.get("/ops/events")).status_code == 200


async def test_a_wrong_password_is_refused_and_counted(office: Office) -> None:
    before = sign_ins("refused")
    response = await office.sign_in("not the password")
    assert response.status_code == 403
    assert "Wrong password." in response.text
    assert not office.is_signed_in
    assert sign_ins("refused") == before + 1


async def test_an_attempt_for_which_there_is_no_time_is_told_when_to_come_back(office: Office) -> None:
    throttled = sign_ins("throttled")
    with office.full_queue():
        response = await office.sign_in()
    assert response.status_code == 429
    assert response.headers["retry-after"] == "10"
    assert "Too many people are trying to sign in. Try again in 10 s." in html.unescape(response.text)
    assert not office.is_signed_in
    assert sign_ins("throttled") == throttled + 1
    assert (await office.sign_in()).status_code == 303


async def test_a_browser_that_has_signed_in_before_is_served_while_strangers_queue(office: Office) -> None:
    await office.sign_in()
    await office.post("/ops/sign-out")
    with office.full_queue():
        assert (await office.sign_in("not the password")).status_code == 403
        assert (await office.sign_in()).status_code == 303


async def test_attempts_count_by_the_address_in_the_proxys_header() -> None:
    office = Office(client_ip_header="Fly-Client-IP")
    token = token_of(await office.get("/ops/sign-in"))
    headers = {"Fly-Client-IP": "198.51.100.1"}
    await office.ask("POST", "/ops/sign-in", data={"csrf": token, "password": "wrong"}, headers=headers)
    assert office.guessed("198.51.100.1") == 1
    assert office.guessed(ADDRESS) == 0


async def test_attempts_without_the_forms_token_are_not_even_looked_at(office: Office) -> None:
    await office.get("/ops/sign-in")
    response = await office.post("/ops/sign-in", password=PASSWORD, csrf="0" * 64)
    assert response.status_code == 403
    assert not office.is_signed_in


async def test_the_token_of_another_browser_does_not_help(office: Office) -> None:
    stranger = Office()
    token = token_of(await stranger.get("/ops/sign-in"))
    await office.get("/ops/sign-in")
    assert (await office.post("/ops/sign-in", password=PASSWORD, csrf=token)).status_code == 403


@pytest.mark.parametrize("path", ACTIONS)
async def test_every_action_needs_the_token_of_its_session(office: Office, path: str) -> None:
    await office.sign_in()
    response = await office.post(path, mode="apply", reason="because", csrf="0" * 64)
    assert response.status_code == 403
    assert "Nothing was changed" in response.text
    assert office.store.did == []
    assert office.is_signed_in


async def test_the_token_from_before_signing_in_is_worth_nothing_after_it(office: Office) -> None:
    before = token_of(await office.get("/ops/sign-in"))
    await office.sign_in()
    assert (await office.post("/ops/sign-out", csrf=before)).status_code == 403


@pytest.mark.parametrize(
    "request_options",
    [
        {"json": {"csrf": "x"}},
        {"content": b"csrf=%FF%FE", "headers": {"content-type": "application/x-www-form-urlencoded"}},
        {"content": b"\xff", "headers": {"content-type": "application/x-www-form-urlencoded"}},
        {"content": b"a=1&" * 6000, "headers": {"content-type": "application/x-www-form-urlencoded"}},
        {"content": b"x" * (MAX_FORM_BYTES + 1), "headers": {"content-type": "application/x-www-form-urlencoded"}},
        {"content": b""},
    ],
)
async def test_what_is_no_form_of_ours_is_refused(office: Office, request_options: dict[str, Any]) -> None:
    await office.get("/ops/sign-in")
    response = await office.ask("POST", "/ops/sign-in", **request_options)
    assert response.status_code == 403
    await office.sign_in()
    assert (await office.ask("POST", ACTIONS[0], **request_options)).status_code == 403
    assert office.store.did == []


async def test_signing_out_ends_the_session_in_this_browser(office: Office) -> None:
    await office.sign_in()
    response = await office.post("/ops/sign-out")
    assert response.headers["location"] == "/ops/sign-in?signed=out"
    assert not office.is_signed_in
    assert "You are signed out" in (await office.get(response.headers["location"])).text
    assert (await office.get("/ops/")).status_code == 303


async def test_a_cookie_that_was_copied_before_signing_out_is_worth_nothing_on_any_machine(office: Office) -> None:
    await office.sign_in()
    machines = [office.copied(), office.copied(on_another_machine=True)]
    for machine in machines:
        assert (await machine.get("/ops/events")).status_code == 200
    await office.post("/ops/sign-out")
    for machine in machines:
        assert (await machine.get("/ops/events")).headers["location"].startswith("/ops/sign-in")
        assert (await machine.post(ACTIONS[0], mode="apply", csrf="0" * 64)).headers["location"] == "/ops/sign-in"
    assert [machine.store.did for machine in machines] == [[], []]


async def test_an_ended_session_is_asked_for_once(office: Office) -> None:
    await office.sign_in()
    thief = office.copied()
    await office.post("/ops/sign-out")
    before = office.store.sessions.reads
    for _ in range(5):
        await thief.get("/ops/events")
    assert office.store.sessions.reads == before + 1


@pytest.mark.parametrize("path", [*PAGES, "/ops/sessions"])
async def test_a_session_that_cannot_be_confirmed_is_closed(office: Office, path: str) -> None:
    await office.sign_in()
    office.store.sessions.trouble = StoreUnavailable("no answer from the Data API: ReadTimeout")
    response = await office.get(path)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "10"
    assert "order-0001" not in response.text.replace("order=order-0001", "")
    assert "Sign out" not in response.text
    office.store.sessions.trouble = None
    assert (await office.get("/ops/events")).status_code == 200


async def test_nobody_signs_in_while_the_database_is_away(office: Office) -> None:
    office.store.sessions.trouble = StoreUnavailable("no answer from the Data API: ConnectError")
    assert (await office.sign_in()).status_code == 503
    assert not office.is_signed_in


async def test_strangers_cause_no_calls_of_the_database(office: Office) -> None:
    for cookie in ("", "x", "a.b.c"):
        headers = {"cookie": f"supatoss_ops={cookie}"}
        assert (await office.ask("GET", "/ops/events", headers=headers)).status_code == 303
        await office.ask("GET", "/ops/sign-in", headers=headers)
    await office.sign_in("not the password")
    assert office.store.sessions.reads == 0


async def test_a_new_password_ends_the_sessions_of_the_old_one(office: Office) -> None:
    await office.sign_in()
    later = Office(ops_password="another phrase for tests")
    later.store.sessions = office.store.sessions
    later.cookies = office.cookies
    assert (await later.get("/ops/")).status_code == 303


@pytest.mark.parametrize(
    ("public_url", "is_https"),
    [
        ("", True),
        ("https://shop.example", True),
        ("https://127.0.0.1:8080", True),
        ("http://127.0.0.1:8080", False),
        ("http://[::1]:8080", False),
        ("http://localhost:8080", False),
    ],
)
@pytest.mark.parametrize("origin", ["https://shop.example", "http://localhost", "http://127.0.0.1:8080"])
async def test_cookies_are_kept_from_scripts_other_sites_and_plain_http_whatever_host_is_asked_for(
    origin: str, public_url: str, is_https: bool
) -> None:
    office = Office(public_url=public_url)
    response = await office.ask("GET", "/ops/sign-in", origin)
    assert response.headers.get("strict-transport-security") == ("max-age=31536000" if is_https else None)
    response = await office.ask(
        "POST",
        "/ops/sign-in",
        origin,
        data={"csrf": token_of(response), "password": PASSWORD},
        headers={"cookie": response.headers["set-cookie"].split(";")[0]},
    )
    cookies = response.headers.get_list("set-cookie")
    names = {cookie.split("=")[0] for cookie in cookies}
    assert names == {"supatoss_ops", "supatoss_ops_device", "supatoss_ops_anonymous"}
    for cookie in cookies:
        parts = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert {"httponly", "samesite=lax", "path=/ops"} <= parts
        assert ("secure" in parts) == is_https


async def test_htmx_is_redirected_to_the_sign_in_page(office: Office) -> None:
    response = await office.get("/ops/", headers={"HX-Request": "true"})
    assert (response.status_code, response.headers["hx-redirect"]) == (401, "/ops/sign-in")


async def test_the_log_says_who_signed_in_and_never_the_password(office: Office) -> None:
    lines = LogLines()
    await office.sign_in("not the password")
    await office.sign_in()
    text = lines.text()
    told = [json.loads(line) for line in text.splitlines()]
    assert [(line["event"], line["operator"], line["address"]) for line in told] == [
        ("sign-in refused", "operator", "203.0.113.7"),
        ("operator signed in", "operator", "203.0.113.7"),
    ]
    assert PASSWORD not in text
    assert "not the password" not in text


@pytest.mark.parametrize(
    "text",
    [
        "https://evil.example/ops/",
        "//evil.example/ops/",
        "/\\evil.example",
        "/ops//evil.example",
        "/ops/\r\nSet-Cookie: x=1",
        "/opsx",
        "/",
        "",
        "javascript:alert(1)",
        "/ops/sign-out",
        "/ops/sign-in?next=/ops/",
        "/ops/language",
        "/ops/sessions/end",
        f"/ops/events/{EVENT_ID}/replay",
        "http://[",
    ],
)
def test_signing_in_never_continues_to_another_host(text: str) -> None:
    assert safe_path(text) == HOME


@given(st.text())
def test_whatever_is_asked_for_the_next_page_is_one_of_ours(text: str) -> None:
    assert httpx.URL("https://shop.example").join(safe_path(text)).host == "shop.example"
    assert safe_path(text).startswith("/ops")


def _value(page: httpx.Response, name: str) -> str:
    """Of the last form: the one before it switches the language."""
    return html.unescape(re.findall(rf'name="{name}" value="([^"]*)"', page.text)[-1])
