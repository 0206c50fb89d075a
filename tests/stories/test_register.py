"""`supatoss register`: the sheet of this deployment, and the first delivery."""

import json
import os
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from scripts.local_stack import LOOPBACK, ROOT, Child
from supatoss.cli import app
from supatoss.cli.sheet import BOXES
from supatoss.toss.samples import FROM_THE_GUIDE, SAMPLES
from tests.stories.conftest import SUPABASE_KEY, World
from tests.support import SECRET_KEY

PUBLIC = "https://shop.fly.dev"


def environment(world: World | None) -> dict[str, str]:
    url = world.supabase.url if world else f"http://{LOOPBACK}:9"
    return {
        "SUPABASE_URL": url,
        "SUPABASE_SECRET_KEY": SUPABASE_KEY,
        "TOSS_SECRET_KEY": SECRET_KEY,
        "PUBLIC_URL": PUBLIC,
    }


def register(world: World | None, *arguments: str, **changes: str | None) -> Result:
    names = {"LC_ALL": "C.UTF-8", **environment(world), **changes}
    return CliRunner().invoke(app, ["register", *arguments], env=names)


@pytest.mark.parametrize(
    ("arguments", "changes", "expected"),
    [
        ((), {}, ("name: Destiny.OS 결제 웹훅", f"URL: {PUBLIC}/webhooks/toss", "environment: test", "[ ] every box")),
        (
            (),
            {"LC_ALL": "ko_KR.UTF-8"},
            (f"URL: {PUBLIC}/webhooks/toss", "환경: 테스트", "등록 체크리스트", "[ ] 라이브"),
        ),
        (("--language", "ko"), {"TOSS_SECRET_KEY": "live_sk_of_this_merchant"}, ("환경: 라이브",)),
        (("--url", "https://www.x.dev/functions/v1/webhook"), {}, ("URL: https://www.x.dev/functions/v1/webhook\n",)),
        (("--url", "https://x.dev/"), {"PUBLIC_URL": None}, ("URL: https://x.dev/webhooks/toss\n",)),
        ((), {"TOSS_SECRET_KEY": None}, ("environment: test while developing, live in production",)),
    ],
)
def test_the_sheet(arguments: tuple[str, ...], changes: dict[str, str | None], expected: tuple[str, ...]) -> None:
    result = register(None, *arguments, **changes)
    assert result.exit_code == 0
    assert [text for text in expected if text not in result.stdout] == []


@pytest.mark.parametrize("language", ["en", "ko"])
def test_both_languages_say_the_same_and_name_only_boxes_that_there_are(language: str) -> None:
    english = json.loads(register(None, "--json").stdout)
    sheet = json.loads(register(None, "--json", "--language", language).stdout)
    assert [ours for ours, _ in sheet["guide_events"]] == [ours for ours, _ in english["guide_events"]]
    assert {ours for ours, _ in sheet["guide_events"]} == FROM_THE_GUIDE | {"PAYMENT_STATUS_CHANGED"}
    assert (len(sheet["registration"]), len(sheet["production"])) == (6, 4)
    assert set(BOXES) <= set(SAMPLES) - FROM_THE_GUIDE
    assert (sheet["url"], sheet["name"]) == (english["url"], english["name"])


def test_a_delivery_that_arrived_is_found_and_one_of_an_operator_is_none(world: World) -> None:
    before = register(world, "--check", "--since", "2999-01-01", "--json")
    assert before.exit_code == 1
    assert json.loads(before.stdout.splitlines()[1]) == {"arrived": False, "event": None}
    body = {"eventType": "CUSTOMER_STATUS_CHANGED", "data": {"customerKey": "c-arrived", "status": "CREATED"}}
    event = world.deliver(body, signed=True).json()["event"]
    after = register(world, "--check")
    assert after.exit_code == 0
    assert "arrived: CUSTOMER_STATUS_CHANGED, ignored, proof signature, at " in after.stdout
    assert f"event {event}" in after.stdout
    url = f"{world.supabase.url}/rest/v1/webhook_events?id=eq.{event}"
    world.http.patch(url, headers={"apikey": SUPABASE_KEY}, json={"proof": "operator"}).raise_for_status()
    assert f"event {event}" not in register(world, "--check").stdout


def test_it_waits_for_the_next_delivery(world: World, tmp_path: Path) -> None:
    log = tmp_path / "register.log"
    child = Child(
        "register",
        [
            sys.executable,
            "-m",
            "supatoss",
            "register",
            "--wait",
            "--json",
        ],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment(world)},
        log=log,
    )
    try:
        body = {"eventType": "CUSTOMER_STATUS_CHANGED", "data": {"customerKey": "c-awaited", "status": "CREATED"}}
        number = iter(range(1000))

        def deliver_until_it_ends() -> bool:
            world.deliver({**body, "data": {**body["data"], "n": next(number)}}, signed=True)  # type: ignore[dict-item]
            return child.exit_code() is not None

        world.until(deliver_until_it_ends, every=0.2)
        assert child.wait(15) == 0
        arrived = json.loads(log.read_text().splitlines()[1])
        assert (arrived["arrived"], arrived["event"]["event_type"]) == (True, "CUSTOMER_STATUS_CHANGED")
    finally:
        child.stop()


def test_nothing_that_comes_in_time_is_said(world: World) -> None:
    result = register(world, "--wait", "--timeout", "1")
    assert result.exit_code == 1
    assert "no delivery arrived" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "changes", "status", "expected"),
    [
        ((), {"PUBLIC_URL": None}, 2, "set --url or PUBLIC_URL"),
        (("--url", "shop"), {}, 2, "--url should be a URL such as"),
        (("--url", "http://shop.fly.dev"), {}, 2, "--url should begin with https://"),
        (("--check", "--wait"), {}, 2, "use --check or --wait, not both"),
        (("--check", "--since", "someday"), {}, 2, "is not a time"),
        (("--language", "fr"), {}, 2, "'en', 'ko'"),
        (("--check",), {}, 3, "no answer from the Data API: nothing listens at SUPABASE_URL"),
    ],
)
def test_wrong_use_names_what_was_expected(
    arguments: tuple[str, ...], changes: dict[str, str | None], status: int, expected: str
) -> None:
    result = register(None, *arguments, **changes)
    assert result.exit_code == status
    assert expected in " ".join(result.stderr.replace("│", " ").split())
