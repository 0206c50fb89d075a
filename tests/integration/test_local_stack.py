"""`make run`, scripts/sql.py and scripts/seed.py, as a person uses them."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from scripts.local_stack import LOOPBACK, ROOT, Child, LocalSupabase, StackError, free_port
from tests.integration.conftest import SUPABASE_KEY, Stack

START_SECONDS = 90.0


@contextmanager
def running(state: Path, port: int, supabase_port: int) -> Iterator[Child]:
    """The local stack, once it has printed how to use it."""
    child = Child(
        "make run",
        [sys.executable, "-m", "scripts.dev"],
        cwd=ROOT,
        env={
            **os.environ,
            "STATE_DIR": str(state),
            "PORT": str(port),
            "SUPABASE_PORT": str(supabase_port),
            "TOSS_PORT": str(free_port()),
            "SHOP_PORT": str(free_port()),
        },
        log=state / "dev.log",
        stop_signal=signal.SIGINT,
    )
    try:
        child.wait_until(lambda: "Ctrl-C stops everything." in (state / "dev.log").read_text(), START_SECONDS)
        yield child
    finally:
        child.stop()


def send(curl: str) -> httpx.Response:
    """What the printed curl command does."""
    words = shlex.split(curl)
    headers = dict(words[index + 1].split(": ", 1) for index, word in enumerate(words) if word == "-H")
    body = words[words.index("--data-binary") + 1]
    return httpx.post(words[2], content=body.encode(), headers=headers, trust_env=False)


def test_run_prints_a_delivery_that_works_and_keeps_its_data(tmp_path: Path) -> None:
    port, supabase_port = free_port(), free_port()
    with running(tmp_path, port, supabase_port) as stack:
        (curl,) = re.findall(r"^curl .*$", (tmp_path / "dev.log").read_text(), re.MULTILINE)
        first = send(curl)
        assert (first.status_code, first.json()["status"]) == (200, "created")
        assert send(curl).json() == {**first.json(), "status": "duplicate"}
        variables = dict(re.findall(r"^export (\w+)=(.*)$", (tmp_path / "env").read_text(), re.MULTILINE))
        page = httpx.get(f"{variables['OPS_URL']}/sign-in", trust_env=False)
        assert page.status_code == 200
        assert len(variables["OPS_PASSWORD"]) >= 12
        assert "결제하기" in httpx.get(variables["SHOP_URL"], trust_env=False).text
        env = dict(re.findall(r"^export (\w+)=(.*)$", (tmp_path / "env").read_text(), re.MULTILINE))
        assert env.keys() >= {
            "SUPABASE_URL",
            "SUPABASE_SECRET_KEY",
            "SUPABASE_PUBLISHABLE_KEY",
            "TOSS_API_URL",
            "TOSS_SECRET_KEY",
            "WEBHOOK_URL",
        }
        assert (tmp_path / "env").stat().st_mode & 0o077 == 0
        headers = {"apikey": env["SUPABASE_SECRET_KEY"]}
        for table in ("webhook_events", "payments"):
            rows = httpx.get(f"{env['SUPABASE_URL']}/rest/v1/{table}", headers=headers, trust_env=False).json()
            assert len(rows) == 1, table
        check_sql(env)
        os.kill(stack.pid, signal.SIGINT)
        assert stack.wait(20) == 0
    for closed in (port, supabase_port):
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://{LOOPBACK}:{closed}", trust_env=False)
    with running(tmp_path, port, supabase_port):
        assert send(curl).json()["status"] == "duplicate"


def child_of(parent: int, program: str) -> int:
    """The process id of a program that a process has started."""
    listed = subprocess.run(
        ["/bin/ps", "-A", "-ww", "-o", "pid=,ppid=,command="], capture_output=True, text=True, check=True, timeout=20
    )
    rows = [row.split(None, 2) for row in listed.stdout.splitlines()]
    (found,) = (int(row[0]) for row in rows if int(row[1]) == parent and program in row[2])
    return found


def test_run_starts_a_data_api_that_died_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALERT_WEBHOOK_URL", "http://127.0.0.1:9/alerts")
    with running(tmp_path, free_port(), free_port()) as stack:
        log = tmp_path / "dev.log"
        (curl,) = re.findall(r"^curl .*$", log.read_text(), re.MULTILINE)
        assert send(curl).json()["status"] == "created"
        assert "export ALERT_WEBHOOK_URL=http://127.0.0.1:9/alerts\n" in (tmp_path / "env").read_text()
        os.kill(child_of(stack.pid, "@supabase/lite"), signal.SIGKILL)
        stack.wait_until(lambda: "✓ Supabase Lite, again" in log.read_text(), START_SECONDS)
        assert "✗ Supabase Lite ended with signal SIGKILL" in log.read_text()
        assert send(curl).json()["status"] == "duplicate"


def sql(env: dict[str, str], *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - arguments of these tests
        [sys.executable, "scripts/sql.py", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "SUPABASE_URL": env["SUPABASE_URL"], "SUPABASE_SECRET_KEY": env["key"]},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def check_sql(variables: dict[str, str]) -> None:
    """The query of the SQL Editor works, exact and in Korean; nothing can be changed, and only by the secret key."""
    env = {**variables, "key": variables["SUPABASE_SECRET_KEY"]}
    shown = sql(env, "SELECT * FROM webhook_events ORDER BY created_at DESC LIMIT 10;")
    assert re.search(r"^row 1$", shown.stdout, re.MULTILINE), shown.stderr
    assert re.search(r"^  event_type +PAYMENT_STATUS_CHANGED$", shown.stdout, re.MULTILINE)
    assert "토스 티셔츠" in shown.stdout
    query = "SELECT order_name, amount, 12345678901234567890.10 AS n FROM payments -- all of them"
    assert "12345678901234567890.10" in sql(env, query).stdout
    (row,) = json.loads(sql(env, "--json", stdin=query).stdout)
    assert (list(row), row["amount"]) == (["order_name", "amount", "n"], 9900)
    assert sql(env, "SELECT 1 FROM payments WHERE false").stdout == "no rows\n"
    for statement, message in (
        ("DELETE FROM payments", "expected one query (SELECT, WITH, VALUES, TABLE), not: DELETE"),
        ("WITH gone AS (DELETE FROM payments RETURNING id) SELECT * FROM gone", "data-modifying"),
        ("SELECT 1) r; DELETE FROM payments; SELECT (1", "DELETE is not allowed in a non-volatile function"),
        ("SELECT nothing", 'column "nothing" does not exist'),
    ):
        refused = sql(env, statement)
        assert refused.returncode in (1, 2)
        assert message in refused.stderr
    closed = sql({**env, "key": env["SUPABASE_PUBLISHABLE_KEY"]}, "SELECT 1")
    assert "permission denied" in closed.stderr
    assert len(json.loads(sql(env, "--json", "SELECT * FROM payments").stdout)) == 1


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"SUPABASE_URL": "", "key": "x"}, "SUPABASE_URL is missing. `make run` writes it"),
        ({"SUPABASE_URL": "http://127.0.0.1:1", "key": ""}, "SUPABASE_SECRET_KEY is missing. `make run` writes it"),
        ({"SUPABASE_URL": "http://abc.supabase.co", "key": "x"}, "SUPABASE_URL should begin with https://"),
        ({"SUPABASE_URL": "http://127.0.0.1:1", "key": "x"}, "is `make run` running?"),
    ],
)
def test_sql_refuses_clearly(env: dict[str, str], message: str) -> None:
    result = sql(env, "SELECT 1")
    assert result.returncode in (1, 2)
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_sql_says_when_a_database_is_not_the_local_one(supabase: LocalSupabase) -> None:
    result = sql({"SUPABASE_URL": supabase.url, "key": SUPABASE_KEY}, "SELECT 1")
    assert (result.returncode, "only the project of `make run` has it" in result.stderr) == (1, True), result.stderr


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"PORT": "http"}, "PORT must be a port between 1 and 65535, not 'http'"),
        ({"PORT": "9", "SUPABASE_PORT": "9"}, "PORT and SUPABASE_PORT are both 9: they must differ"),
    ],
)
def test_a_wrong_port_is_one_clear_line(tmp_path: Path, variables: dict[str, str], message: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "scripts.dev"],
        cwd=ROOT,
        env={**os.environ, "STATE_DIR": str(tmp_path), **variables},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 1
    assert message in result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr


@pytest.mark.parametrize("name", ["PORT", "SUPABASE_PORT", "TOSS_PORT", "SHOP_PORT"])
def test_a_taken_port_is_named(tmp_path: Path, stack: Stack, name: str) -> None:
    taken = stack.service_url.rpartition(":")[2]
    free = {variable: str(free_port()) for variable in ("PORT", "SUPABASE_PORT", "TOSS_PORT", "SHOP_PORT")}
    result = subprocess.run(
        [sys.executable, "-m", "scripts.dev"],
        cwd=ROOT,
        env={**os.environ, "STATE_DIR": str(tmp_path), **free, name: taken},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 1
    assert f"{name}: port {taken} is taken" in result.stdout + result.stderr


def seed(url: str, *arguments: str, key: str = SUPABASE_KEY) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - arguments of these tests
        [sys.executable, "scripts/seed.py", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "SUPABASE_URL": url, "SUPABASE_SECRET_KEY": key},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_seed_makes_every_status_and_method_once(stack: Stack, supabase: LocalSupabase) -> None:
    first = seed(supabase.url, "--payments", "30", "--subscriptions", "4", "--seed", "7")
    assert first.returncode == 0, first.stderr
    payments = stack.rows("payments?order_id=like.seed-7-*")
    assert len(payments) == 30
    assert {row["payment_status"] for row in payments} == {
        *("DONE", "CANCELED", "PARTIAL_CANCELED", "ABORTED", "EXPIRED"),
        *("READY", "IN_PROGRESS", "WAITING_FOR_DEPOSIT", "FAILED"),
    }
    assert {row["payment_method"] for row in payments} >= {"카드", "가상계좌", "간편결제", "휴대폰", "계좌이체"}
    subscriptions = stack.rows("subscriptions?customer_key=like.seed-customer-7-*")
    assert sorted(row["status"] for row in subscriptions) == ["ACTIVE", "ACTIVE", "ACTIVE", "CANCELED", "CANCELED"]
    assert {row["proof"] for row in stack.rows("webhook_events?order_id=like.seed-7-*")} == {"operator"}

    again = seed(supabase.url, "--payments", "30", "--subscriptions", "4", "--seed", "7")
    assert "0 created" in again.stdout
    unchanged = stack.rows("payments?order_id=like.seed-7-*")
    assert sorted(unchanged, key=lambda row: str(row["id"])) == sorted(payments, key=lambda row: str(row["id"]))


@pytest.mark.parametrize(
    ("url", "arguments", "message"),
    [
        ("https://abc.supabase.co", (), "To put test data there: --allow-remote abc.supabase.co"),
        ("https://abc.supabase.co", ("--allow-remote", "other.supabase.co"), "which is not this machine"),
        ("http://abc.supabase.co", (), "SUPABASE_URL should begin with https://"),
        ("", (), "SUPABASE_URL is missing"),
        ("http://127.0.0.1:1", ("--payments", "1"), "failed: no answer from the Data API"),
        ("http://127.0.0.1:1", ("--payments", "-1"), "should be a number from 0"),
    ],
)
def test_seed_refuses_clearly(url: str, arguments: tuple[str, ...], message: str) -> None:
    result = seed(url, *arguments)
    assert result.returncode in (1, 2)
    assert message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo out of luck; exit 3", r"the thing could not be done[\s\S]*out of luck"),
        ("sleep 60", "the program did not end within 1 s"),
    ],
)
def test_a_program_that_does_not_end_well_is_told_with_its_words(tmp_path: Path, script: str, message: str) -> None:
    child = Child("the program", ["/bin/sh", "-c", script], cwd=tmp_path, log=tmp_path / "log")
    with pytest.raises(StackError, match=message):
        child.finish(1, "the thing could not be done")
    assert child.exit_code() is not None


def test_a_program_that_ends_well_raises_nothing(tmp_path: Path) -> None:
    Child("the program", ["/bin/sh", "-c", "exit 0"], cwd=tmp_path, log=tmp_path / "log").finish(20, "no")
