"""`supatoss events refused`, around a store in memory."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from typer.testing import CliRunner

from supatoss.cli import app, refused
from supatoss.store.client import Function
from tests.unit.ops.office import SECRET, PaperStore
from tests.unit.ops.test_refused_pages import row


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> PaperStore:
    paper = PaperStore()

    def ask(_calls: object, work: Callable[[PaperStore], Awaitable[object]]) -> object:
        async def inside() -> object:
            return await work(paper)

        return asyncio.run(inside())

    monkeypatch.setattr(refused, "ask", ask)
    return paper


def run(*arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(app, ["events", "refused", *arguments])
    assert result.exit_code == status, result.output
    assert SECRET not in result.output
    return result.output


def test_an_empty_log(store: PaperStore) -> None:
    assert run() == "No refused deliveries.\n"
    assert json.loads(run("--json")) == {"deliveries": [], "next": None}
    assert store.asked[0] == (Function.READ_REFUSED, {"max_deliveries": 20, "before_id": None})


def test_a_page_says_how_to_go_on(store: PaperStore) -> None:
    store.answers[Function.READ_REFUSED] = [row(8), row(7, event_type="\x1b[31mred", reason="acknowledged")]
    text = run("--limit", "2", "--before", "9")
    for shown in ("2026-11-25 12:30:00", "DEPOSIT_CALLBACK", "secret_differs", "401", "203.0.113.7", "--before 7"):
        assert shown in text
    assert "\x1b" not in text
    assert store.asked[-1][1] == {"max_deliveries": 2, "before_id": 9}
    assert "--before" not in run("--limit", "3")


def test_json_holds_the_body_masked(store: PaperStore) -> None:
    store.answers[Function.READ_REFUSED] = [row(), row(6, body=f"secret={SECRET}"), row(5, body="")]
    answer = json.loads(run("--json", "--limit", "3"))
    bodies = [delivery.pop("body") for delivery in answer["deliveries"]]
    assert bodies[0]["secret"] == "[masked]"
    assert bodies[0]["data"]["orderId"] == "order-0001"
    assert bodies[1:] == [f"[not shown: cut or not JSON, {7 + len(SECRET)} characters]", None]
    assert answer["next"] == 5
    assert answer["deliveries"][0] == {
        "id": 7,
        "received_at": "2026-11-25T03:30:00+00:00",
        "event_type": "DEPOSIT_CALLBACK",
        "reason": "secret_differs",
        "http_status": 401,
        "source_address": "203.0.113.7",
    }


def test_one_body(store: PaperStore) -> None:
    store.answers[Function.READ_REFUSED] = [row(body='{"orderId": "\\u001b[31mred", "secret": "' + SECRET + '"}')]
    text = run("--body", "7")
    assert '"secret": "[masked]"' in text
    assert "\x1b" not in text
    assert "--before" not in text
    assert store.asked[-1][1] == {"max_deliveries": 1, "before_id": 8}
    assert "there is no refused delivery 8" in run("--body", "8", status=2)


@pytest.mark.parametrize("arguments", [("--limit", "0"), ("--limit", "501"), ("--before", "0"), ("--before", "x")])
def test_numbers_out_of_range_are_refused(store: PaperStore, arguments: tuple[str, str]) -> None:
    run(*arguments, status=2)
    assert store.asked == []
