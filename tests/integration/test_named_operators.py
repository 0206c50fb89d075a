"""Operators on two machines of one project: real processes, the real Data API, real cookies."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Self

import httpx
import pytest

from scripts.local_stack import LOOPBACK, free_port
from supatoss.alerts.rules import Limits
from supatoss.alerts.watch import Watch
from supatoss.passwords import PasswordHash, User
from supatoss.store import Store
from tests.integration.conftest import SUPABASE_KEY, Stack
from tests.integration.test_operators import Target, mismatch, with_store
from tests.processes import running_service
from tests.support import SECRET_KEY

PASSWORDS = {"anna": "a phrase of anna's", "ben": "a phrase of ben's"}
USERS = ",".join(str(User(name, PasswordHash.of(password))) for name, password in PASSWORDS.items())


@pytest.fixture(scope="module")
def machines(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    folder = tmp_path_factory.mktemp("machines")
    settings = {
        "SUPABASE_URL": stack.supabase_url,
        "SUPABASE_SECRET_KEY": SUPABASE_KEY,
        "TOSS_SECRET_KEY": SECRET_KEY,
        "TOSS_API_URL": f"http://{LOOPBACK}:{free_port()}",
        "WORKER": "off",
        "ALERT_INTERVAL_SECONDS": "3600",
        "OPS_USERS": USERS,
        "PUBLIC_URL": f"http://{LOOPBACK}",
    }
    with ExitStack() as running:
        one, two = (running.enter_context(running_service(settings, folder / f"{n}.log")) for n in (1, 2))
        yield one, two


class Browser:
    def __init__(self, url: str, cookies: httpx.Cookies | None = None) -> None:
        self.http = httpx.Client(base_url=url, trust_env=False, timeout=30.0, cookies=cookies)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.http.close()

    def is_let_in(self) -> bool:
        return self.http.get("/ops/events").status_code == 200

    def post(self, page: str, path: str, **fields: str) -> httpx.Response:
        token = re.findall(r'name="csrf" value="([0-9a-f]+)"', self.http.get(page).text)[0]
        return self.http.post(path, data={"csrf": token, **fields})

    def sign_in(self, name: str) -> "Browser":
        response = self.post("/ops/sign-in", "/ops/sign-in", username=name, password=PASSWORDS[name])
        assert response.status_code == 303
        return self


def test_a_copied_cookie_works_on_every_machine_until_its_owner_signs_out(machines: tuple[str, str]) -> None:
    one, two = machines
    with Browser(one).sign_in("anna") as anna, Browser(two, anna.http.cookies) as thief:
        assert anna.is_let_in()
        assert thief.is_let_in()
        anna.post("/ops/events", "/ops/sign-out")
        assert not thief.is_let_in()


def test_a_person_and_everybody_can_be_signed_out_everywhere(stack: Stack, machines: tuple[str, str]) -> None:
    one, two = machines
    with Browser(one).sign_in("anna") as anna, Browser(two).sign_in("anna") as at_home, Browser(two) as ben:
        ben.sign_in("ben")
        anna.post("/ops/sessions", "/ops/sessions/end", of="me")
        assert [browser.is_let_in() for browser in (anna, at_home, ben)] == [False, False, True]

        async def end_all(store: Store) -> int:
            return await store.end_sessions(ended_by="kim@desk")

        assert with_store(stack, end_all) == 1
        assert not ben.is_let_in()


def test_what_an_operator_sets_aside_is_told_by_name(stack: Stack, machines: tuple[str, str]) -> None:
    mismatch(stack, "set-aside-1")
    event = stack.row("webhook_events?order_id=eq.set-aside-1&select=id")["id"]
    sent = Target()

    async def look(store: Store) -> None:
        await Watch(store, Limits(10), sent, 60, "tests:2").check()

    with_store(stack, look)
    with Browser(machines[0]).sign_in("anna") as anna:
        page = f"/ops/events/{event}"
        assert anna.post(page, f"{page}/ignore", reason="고객이 직접 취소").status_code == 303
        assert "anna · 127.0.0.1" in anna.http.get(page).text
    action = stack.row(f"peek_operator_actions?event_id=eq.{event}")
    assert (action["actor"], action["address"], action["action"]) == ("anna", LOOPBACK, "ignore")
    with_store(stack, look)
    assert any("set-aside-1" in text and "ignored by anna" in text for text in sent.texts)
