"""The scripts of the local stack where something is missing or wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.local_stack import ROOT, Child, LocalSupabase, StackError
from tests.integration.conftest import SUPABASE_KEY
from tests.integration.sql_script import sql

SEED_VARIABLES = {
    "WEBHOOK_URL": "http://127.0.0.1:1/",
    "TOSS_API_URL": "http://127.0.0.1:1",
    "TOSS_SECRET_KEY": "test_sk_seed",
    "TOSS_SECURITY_KEY": "0" * 64,
}


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


def seed(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - arguments of these tests
        [sys.executable, "scripts/seed.py", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "SUPABASE_URL": url, "SUPABASE_SECRET_KEY": "x", **SEED_VARIABLES},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("url", "arguments", "message"),
    [
        ("https://abc.supabase.co", (), "SUPABASE_URL is abc.supabase.co: sample data is only for `make run`"),
        ("http://abc.supabase.co", (), "SUPABASE_URL should begin with https://"),
        ("", (), "SUPABASE_URL is missing"),
        ("http://127.0.0.1:1", (), "the Toss emulator at http://127.0.0.1:1/emulator/known failed"),
        ("http://127.0.0.1:1", ("--days", "0"), "should be a number from 1 to 60"),
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
