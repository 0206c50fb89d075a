"""`supatoss trigger` against the running service: what it sends is stored, and what it says is what happened."""

import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from scripts.local_stack import LOOPBACK, ROOT, Child, free_port
from supatoss.cli import app
from supatoss.toss.events import TYPES
from tests.stories.conftest import World
from tests.support import SECRET_KEY, SECURITY_KEY


def trigger(world: World | None, *arguments: str, **environment: str | None) -> Result:
    names = {
        "TOSS_SECRET_KEY": SECRET_KEY,
        "TOSS_SECURITY_KEY": SECURITY_KEY,
        "WEBHOOK_URL": f"{world.service_url}/webhooks/toss" if world else None,
        "PORT": None,
        **environment,
    }
    return CliRunner().invoke(app, ["trigger", *arguments], env=names)


def lines(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_every_event_of_the_catalogue_is_stored(world: World) -> None:
    result = trigger(world, "--all", "--json")
    assert result.exit_code == 0, result.output
    answers = lines(result)
    assert [answer["event_type"] for answer in answers] == list(TYPES)
    stored = {answer["answer"]["event"]: answer["event_type"] for answer in answers}
    rows = world.rows(f"webhook_events?id=in.({','.join(stored)})")
    assert {row["id"]: row["event_type"] for row in rows} == stored
    assert {row["proof"] for row in rows} <= {"signature", "toss_api"}
    assert [answer["event_type"] for answer in answers if answer["signed"] == "v1"] == [
        "payout.changed",
        "seller.changed",
    ]
    assert "failed" not in {answer["answer"]["event_status"] for answer in answers}


def test_the_body_is_changed_and_its_row_shows_it(world: World) -> None:
    changes = (
        "--set",
        "data.orderId=cli-set-1",
        "--set",
        "data.totalAmount=100",
        "--set",
        "data.orderName=커피 외 1건",
    )
    result = trigger(world, "PAYMENT_STATUS_CHANGED", *changes)
    assert result.exit_code == 0
    assert "PAYMENT_STATUS_CHANGED  200 created, processed, event " in result.stdout
    row = world.order("cli-set-1")
    assert row is not None
    assert (row["amount"], row["order_name"], row["payment_status"]) == (100, "커피 외 1건", "DONE")


def test_events_named_together_are_about_one_order_and_repeats_are_duplicates(world: World) -> None:
    result = trigger(world, "VIRTUAL_ACCOUNT_ISSUED", "PAYMENT_STATUS_CHANGED", "--repeat", "3", "--shuffle", "--json")
    answers = lines(result)
    assert result.exit_code == 0
    assert sorted(answer["answer"]["status"] for answer in answers) == ["created"] * 2 + ["duplicate"] * 4
    assert {(answer["event_type"], answer["retried_count"]) for answer in answers} == {
        (name, count) for name in ("VIRTUAL_ACCOUNT_ISSUED", "PAYMENT_STATUS_CHANGED") for count in range(3)
    }
    events = world.rows(f"webhook_events?id=in.({','.join({answer['answer']['event'] for answer in answers})})")
    assert len({row["order_id"] for row in events}) == 1
    assert [row["delivery_count"] for row in events] == [3, 3]
    paid = world.order(events[0]["order_id"])
    assert paid is not None
    assert paid["payment_status"] == "DONE"


def test_an_unsigned_event_of_a_payment_that_toss_does_not_know_is_refused(world: World) -> None:
    result = trigger(world, "payment_status_changed", "--signed", "none")
    assert (result.exit_code, result.stdout) == (1, "PAYMENT_STATUS_CHANGED  401 Invalid signature\n")


def test_an_unsigned_event_of_a_payment_that_toss_knows_is_believed(world: World) -> None:
    key = world.pay("cli-known")
    about = (f"data.paymentKey={key}", "data.orderId=cli-known", "data.totalAmount=10000", "data.secret=null")
    changes = [argument for change in about for argument in ("--set", change)]
    result = trigger(world, "PAYMENT_STATUS_CHANGED", "--signed", "none", "--json", *changes)
    assert lines(result)[0]["answer"]["event_status"] == "processed"


def test_the_default_target_is_the_port_of_this_machine_s_service(world: World) -> None:
    port = world.service_url.rsplit(":", 1)[1]
    assert trigger(None, "METHOD_UPDATED", PORT=port).exit_code == 0


def test_a_service_that_is_not_there_ends_with_3_at_once() -> None:
    result = trigger(None, "METHOD_UPDATED", "--repeat", "50", PORT=str(free_port()))
    assert result.exit_code == 3
    assert result.stderr.count("nothing listens at") == 1


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        (("NOTHING",), {}, "'NOTHING' is not in the catalogue; it has: PAYMENT_STATUS_CHANGED, DEPOSIT_CALLBACK"),
        ((), {}, "name an event, or --all"),
        (("--all", "METHOD_UPDATED"), {}, "do not name any"),
        (("METHOD_UPDATED", "--set", "data"), {}, "should be path=value, such as data.totalAmount=100"),
        (("METHOD_UPDATED", "--signed", "sha"), {}, "'hex', 'v1', 'none'"),
        (("METHOD_UPDATED", "--repeat", "0"), {}, "greater than or equal to 1"),
        (("METHOD_UPDATED", "--to", "127.0.0.1:8080"), {}, "--to should be a URL such as http://127.0.0.1:8080"),
        (("METHOD_UPDATED", "--to", "http://example.com/"), {}, "should begin with https://"),
        (("METHOD_UPDATED",), {"WEBHOOK_URL": "https://example.com/w"}, "To send there: --to https://example.com/w"),
        (("METHOD_UPDATED",), {"TOSS_SECRET_KEY": None}, "TOSS_SECRET_KEY is missing"),
        (("METHOD_UPDATED", "--signed", "v1"), {"TOSS_SECURITY_KEY": None}, "TOSS_SECURITY_KEY is missing"),
        (("METHOD_UPDATED",), {"TOSS_SECRET_KEY": "live_sk_of_a_merchant"}, "to send them anyway: --live"),
    ],
)
def test_wrong_use_names_what_was_expected(
    arguments: tuple[str, ...], environment: dict[str, str | None], expected: str
) -> None:
    result = trigger(None, *arguments, **{"PORT": str(free_port()), **environment})
    assert result.exit_code == 2
    assert expected in " ".join(result.stderr.replace("│", " ").split())
    assert not result.stdout


