"""The `supatoss` command. One module for each command or group; docs/cli.md describes them.

A command's module is imported when the command is used, and imports what it needs when it runs: commands start quickly.
"""

from collections import UserDict
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from supatoss import __version__
from supatoss.cli.output import ExitStatus, exit_status, print_problem
from supatoss.errors import SupatossError

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "init": "init:init",
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
        "uninstall": "uninstall:uninstall",
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


class _Loaded(UserDict[str, Any]):
    """Commands by name, each imported when it is asked for."""

    def __getitem__(self, name: str) -> Any:
        if self.data[name] is None:
            self.data[name] = _load(name)
        return self.data[name]


class _OurCommands(Commands):
    """Those of COMMANDS."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = _Loaded(dict.fromkeys(COMMANDS))


def _load(name: str) -> Any:
    module, _, attribute = COMMANDS[name].partition(":")
    found = getattr(import_module(f"{__name__}.{module}"), attribute)
    holder = typer.Typer()
    if isinstance(found, typer.Typer):
        holder.add_typer(found, name=name)
    else:
        holder.command(name)(found)
    return get_group(holder).commands[name]


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
