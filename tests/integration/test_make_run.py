"""`make run` as a person uses it: what it prints, its commands, its sample week, and where it writes."""

import datetime as dt
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
import pytest
from typer.testing import CliRunner

from scripts.local_stack import LOOPBACK, ROOT, Child, free_port
from supatoss.cli import app
from supatoss.toss.fields import SEOUL
from tests.integration.sql_script import check_sql

START_SECONDS = 90.0


@dataclass
class MakeRun:
    """A running `make run`, with a home of its own."""

    child: Child
    state: Path
    home: Path
    kept: dict[str, Any] = field(default_factory=dict)
    """The delivery of the first run."""

    unknown: set[str] = field(default_factory=set)
    """Orders that were delivered, and that the emulator does not know."""

    @property
    def log(self) -> str:
        return (self.state / "dev.log").read_text()

    @property
    def env(self) -> dict[str, str]:
        words = (shlex.split(line)[1] for line in (self.state / "env").read_text().splitlines())
        return dict(word.split("=", 1) for word in words)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command of ours, as a person who read `.local/env` runs it."""
        return subprocess.run(  # noqa: S603 - arguments of these tests
            [sys.executable, *arguments],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "HOME": str(self.home), **self.env},
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )

    def supatoss(self, *arguments: str, status: int = 0) -> str:
        """One of our commands, inside this process: its output, problems included if it fails."""
        done = CliRunner().invoke(app, arguments, env=self.env)
        assert done.exit_code == status, done.output
        return done.output if status else done.stdout

    def rows(self, path: str) -> list[dict[str, Any]]:
        env = self.env
        headers = {"apikey": env["SUPABASE_SECRET_KEY"]}
        answer = httpx.get(f"{env['SUPABASE_URL']}/rest/v1/{path}", headers=headers, trust_env=False)
        answer.raise_for_status()
        return cast("list[dict[str, Any]]", answer.json())

    def deliver(self, delivery: Mapping[str, Any]) -> dict[str, Any]:
        """Sends what `trigger --dry-run --json` has printed."""
        url, body = self.env["WEBHOOK_URL"], delivery["body"].encode()
        self.unknown.add(json.loads(body)["data"]["orderId"])
        answer = httpx.post(url, content=body, headers=delivery["headers"], trust_env=False, timeout=30)
        return {"http_status": answer.status_code, **answer.json()}

    def sample(self) -> dict[str, Any]:
        """A delivery of a card payment that is DONE."""
        printed = self.supatoss("trigger", "PAYMENT_STATUS_CHANGED", "--dry-run", "--json")
        return cast("dict[str, Any]", json.loads(printed))


@contextmanager
def running(state: Path, port: int, supabase_port: int, **variables: str) -> Iterator[MakeRun]:
    """The local stack, once it has printed how to use it."""
    home = state / "home"
    home.mkdir(exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOSS_")}
    ports = {"TOSS_PORT": str(free_port()), "SHOP_PORT": str(free_port())}
    child = Child(
        "make run",
        [sys.executable, "-m", "scripts.dev"],
        cwd=ROOT,
        env={
            **environment,
            **ports,
            "HOME": str(home),
            "STATE_DIR": str(state),
            "PORT": str(port),
            "SUPABASE_PORT": str(supabase_port),
            **variables,
        },
        log=state / "dev.log",
        stop_signal=signal.SIGINT,
    )
    try:
        child.wait_until(lambda: "Ctrl-C stops everything." in (state / "dev.log").read_text(), START_SECONDS)
        yield MakeRun(child, state, home)
    finally:
        child.stop()


@pytest.fixture(scope="module")
def make_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeRun]:
    """A second run, beside what the first one left. The tests only add to it."""
    state, ports = tmp_path_factory.mktemp("run"), (free_port(), free_port())
    with running(state, *ports) as first:
        kept = first.sample()
        assert first.deliver(kept)["status"] == "created"
        first.supatoss("emulator", "pay", "order-kept")
        os.kill(first.child.pid, signal.SIGINT)
        assert first.child.wait(40) == 0
    for closed in ports:
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://{LOOPBACK}:{closed}", trust_env=False)
    with running(state, *ports, TOSS_SECRET_KEY="test_sk_mine1234") as second:
        second.kept, second.unknown = kept, first.unknown
        yield second


def test_a_second_run_has_the_data_of_the_first(make_run: MakeRun) -> None:
    assert make_run.deliver(make_run.kept)["status"] == "duplicate"
    assert "order-kept" in make_run.supatoss("emulator")
    assert len(make_run.rows("webhook_events")) == 2


def test_it_says_what_to_do_next(make_run: MakeRun) -> None:
    banner = make_run.log[make_run.log.index("1. Open") :]
    assert re.match(r"1\. .*/ops +password: .{12,}\n2\. .*shop: .*\n3\. .*supatoss trigger", banner)
    env = make_run.env
    assert httpx.get(f"{env['OPS_URL']}/sign-in", trust_env=False).status_code == 200
    assert "결제하기" in httpx.get(env["SHOP_URL"], trust_env=False).text
    assert (make_run.state / "env").stat().st_mode & 0o077 == 0


def test_queries_run_as_in_the_sql_editor(make_run: MakeRun) -> None:
    check_sql(make_run.env, json.loads(make_run.kept["body"])["data"]["orderId"])


def test_run_says_what_it_does_with_a_key_of_the_environment(make_run: MakeRun) -> None:
    assert "! TOSS_SECRET_KEY from your environment (…1234) is ignored: the emulator has its own key" in make_run.log
    assert make_run.env["TOSS_SECRET_KEY"] != "test_sk_mine1234"


def test_the_log_of_a_pipe_is_json(make_run: MakeRun) -> None:
    event = make_run.deliver(make_run.sample())["event"]
    make_run.child.wait_until(lambda: event in make_run.log, START_SECONDS)
    (line,) = (line for line in make_run.log.splitlines() if event in line)
    assert json.loads(line)["payment_status"] == "DONE"


def test_nothing_of_trigger_waits_for_toss_or_differs_from_it(make_run: MakeRun) -> None:
    make_run.supatoss("trigger", "--all")
    make_run.supatoss("trigger", "DEPOSIT_CALLBACK", "--signed", "none")
    assert make_run.rows("webhook_events?status=in.(pending,failed)") == []
    today = f"{dt.datetime.now(SEOUL):%Y-%m-%d}"
    compared = make_run.supatoss("reconcile", "--day", today, status=1)
    assert set(re.findall(r"order-\w+", compared)) == make_run.unknown
    assert "no differences" in make_run.supatoss("reconcile", "--settlements", "--day", today)
    forgery = ("trigger", "PAYMENT_STATUS_CHANGED", "--signed", "none", "--unknown-to-toss")
    assert make_run.supatoss(*forgery, status=1) == "PAYMENT_STATUS_CHANGED  401 Invalid signature\n"


def test_a_story_is_one_command(make_run: MakeRun) -> None:
    assert "WAITING_FOR_DEPOSIT" in make_run.supatoss("emulator", "account", "order-story", "--amount", "50000")
    told = make_run.supatoss("emulator", "deposit")
    assert told.startswith("order-story  ₩50,000  가상계좌  DONE\n")
    assert re.search(r"PAYMENT_STATUS_CHANGED → http://127\.0\.0\.1:\d+/webhooks/toss  200\n", told)
    (row,) = make_run.rows("payments?order_id=eq.order-story")
    assert row["payment_status"] == "DONE"
    again = make_run.supatoss("emulator", "deposit", "order-story", status=1)
    assert "deposit does not fit order-story, which is DONE" in again


def test_seed_makes_a_week_that_toss_agrees_with(make_run: MakeRun) -> None:
    first = make_run.command("scripts/seed.py", "--seed", "7")
    assert first.returncode == 0, first.stderr
    orders = make_run.rows("payments?order_id=like.*-7-*&select=order_id,payment_status,payment_method,currency")
    assert {row["payment_status"] for row in orders} == {
        *("PENDING", "DONE", "CANCELED", "PARTIAL_CANCELED", "ABORTED", "EXPIRED", "WAITING_FOR_DEPOSIT")
    }
    assert {row["payment_method"] for row in orders} >= {"카드", "가상계좌", "간편결제", "휴대폰", "계좌이체"}
    events = make_run.rows(
        "webhook_events?payload->>eventType=not.is.null&select=created_at,status,reason,delivery_count"
    )
    days = {dt.datetime.fromisoformat(row["created_at"]).astimezone(SEOUL).date() for row in events}
    assert len(days) >= 7
    assert {row["reason"] for row in events if row["status"] == "failed"} >= {
        *("amount_mismatch", "double_charge", "malformed", "unknown_status")
    }
    assert sum(row["delivery_count"] for row in events) > len(events)
    statuses = {row["status"] for row in make_run.rows("subscriptions?customer_key=like.customer-*")}
    assert statuses == {"ACTIVE", "CANCELED"}
    assert {row["kind"] for row in make_run.rows("settlements")} == {"settlement", "payout"}
    health = make_run.rows("webhook_health")[0]
    assert health["last_reconciled_at"] is not None
    refused = make_run.supatoss("events", "refused", "--json")
    assert {"invalid_signature", "acknowledged"} <= set(re.findall(r'"reason": "(\w+)"', refused))

    counts = {table: len(make_run.rows(table)) for table in ("webhook_events", "payments", "settlements")}
    again = make_run.command("scripts/seed.py", "--seed", "7")
    assert re.search(r"until now: \d+ already stored \(", again.stdout), again.stdout
    assert {table: len(make_run.rows(table)) for table in counts} == counts


def test_nothing_is_written_to_the_home_folder(make_run: MakeRun) -> None:
    assert list(make_run.home.iterdir()) == []


def child_of(parent: int, program: str) -> int:
    """The process id of a program that a process has started."""
    listed = subprocess.run(
        ["/bin/ps", "-A", "-ww", "-o", "pid=,ppid=,command="], capture_output=True, text=True, check=True, timeout=20
    )
    rows = [row.split(None, 2) for row in listed.stdout.splitlines()]
    (found,) = (int(row[0]) for row in rows if int(row[1]) == parent and program in row[2])
    return found


def test_run_starts_a_data_api_that_died_again(make_run: MakeRun) -> None:
    delivery = make_run.sample()
    assert make_run.deliver(delivery)["status"] == "created"
    os.kill(child_of(make_run.child.pid, "@supabase/lite"), signal.SIGKILL)
    make_run.child.wait_until(lambda: "✓ Supabase Lite, restarted" in make_run.log, START_SECONDS)
    assert "✗ Supabase Lite ended with signal SIGKILL" in make_run.log
    # As Toss would: 503 while the new process begins.
    make_run.child.wait_until(lambda: make_run.deliver(delivery).get("status") == "duplicate", START_SECONDS)


def test_all_taken_ports_are_named_with_free_ones(tmp_path: Path, make_run: MakeRun) -> None:
    """As in a second checkout."""
    service, toss = (urlsplit(make_run.env[name]).port for name in ("WEBHOOK_URL", "TOSS_API_URL"))
    free = {variable: str(free_port()) for variable in ("SUPABASE_PORT", "SHOP_PORT")}
    result = subprocess.run(
        [sys.executable, "-m", "scripts.dev"],
        cwd=ROOT,
        env={**os.environ, "STATE_DIR": str(tmp_path), **free, "PORT": str(service), "TOSS_PORT": str(toss)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 1
    said = result.stdout + result.stderr
    assert f"PORT: port {service} is taken by another program; TOSS_PORT: port {toss} is taken" in said
    assert re.search(r"choose another: make run PORT=\d+ TOSS_PORT=\d+$", said.strip())
