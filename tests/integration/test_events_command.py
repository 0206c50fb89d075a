"""`supatoss events` against the real Data API; what a signal ends runs as a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner

from supatoss.cli import app
from tests.integration.conftest import PUBLISHABLE_KEY, Stack, service_token
from tests.integration.test_main_job import payment
from tests.support import SECRET_KEY

COMMAND = [sys.executable, "-m", "supatoss", "events"]


def environment(stack: Stack) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "SUPABASE_URL": stack.supabase_url,
        "SUPABASE_SECRET_KEY": service_token(),
        "SUPABASE_PUBLISHABLE_KEY": PUBLISHABLE_KEY,
        "TOSS_SECRET_KEY": SECRET_KEY,
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "error",
        "PYTHONIOENCODING": "utf-8",
    }


def events(stack: Stack, *arguments: str, status: int = 0) -> str:
    """What a command writes, to both outputs."""
    try:
        result = CliRunner().invoke(app, ["events", *arguments], env=environment(stack))
    finally:
        structlog.reset_defaults()
    assert result.exit_code == status, result.output
    return result.output


def answer(stack: Stack, *arguments: str, status: int = 0) -> Any:
    return json.loads(events(stack, *arguments, "--json", status=status))


def failed(stack: Stack, order: str) -> str:
    """The id of an event that fails because the application stored another amount."""
    row = {"order_id": order, "payment_key": f"placeholder-{order}", "order_name": "주문", "amount": 1}
    stack.data_api("POST", "payments", json={**row, "payment_status": "PENDING"}).raise_for_status()
    response = stack.post(payment(order, secret="ps_hidden", customerName="홍길동"))
    assert response.json()["event_status"] == "failed"
    return str(response.json()["event"])


def correct(stack: Stack, order: str) -> None:
    amount = stack.row(f"webhook_events?order_id=eq.{order}&select=change")["change"]["amount"]
    stack.data_api("PATCH", f"payments?order_id=eq.{order}", json={"amount": amount}).raise_for_status()


def test_a_failed_event_is_found_looked_at_and_replayed(stack: Stack) -> None:
    event = failed(stack, "주문-cli-1")
    listed = answer(stack, "list", "--order", "주문-cli-1", "--status", "failed", "--since", "2h")
    assert [(item["id"], item["reason"]) for item in listed["events"]] == [(event, "amount_mismatch")]
    assert listed["next"] is None
    assert "주문-cli-1" in events(stack, "list", "--with-reason", "amount_mismatch")

    shown = events(stack, "show", event)
    assert "amount_mismatch" in shown
    assert "[masked]" in shown
    assert "홍길동" not in shown
    assert "ps_hidden" not in shown

    still = answer(stack, "replay", "--order", "주문-cli-1", status=1)
    assert (still["applied"], still["events"][0]["status"]) == (False, "failed")
    correct(stack, "주문-cli-1")
    rehearsed = events(stack, "replay", event)
    assert "would become processed; payment PENDING → DONE, ₩" in rehearsed
    assert "Nothing was changed" in rehearsed
    assert stack.row(f"webhook_events?id=eq.{event}")["status"] == "failed"
    done = answer(stack, "replay", event, "--apply", "--actor", "김운영")
    amount = stack.row("payments?order_id=eq.주문-cli-1")["amount"]
    before, after = ({"status": status, "amount": str(amount), "currency": "KRW"} for status in ("PENDING", "DONE"))
    outcome = {"event": event, "outcome": "replayed", "status": "processed", "reason": None}
    assert done == {
        "applied": True,
        "has_more": False,
        "events": [{**outcome, "payment_before": before, "payment_after": after}],
    }
    assert stack.row("payments?order_id=eq.주문-cli-1")["payment_status"] == "DONE"
    assert [action["actor"] for action in answer(stack, "show", event)["actions"]] == ["김운영"]
    again = answer(stack, "replay", event, "--yes", status=1)
    assert [item["reason"] for item in again["events"]] == ["status_not_asked_for"]


def test_an_event_is_set_aside_for_a_reason(stack: Stack) -> None:
    event = failed(stack, "cli-2")
    assert "--reason" in events(stack, "ignore", event, status=2)
    assert "a reason of 1 to 500" in events(stack, "ignore", event, "--reason", " ", "--apply", status=2)
    assert "Nothing was changed" in events(stack, "ignore", event, "--reason", "환불함")
    assert "ignored" in events(stack, "ignore", event, "--reason", "환불함", "--apply")
    row = stack.row(f"webhook_events?id=eq.{event}")
    assert (row["status"], row["reason"], row["processed"]) == ("ignored", "operator", True)


def test_ignoring_can_be_undone(stack: Stack) -> None:
    event = failed(stack, "cli-3")
    events(stack, "ignore", event, "--reason", "환불함", "--apply")
    assert "Nothing was changed" in events(stack, "unignore", event)
    assert stack.row(f"webhook_events?id=eq.{event}")["status"] == "ignored"
    done = answer(stack, "unignore", event, "--apply", "--actor", "anna")
    (outcome,) = done["events"]
    assert (done["applied"], outcome["event"], outcome["outcome"]) == (True, event, "unignored")
    assert (outcome["status"], outcome["reason"]) == ("failed", "amount_mismatch")
    assert [action["actor"] for action in answer(stack, "show", event)["actions"]][-1] == "anna"
    assert "unchanged" in events(stack, "unignore", event, "--apply", status=1)


def test_the_cap_is_said_and_kept(stack: Stack) -> None:
    made = {failed(stack, f"cli-cap-{number}") for number in range(3)}
    first = answer(stack, "replay", "--since", "10m", "--with-reason", "amount_mismatch", "--limit", "1", status=1)
    assert (len(first["events"]), first["has_more"]) == (1, True)
    told = events(stack, "replay", *made, "--limit", "2", status=1)
    assert "More than 2 events match" in told


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["replay"], "at least one filter is needed"),
        (["replay", "not-an-id"], "is not an event's id"),
        (["replay", "--status", "lost"], "--status 'lost' is unknown"),
        (["replay", "--since", "yesterday"], "is not a time"),
        (["replay", "--order", "o", "--limit", "0"], "the limit should be between"),
        (["replay", "--order", "o", "--actor", " "], "an actor is needed"),
        (["list", "--after", "x"], "--after takes"),
        (["show", "11111111-1111-4111-8111-111111111111"], "there is no event"),
    ],
)
def test_wrong_use_says_what_was_expected(stack: Stack, arguments: list[str], problem: str) -> None:
    assert problem in events(stack, *arguments, status=2)


def test_nothing_found_is_not_an_error(stack: Stack) -> None:
    assert "No events match." in events(stack, "list", "--order", "no-such-order")
    assert answer(stack, "replay", "--order", "no-such-order")["events"] == []
    missing = answer(stack, "replay", "11111111-1111-4111-8111-111111111111", status=1)
    assert [item["outcome"] for item in missing["events"]] == ["missing"]


def test_pages_follow_each_other(stack: Stack) -> None:
    for number in range(3):
        stack.post(payment(f"cli-page-{number}"))
    first = answer(stack, "list", "--limit", "2")
    second = answer(stack, "list", "--limit", "2", "--after", first["next"])
    ids = [item["id"] for item in first["events"] + second["events"]]
    assert ids == [row["id"] for row in stack.rows("webhook_events?select=id&order=created_at.desc,id.desc&limit=4")]


def test_tail_shows_new_events_and_ends_with_ctrl_c(stack: Stack) -> None:
    arguments = ["tail", "--order", "cli-tail", "--since", "1m", "--json"]
    stack.post(payment("cli-tail"))
    with subprocess.Popen(  # noqa: S603 - arguments of this test
        [*COMMAND, *arguments], env=environment(stack), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["order_id"] == "cli-tail"
        stack.post(payment("cli-tail", status="CANCELED"))
        assert json.loads(process.stdout.readline())["order_id"] == "cli-tail"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert "Traceback" not in process.stderr.read()


def test_a_refused_delivery_is_found_with_its_body_masked(stack: Stack) -> None:
    forged = {"eventType": "PAYMENT_STATUS_CHANGED", "data": {"orderId": "cli-forged", "secret": "ps_forged"}}
    assert stack.post(forged, headers={}).status_code == 401

    def logged() -> list[Any]:
        return [item for item in answer(stack, "refused")["deliveries"] if "cli-forged" in str(item["body"])]

    end = time.monotonic() + 10
    while not logged() and time.monotonic() < end:
        time.sleep(0.2)  # the log is written once a second
    (found,) = logged()
    assert (found["reason"], found["http_status"]) == ("missing_signature", 401)
    assert found["event_type"] == "PAYMENT_STATUS_CHANGED"
    assert found["source_address"] == "127.0.0.1"
    assert found["body"]["data"]["secret"] == "[masked]"
    shown = events(stack, "refused", "--body", str(found["id"]))
    assert "cli-forged" in shown
    assert "ps_forged" not in shown
    assert "ps_forged" not in events(stack, "refused", "--json")
