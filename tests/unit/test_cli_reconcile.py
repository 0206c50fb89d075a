"""Which days `supatoss reconcile` takes, and what `supatoss reconcile ignore` sets aside."""

import asyncio
import datetime as dt
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from supatoss.cli import app
from supatoss.cli.reconcile import _days
from supatoss.reconcile.records import Days
from supatoss.store import Store
from supatoss.store.client import Function

NOW = dt.datetime(2026, 11, 16, 15, 0, tzinfo=dt.UTC)  # midnight of the 17th in Korea
TODAY = dt.date(2026, 11, 17)


def day(text: str | None) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if text else None


@pytest.mark.parametrize(
    ("one", "first", "last", "days"),
    [
        (None, None, None, ("2026-11-16", "2026-11-16")),
        ("2026-11-17", None, None, ("2026-11-17", "2026-11-17")),
        (None, "2026-11-01", "2026-11-17", ("2026-11-01", "2026-11-17")),
        (None, "2025-11-17", "2026-11-17", ("2025-11-17", "2026-11-17")),
    ],
)
def test_days(one: str | None, first: str | None, last: str | None, days: tuple[str, str]) -> None:
    assert _days(day(one), day(first), day(last), NOW) == Days(*map(dt.date.fromisoformat, days))


@pytest.mark.parametrize(
    ("one", "first", "last", "message"),
    [
        ("2026-11-16", "2026-11-16", None, "not both"),
        (None, "2026-11-16", None, "belong together"),
        (None, None, "2026-11-16", "belong together"),
        (None, "2026-11-16", "2026-11-15", "before --to"),
        ("2026-11-18", None, None, "2026-11-17 in Korea"),
        (None, "2026-11-16", "2026-11-18", "2026-11-17 in Korea"),
        (None, "2025-11-16", "2026-11-17", "366 days"),
    ],
)
def test_wrong_use(one: str | None, first: str | None, last: str | None, message: str) -> None:
    with pytest.raises(typer.BadParameter, match=message):
        _days(day(one), day(first), day(last), NOW)


@pytest.mark.parametrize("option", [["--day", "2026-11-16"], ["--from", "2026-11-16"], ["--settlements"]])
def test_days_that_were_never_compared_are_not_chosen(option: list[str]) -> None:
    result = CliRunner().invoke(app, ["reconcile", "--since-last", *option])
    assert result.exit_code == 2
    assert "--since-last goes with" in result.output


IDENTITY = "5e9f2d5a-0000-4000-8000-000000000009"


def ignore(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["reconcile", "ignore", "--reason", "paid by bank transfer", *arguments])


class FakeStore(Store):
    """Answers what it was given."""

    def __init__(self, *findings: Mapping[str, Any], has_more: bool = False) -> None:
        self.answer = {"findings": list(findings), "has_more": has_more}
        self.asked: list[Mapping[str, Any]] = []

    async def _answer(self, function: Function, arguments: Mapping[str, Any], tries: int) -> Any:
        assert function is Function.IGNORE_FINDINGS
        self.asked.append(arguments)
        return self.answer


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeStore]:
    """Puts a store with an answer in the place of the project."""

    def put(*findings: Mapping[str, Any], has_more: bool = False) -> FakeStore:
        store = FakeStore(*findings, has_more=has_more)
        monkeypatch.setattr("supatoss.cli.differences.ask", lambda _calls, work: asyncio.run(work(store)))
        return store

    return put


FINDING = {
    "id": IDENTITY,
    "scope": "payments",
    "subject": "key-1",
    "kind": "extra",
    "day": "2026-11-16",
    "payment_key": "key-1",
    "order_id": "order-1",
    "transaction_key": None,
    "ours": {"status": "DONE", "amount": "10000"},
    "theirs": {},
    "outcome": "found",
    "reason": None,
    "event_id": None,
}


def test_a_dry_run_shows_what_would_be_set_aside(ask: Callable[..., FakeStore]) -> None:
    store = ask(FINDING, has_more=True)
    result = ignore("--order", "order-1", "--limit", "1", "--actor", "kim")
    assert result.exit_code == 0
    assert IDENTITY in result.output
    assert "status DONE, amount 10000" in result.output
    assert "More than 1 differences match" in result.output
    assert "Nothing was changed. To ignore them, add --apply" in result.output
    (asked,) = store.asked
    assert json.loads(asked["wanted"]) == {"order_id": "order-1"}
    assert (asked["reason"], asked["actor"], asked["max_findings"]) == ("paid by bank transfer", "kim", 1)
    assert asked["dry_run"]


def test_apply_sets_it_aside(ask: Callable[..., FakeStore]) -> None:
    store = ask(FINDING | {"outcome": "set_aside"})
    assert "1 ignored" in ignore("--day", "2026-11-16", "--payment-key", "key-1", "--apply").output
    document = json.loads(ignore(IDENTITY, "--apply", "--json").output)
    assert (document["applied"], document["has_more"]) == (True, False)
    assert [(item["id"], item["outcome"]) for item in document["findings"]] == [(IDENTITY, "set_aside")]
    assert [json.loads(asked["wanted"]) for asked in store.asked] == [
        {"day": "2026-11-16", "payment_key": "key-1"},
        {"ids": [IDENTITY]},
    ]


def test_ids_that_are_not_open_are_said(ask: Callable[..., FakeStore]) -> None:
    ask()
    result = ignore(IDENTITY)
    assert result.exit_code == 1
    assert f"{IDENTITY} is not an open difference" in result.output
    result = ignore("--order", "no-such-order")
    assert (result.exit_code, result.output) == (0, "No open differences.\n")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "at least one filter is needed"),
        (["not-an-id"], "a difference's id is a UUID"),
        (["--order", "o", "--limit", "0"], "the limit should be between"),
        (["--order", "o", "--actor", " "], "an actor is needed"),
        (["--order", "o\x00"], "NUL character"),
        (["--order", "o", "--reason", " "], "a reason of 1 to 500"),
    ],
)
def test_wrong_use_of_ignore(ask: Callable[..., FakeStore], arguments: list[str], problem: str) -> None:
    store = ask(FINDING)
    result = ignore(*arguments)
    assert result.exit_code == 2
    assert problem in result.output
    assert store.asked == []


def test_options_before_ignore_are_refused_and_not_dropped() -> None:
    result = CliRunner().invoke(app, ["reconcile", "--day", "2026-11-16", "ignore", "--reason", "x", "--order", "o"])
    assert result.exit_code == 2
    assert "go after it" in result.output