def test_nothing_is_sent_in_a_dry_run_and_a_live_key_may_make_one() -> None:
    result = trigger(
        None, "payout.changed", "--dry-run", PORT=str(free_port()), TOSS_SECRET_KEY="live_sk_of_a_merchant"
    )
    assert result.exit_code == 0
    assert "tosspayments-webhook-signature: v1:" in result.stdout
    assert '"value":125000.0' in result.stdout
    (shown,) = lines(trigger(None, "payout.changed", "--dry-run", "--json", PORT=str(free_port())))
    assert json.loads(shown["body"])["eventType"] == "payout.changed"


def test_the_list_shows_every_event_without_keys() -> None:
    result = trigger(None, "--list", TOSS_SECRET_KEY=None)
    assert all(name in result.stdout for name in TYPES)
    rows = json.loads(trigger(None, "--list", "--json", TOSS_SECRET_KEY=None).stdout)
    assert [row["event_type"] for row in rows] == list(TYPES)


def test_ctrl_c_ends_it_while_it_waits_for_an_answer(tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as silent:
        child = Child(
            "trigger",
            [
                sys.executable,
                "-m",
                "supatoss",
                "trigger",
                "METHOD_UPDATED",
            ],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "TOSS_SECRET_KEY": SECRET_KEY, "PORT": str(silent.getsockname()[1])},
            log=tmp_path / "trigger.log",
        )
        try:
            connection, _ = silent.accept()
            with connection:
                assert connection.recv(4096).startswith(b"POST /webhooks/toss ")
                os.kill(child.pid, signal.SIGINT)
                assert child.wait(15) == 130
            assert "Traceback" not in (tmp_path / "trigger.log").read_text()
        finally:
            child.stop()
