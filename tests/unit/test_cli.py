"""The `supatoss` command itself: what holds for every command, in processes of their own."""

import asyncio
import json
import os
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from supatoss import __version__
from supatoss.cli import Commands, app
from supatoss.cli.output import ExitStatus, OutputMode, exit_status, plain, print_json, print_table
from supatoss.cli.session import run_async
from supatoss.errors import ConfigurationError, StoreRefused, StoreUnavailable, SupatossError


def supatoss(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - arguments of these tests
        [sys.executable, "-m", "supatoss", *arguments],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_version() -> None:
    result = supatoss("--version")
    assert (result.returncode, result.stdout) == (0, f"{__version__}\n")


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_a_process_without_settings_says_what_is_missing(command: str) -> None:
    result = supatoss(command)
    assert result.returncode == 2
    assert result.stderr.startswith("supatoss cannot start:\n  SUPABASE_URL is missing")
    assert "Traceback" not in result.stderr
    assert not result.stdout


def test_an_unknown_command_is_refused() -> None:
    result = supatoss("nothing")
    assert result.returncode == 2
    assert "No such command 'nothing'" in result.stderr


def test_no_command_shows_the_help() -> None:
    result = supatoss()
    assert result.returncode == 2
    assert "worker" in result.stdout + result.stderr


def test_the_help_needs_neither_settings_nor_the_service() -> None:
    code = "import sys; import supatoss.cli; print(*sorted(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)  # noqa: S603
    assert {"supabase", "pydantic", "uvicorn", "starlette", "rich.table"} & set(result.stdout.split()) == set()


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConfigurationError(["PORT is not a number."]), ExitStatus.MISUSE),
        (StoreUnavailable("no answer from the Data API: ConnectError"), ExitStatus.UNREACHABLE),
        (StoreRefused("the Data API refuses the call: PGRST202"), ExitStatus.FOUND),
        (KeyboardInterrupt(), ExitStatus.INTERRUPTED),
    ],
)
def test_an_error_ends_a_command_with_its_line_and_its_status(error: BaseException, status: ExitStatus) -> None:
    commands = typer.Typer(cls=Commands)

    @commands.callback()
    def callback() -> None: ...

    @commands.command()
    def fail() -> None:
        raise error

    result = CliRunner().invoke(commands, ["fail"])
    assert result.exit_code == status
    if isinstance(error, SupatossError):
        assert str(error) in result.stderr
        assert exit_status(error) == status
    assert not result.stdout


def test_ctrl_c_is_told_where_asyncio_forgets_it() -> None:
    """asyncio.run sets its count of interrupts to 0 after it has begun to listen for them."""

    async def be_cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(KeyboardInterrupt):
        run_async(be_cancelled())


def test_tables_hold_data_and_no_codes_for_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["order", "name"], [["\x1b[31mred", "[bold]커피 외 1건"], [None, "line\nline"]], "orders")
    shown = capsys.readouterr().out
    assert "\\x1b[31mred" in shown
    assert "[bold]커피 외 1건" in shown
    assert "line\\nline" in shown
    assert "\x1b" not in shown


def test_a_long_row_is_not_cut_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["key"], [["k" * 200]])
    assert "k" * 200 in capsys.readouterr().out


def test_json_is_one_line_and_keeps_korean(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": "커피\n", "amount": 9900})
    shown = capsys.readouterr().out
    assert shown.count("\n") == 1
    assert "커피" in shown
    assert json.loads(shown) == {"name": "커피\n", "amount": 9900}


def test_plain_text_stays_as_it_is() -> None:
    assert plain("홍길동 ₩9,900") == "홍길동 ₩9,900"
    assert OutputMode.of(json=True) is OutputMode.JSON


def test_the_completion_knows_the_commands() -> None:
    result = CliRunner().invoke(
        app,
        [],
        prog_name="supatoss",
        env={"_SUPATOSS_COMPLETE": "complete_bash", "COMP_WORDS": "supatoss wo", "COMP_CWORD": "1"},
    )
    assert result.stdout.split() == ["worker"]
