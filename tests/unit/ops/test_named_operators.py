"""Operators with names and passwords of their own: who did what, who is signed in, what needs the password again."""

import html
import json

import pytest

from supatoss.ops.sessions import CONFIRMED_SECONDS
from supatoss.ops.throttle import GUESSES_PER_DEVICE
from supatoss.passwords import PasswordHash, User
from tests.unit.fakes import LogLines
from tests.unit.ops.office import ADDRESS, EVENT_ID, PASSWORD, Office

pytestmark = pytest.mark.anyio

BENS_PASSWORD = "another phrase for tests"
USERS = ",".join(
    str(User(name, PasswordHash.of(password))) for name, password in (("anna", PASSWORD), ("ben", BENS_PASSWORD))
)


@pytest.fixture
def office() -> Office:
    return Office(ops_users=USERS, ops_password=None)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_each_signs_in_with_a_name_and_is_shown_by_it(office: Office) -> None:
    form = await office.get("/ops/sign-in")
    assert 'name="username" type="text"' in form.text
    assert (await office.sign_in(username=" Anna")).status_code == 303
    assert '<a class="who" href="/ops/sessions">anna</a>' in (await office.get("/ops/events")).text


@pytest.mark.parametrize(
    ("username", "password"),
    [("anna", BENS_PASSWORD), ("ben", PASSWORD), ("carl", PASSWORD), ("", PASSWORD), ("operator", PASSWORD)],
)
async def test_a_wrong_name_and_a_wrong_password_look_the_same(office: Office, username: str, password: str) -> None:
    response = await office.sign_in(password, username=username)
    assert response.status_code == 403
    assert "Wrong name or password." in response.text
    assert f'value="{username}" maxlength' in response.text
    assert not office.is_signed_in


async def test_what_is_done_is_done_by_name_and_from_an_address(office: Office) -> None:
    await office.sign_in(username="anna")
    lines = LogLines()
    await office.post(f"/ops/events/{EVENT_ID}/replay", mode="apply")
    await office.post(f"/ops/events/{EVENT_ID}/ignore", reason="because")
    assert office.store.who == [("anna", ADDRESS), ("anna", ADDRESS)]
    told = [json.loads(line) for line in lines.text().splitlines()]
    assert [(line["event"], line["operator"]) for line in told] == [
        ("event replayed", "anna"),
        ("event ignored", "anna"),
    ]


async def test_the_log_holds_no_name_that_nobody_has(office: Office) -> None:
    lines = LogLines()
    await office.sign_in("my password is", username=PASSWORD)
    text = lines.text()
    assert PASSWORD not in text
    assert '"operator":"unknown"' in text


async def test_the_shared_password_opens_nothing_beside_names_and_the_log_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    office = Office(ops_users=USERS, ops_password="a shared phrase for tests")
    assert "OPS_PASSWORD opens nothing because OPS_USERS is set" in capsys.readouterr().out
    for name in ("operator", "anna", ""):
        assert (await office.sign_in("a shared phrase for tests", username=name)).status_code == 403


async def test_a_known_browser_is_known_for_its_operator_alone(office: Office) -> None:
    await office.sign_in(username="anna")
    await office.post("/ops/sign-out")
    with office.full_queue():
        assert (await office.sign_in(BENS_PASSWORD, username="ben")).status_code == 429
        assert (await office.sign_in(username="anna")).status_code == 303


async def test_signing_out_everywhere_ends_ones_own_sessions(office: Office) -> None:
    await office.sign_in(username="anna")
    elsewhere = office.copied(on_another_machine=True)
    ben = Office(ops_users=USERS)
    ben.store.sessions = office.store.sessions
    await ben.sign_in(BENS_PASSWORD, username="ben")
    response = await office.post("/ops/sessions/end", of="me")
    assert response.headers["location"] == "/ops/sign-in?signed=out"
    assert (await elsewhere.get("/ops/events")).status_code == 303
    assert (await ben.get("/ops/events")).status_code == 200


async def test_the_page_of_sessions_lists_them(office: Office) -> None:
    await office.sign_in(username="anna")
    text = (await office.get("/ops/sessions")).text
    assert "anna <span" in text
    assert ADDRESS in text
    assert text.count("this browser") == 1


async def test_signing_everybody_out_needs_the_password_of_just_now(office: Office) -> None:
    await office.sign_in(username="anna")
    office.store.sessions.age(CONFIRMED_SECONDS)
    assert 'name="password"' in (await office.get("/ops/sessions")).text
    for password, problem in (("", "Enter your password again."), (BENS_PASSWORD, "Wrong name or password.")):
        response = await office.post("/ops/sessions/end", of="everybody", password=password)
        assert response.status_code == 403
        assert problem in html.unescape(response.text)
    assert (await office.get("/ops/events")).status_code == 200
    response = await office.post("/ops/sessions/end", of="everybody", password=PASSWORD)
    assert response.headers["location"] == "/ops/sign-in?signed=out"
    assert office.store.sessions.open == {}


async def test_whoever_has_just_given_the_password_is_not_asked_again(office: Office) -> None:
    await office.sign_in(username="anna")
    office.store.sessions.age(CONFIRMED_SECONDS - 1)
    assert 'name="password"' not in (await office.get("/ops/sessions")).text
    assert (await office.post("/ops/sessions/end", of="everybody")).status_code == 303
    assert office.store.sessions.open == {}


async def test_a_stolen_session_gives_a_few_guesses_at_the_password(office: Office) -> None:
    await office.sign_in(username="anna")
    office.store.sessions.age(CONFIRMED_SECONDS)
    with office.full_queue():
        statuses = [
            (await office.post("/ops/sessions/end", of="everybody", password="a guess")).status_code
            for _ in range(GUESSES_PER_DEVICE + 2)
        ]
    assert statuses == [403] * GUESSES_PER_DEVICE + [429] * 2
    assert office.store.sessions.open
