"""The `supatoss` command. One module for each command or group; docs/cli.md describes them.

A command's module is imported when the command is used, and imports what it needs when it runs: commands start quickly.
"""

from supatoss.cli import quick  # noqa: F401, I001 - before what it makes quicker

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from io import TextIOWrapper
from types import MappingProxyType
from typing import Annotated, Any, TextIO

import typer
from typer.core import TyperGroup

from supatoss import __version__
from supatoss.cli.lazy import lazy_group
from supatoss.cli.output import ExitStatus, exit_status, print_problem
from supatoss.errors import SupatossError

TRACEBACK = "SUPATOSS_TRACEBACK"

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "init": "init:init",
        "reconcile": "reconcile:reconcile",
        "serve": "processes:serve",
        "worker": "processes:worker",
        "events": "events:events",
        "trigger": "trigger:trigger",
        "emulator": "emulator:emulator",
        "sign": "signatures:sign",
        "verify": "signatures:verify",
        "listen": "listen:listen",
        "register": "register:register",
        "doctor": "doctor:doctor",
        "ops": "ops:ops",
        "migrations": "migrations:migrations",
        "harden": "adoption:harden",
        "correct-times": "adoption:correct_times",
        "uninstall": "uninstall:uninstall",
    }
)
"""Every command with its module in this package, and its function or group there."""


SECTIONS: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "Set up": ("init", "doctor", "register", "migrations", "harden", "correct-times", "uninstall"),
        "Run": ("serve", "worker"),
        "Operate": ("events", "reconcile", "ops"),
        "Develop": ("listen", "trigger", "emulator", "sign", "verify"),
    }
)
"""How the help lists them."""


class Commands(TyperGroup):
    """Turns one of our errors into a one-line message and its exit status."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except SupatossError as error:
            print_problem(error)
            raise typer.Exit(exit_status(error)) from None


class _OurCommands(Commands, lazy_group(COMMANDS)):  # type: ignore[misc]  # a class made by a function
    """COMMANDS, grouped by purpose in the help."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Writes a section for each of SECTIONS, with the first sentence of each command's help."""
        placed = {name for names in SECTIONS.values() for name in names}
        others = {"Other commands": [name for name in self.list_commands(ctx) if name not in placed]}
        for title, names in {**SECTIONS, **others}.items():
            rows = [(name, _first_sentence(self.commands[name].help)) for name in names if name in self.commands]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def _first_sentence(text: str | None) -> str:
    return " ".join((text or "").split()).partition(". ")[0].rstrip(".")


app = typer.Typer(
    rich_markup_mode=None,
    cls=_OurCommands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # they show the values of variables, keys included
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def supatoss(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """A Toss Payments webhook inbox for Supabase."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its ExitStatus. Whatever goes wrong is one line; TRACEBACK shows where it did."""
    sys.stdout, sys.stderr = (stream or _nowhere() for stream in (sys.stdout, sys.stderr))  # None where it is closed
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that is not UTF-8 may lack Korean letters
    try:
        app(arguments, prog_name="supatoss")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else ExitStatus.FOUND
    except OSError as error:
        if TRACEBACK in os.environ:
            raise
        return _end_without_output(error)
    except Exception as error:
        if TRACEBACK in os.environ:
            raise
        print_problem(f"internal error, {type(error).__name__}: please report it, with what {TRACEBACK}=1 shows")
        return ExitStatus.FOUND
    return ExitStatus.OK


def _end_without_output(error: OSError) -> ExitStatus:
    """The pipe is closed or the disk is full: nothing more is written, not even when the interpreter ends."""
    with suppress(OSError):
        sys.stdout = _nowhere()
        what = f"{error.filename}" if error.filename else "can't write the output"
        print_problem(f"{what}: {error.strerror}")
    return ExitStatus.FOUND


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - until the end of the process
