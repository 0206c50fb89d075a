"""Every command against everything that can be wrong around it: one line that names the setting, and no traceback."""

import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from supatoss.cli import listen, main
from supatoss.cli.init import setup
from tests.commands.data_api import HTML, nobody, serving, silence
from tests.commands.lines import LIGHT, commands, line
from tests.support import SECRET_KEY

KEY = "sb_secret_made_up_for_tests"
ASKING = (*LIGHT, "events tail", "reconcile")
"""They ask the Data API before anything else."""

ELSEWHERE = re.compile(r"httpx|httpcore|postgrest|pydantic|Traceback|\b[A-Z][A-Za-z]+(Error|Exception|Timeout)\b")
"""Words of libraries."""


@pytest.fixture(scope="module")
def addresses() -> Iterator[dict[str, str]]:
    """Where the Data API would be, by what is wrong there."""
    with ExitStack() as stack:
        refusal = b'{"message": "Invalid API key", "hint": "Double check it."}'
        yield {
            "no address": "not an address",
            "nobody": stack.enter_context(nobody()),
            "silence": stack.enter_context(silence()),
            "wrong key": stack.enter_context(serving(401, refusal)),
            "page of 500": stack.enter_context(serving(500, HTML, "text/html")),
            "page of 200": stack.enter_context(serving(200, HTML, "text/html")),
            "no JSON": stack.enter_context(serving(200, b"{", "application/json")),
        }


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without .env, with a file to sign; standard input is empty."""
    (tmp_path / "body.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    return tmp_path


def run(command: str, place: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    status = main(line(command, file=str(place / "body.json"), folder=str(place)))
    out, err = capsys.readouterr()
    return status, out, err


def test_every_command_has_a_line() -> None:
    for command in commands():
        assert line(command, file="f", folder="f")


@pytest.mark.parametrize("command", commands())
def test_without_settings(
    command: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "environ", {"PATH": os.defpath})
    status, out, err = run(command, place, capsys)
    assert status in {"uninstall": (0,), "emulator": (3,)}.get(
        command, (1, 2)
    )  # what is told without a database; local
    assert not ELSEWHERE.search(out + err)
    if command in ASKING:
        assert (status, out) == (2, "")
        assert "SUPABASE_URL is missing" in err
        assert "SUPABASE_SECRET_KEY is missing" in err
    if command in LIGHT:
        assert "TOSS_SECRET_KEY" not in err


EXPECTED = {
    "no address": (2, "SUPABASE_URL should be an address"),
    "nobody": (3, "nothing listens at SUPABASE_URL: connection refused"),
    "silence": (3, "SUPABASE_URL took too long to answer"),
    "wrong key": (3, "the gateway before the Data API does not accept the key: HTTP 401"),
    "page of 500": (3, "HTTP 500"),
    "page of 200": (1, "what answers at SUPABASE_URL is not a Supabase project: it answers with a web page"),
    "no JSON": (1, "answered in an unexpected form"),
}


@pytest.mark.parametrize("trouble", EXPECTED)
@pytest.mark.parametrize("command", [command for command in commands() if command not in ("serve", "worker")])
def test_in_trouble(
    command: str,
    trouble: str,
    place: Path,
    addresses: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    variables = {
        "PATH": os.defpath,
        "SUPABASE_URL": addresses[trouble],
        "SUPABASE_SECRET_KEY": KEY,
        "SUPABASE_TIMEOUT_SECONDS": "0.2",
        "TOSS_SECRET_KEY": SECRET_KEY,
        "TOSS_API_URL": addresses["nobody"],
    }
    monkeypatch.setattr(os, "environ", variables)
    monkeypatch.setattr(listen, "STORE_SECONDS", 0.2)
    monkeypatch.setattr(setup, "ANSWER_SECONDS", 0.2)
    status, out, err = run(command, place, capsys)
    assert not ELSEWHERE.search(out + err)
    assert KEY not in out + err
    if command in ASKING:
        expected, said = EXPECTED[trouble]
        assert (status, said in err) == (expected, True)
        assert trouble == "no address" or f"SUPABASE_URL is {addresses[trouble]}" in err
    elif command == "doctor":
        assert status == 1
        assert trouble == "no address" or addresses[trouble] in out
    else:
        assert status in (0, 1, 2, 3)


def start(
    *arguments: str, environment: dict[str, str] | None = None, **options: object
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload,no-any-return]  # noqa: S603 - arguments of these tests
        [sys.executable, "-m", "supatoss", *arguments],
        env={"PATH": os.defpath, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


@pytest.mark.parametrize("arguments", [("events", "list"), ("events", "list", "--json"), ("--help",), ("sign", "-")])
def test_a_full_disk(arguments: tuple[str, ...]) -> None:
    with serving(200) as url, Path("/dev/full").open("w") as full:
        environment = {"SUPABASE_URL": url, "SUPABASE_SECRET_KEY": KEY, "TOSS_SECRET_KEY": SECRET_KEY}
        result = start(*arguments, environment=environment, stdout=full)
    assert (result.returncode, result.stderr) == (1, "supatoss: can't write the output: No space left on device\n")


@pytest.mark.parametrize("arguments", [("events", "list"), ("events", "list", "--json"), ("--help",)])
def test_a_reader_that_has_gone(arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with serving(200) as url, os.fdopen(writing, "w") as pipe:
        result = start(*arguments, environment={"SUPABASE_URL": url, "SUPABASE_SECRET_KEY": KEY}, stdout=pipe)
    assert (result.returncode, result.stderr) == (1, "")


def test_output_that_is_closed_and_one_that_is_not_utf_8() -> None:
    with serving(200) as url:
        environment = {"SUPABASE_URL": url, "SUPABASE_SECRET_KEY": KEY}
        closed = start("events", "list", environment=environment, preexec_fn=lambda: os.close(1))
        latin = start(
            "events", "list", environment={**environment, "PYTHONIOENCODING": "latin-1"}, stdout=subprocess.PIPE
        )
    assert (closed.returncode, closed.stderr) == (0, "")
    assert (latin.returncode, latin.stderr) == (0, "")
    assert "\\ud1a0\\uc2a4" in latin.stdout


def test_ctrl_c() -> None:
    with silence() as url:
        code = (
            "import os, signal, sys, threading; from supatoss.cli import main;"
            "threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start();"
            "sys.exit(main(['events', 'list']))"
        )
        environment = {"SUPABASE_URL": url, "SUPABASE_SECRET_KEY": KEY, "SUPABASE_TIMEOUT_SECONDS": "9"}
        result = subprocess.run(  # noqa: S603 - its own code
            [sys.executable, "-c", code],
            env={"PATH": os.defpath, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert result.returncode == 130
    assert not ELSEWHERE.search(result.stderr)
