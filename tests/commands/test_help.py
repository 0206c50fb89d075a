"""Every command explains itself in a few lines that fit 80 columns, with an example."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from supatoss.cli import app
from supatoss.cli.choices import REASONS, STATUSES, TYPES
from supatoss.inbox.event import EventReason, EventStatus
from supatoss.telemetry import FAILURE_REASONS
from supatoss.toss.samples import SAMPLES
from tests.commands.lines import ARGUMENTS, LIGHT, commands
from tests.unit.ops.test_texts import OTHER_REASONS

WIDTH = 80


def help_of(command: str) -> str:
    return (
        CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": str(WIDTH)}, prog_name="supatoss").stdout
    )


@pytest.mark.parametrize("command", sorted({"", "events", "ops", "migrations", *ARGUMENTS}))
def test_it_fits(command: str) -> None:
    assert max(map(len, help_of(command).splitlines())) <= WIDTH


@pytest.mark.parametrize("command", commands())
def test_it_has_an_example_that_begins_so(command: str) -> None:
    text = " ".join(help_of(command).split())
    assert f"Example: supatoss {command}" in text


def test_the_commands_are_listed_one_a_line() -> None:
    lines = [line for line in help_of("").splitlines() if line.startswith("  ") and "--" not in line]
    assert [line for line in lines if line.startswith("   ")] == ["                        customize the installation."]


@pytest.mark.parametrize(
    ("option", "begun", "expected"),
    [
        ("--status", "p", {"processed", "pending"}),
        ("--type", "PAY", {"PAYMENT_STATUS_CHANGED"}),
        ("--type", "BILLING", {"BILLING_DELETED", "BILLING_KEY_ISSUED", "BILLING_KEY_DELETED"}),
        ("--reason", "amount", {"amount_mismatch"}),
        ("--with-reason", "double", {"double_charge"}),
    ],
)
def test_the_shell_completes_the_values_of_filters(option: str, begun: str, expected: set[str]) -> None:
    line = f"supatoss events list {option} {begun}"
    environment = {"_SUPATOSS_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": "4"}
    result = CliRunner().invoke(app, [], prog_name="supatoss", env=environment)
    assert set(result.stdout.split()) == expected


def test_the_values_of_filters_are_those_that_are_stored() -> None:
    assert set(STATUSES) == set(EventStatus)
    assert {name for name in TYPES if not name.startswith("supatoss.")} == set(SAMPLES)
    assert set(REASONS) == {*EventReason, *OTHER_REASONS}
    assert set(FAILURE_REASONS) <= set(REASONS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--status", "FAILD"), "Did you mean failed?"),
        (("--type", "PAYMENT"), "Did you mean PAYMENT_STATUS_CHANGED?"),
        (("--type", "PAYMENT_STATUS_CHANGD"), "Did you mean PAYMENT_STATUS_CHANGED?"),
        (("--type", "qqqq"), "--type 'qqqq' is unknown. It takes PAYMENT_STATUS_CHANGED, DEPOSIT_CALLBACK"),
        (("--reason", "amount-mismatch"), "Did you mean amount_mismatch?"),
        (("--since", "1h", "--until", "2h"), "should be before --until 2h"),
        (("--since", "1h", "--until", "1h"), "should be before --until 1h"),
        (("--order", ""), "--order is empty"),
        (("--order", "a\x00"), "--order holds a NUL character"),
        (("--since", "soon"), "'soon' is not a time"),
    ],
)
def test_filters_that_find_nothing_are_refused(arguments: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(app, ["events", "list", *arguments])
    assert (result.exit_code, said in result.stderr) == (2, True), result.stderr


def test_no_colour_where_none_is_wanted() -> None:
    code = (
        "import os, pty, sys; os.environ.update(dict(pair.split('=') for pair in sys.argv[1:]));"
        "sys.exit(pty.spawn([sys.executable, '-c', 'from supatoss.cli.output import styled;"
        'print(repr(styled("a", fg="red")))\']))'
    )
    shown = {
        pair: subprocess.run(  # noqa: S603 - its own code
            [sys.executable, "-c", code, "TERM=xterm", pair], capture_output=True, text=True, timeout=60, check=False
        ).stdout.strip()
        for pair in ("A=1", "NO_COLOR=1", "TERM=dumb")
    }
    assert shown == {"A=1": r"'\x1b[31ma\x1b[0m'", "NO_COLOR=1": "'a'", "TERM=dumb": "'a'"}


def test_light_commands_are_known() -> None:
    assert set(LIGHT) < set(commands())
