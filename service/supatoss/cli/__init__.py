"""The `supatoss` command. One module for each command or group; docs/cli.md describes them.

A command's module is imported when the command is used, and imports what it needs when it runs: commands start quickly.
"""

import gc
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType, ModuleType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from supatoss import __version__
from supatoss.cli.lazy import lazy_group
from supatoss.cli.output import ExitStatus, exit_status, print_problem
from supatoss.errors import SupatossError

GC_THRESHOLD = 100_000
"""New objects between two collections, instead of 700: those of a start stay, and to look through them takes a tenth of
a command's time."""

gc.set_threshold(GC_THRESHOLD)

_no_command_line = ModuleType("httpx._main")
_no_command_line.main = lambda: None  # type: ignore[attr-defined]
# httpx imports a command line of its own where it can, with rich and Pygments: a tenth of a command's time.
sys.modules.setdefault("httpx._main", _no_command_line)

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "reconcile": "reconcile:reconcile",
        "serve": "processes:serve",
        "worker": "processes:worker",
        "events": "events:events",
        "trigger": "trigger:trigger",
        "sign": "signatures:sign",
        "verify": "signatures:verify",
        "forward": "forward:forward",
        "register": "register:register",
        "doctor": "doctor:doctor",
        "ops": "ops:ops",
        "migrations": "migrations:migrations",
        "harden": "adoption:harden",
        "correct-times": "adoption:correct_times",
    }
)
"""Every command in the help's order: its module in this package, and its function or group there."""


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
    """Those of COMMANDS."""


app = typer.Typer(
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
    """Runs a command and returns its ExitStatus."""
    try:
        app(arguments, prog_name="supatoss")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else ExitStatus.FOUND
    return ExitStatus.OK
