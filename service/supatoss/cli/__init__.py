"""The `supatoss` command. One module for each command or group; docs/cli.md describes them.

Commands import what they need when they run, which keeps `--help` and shell completion fast.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from supatoss import __version__
from supatoss.cli.adoption import correct_times, harden
from supatoss.cli.doctor import doctor
from supatoss.cli.events import events
from supatoss.cli.forward import forward
from supatoss.cli.migrations import migrations
from supatoss.cli.ops import ops
from supatoss.cli.output import ExitStatus, exit_status, print_problem
from supatoss.cli.processes import serve, worker
from supatoss.cli.reconcile import reconcile
from supatoss.cli.register import register
from supatoss.cli.signatures import sign, verify
from supatoss.cli.trigger import trigger
from supatoss.cli.unignore import unignore
from supatoss.errors import SupatossError


class Commands(TyperGroup):
    """Turns one of our errors into a one-line message and its exit status."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except SupatossError as error:
            print_problem(error)
            raise typer.Exit(exit_status(error)) from None


app = typer.Typer(
    cls=Commands,
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


app.add_typer(reconcile, name="reconcile")
app.command()(serve)
app.command()(worker)
events.command()(unignore)
app.add_typer(events, name="events")
app.command()(trigger)
app.command()(sign)
app.command()(verify)
app.command()(forward)
app.command()(register)
app.command()(doctor)
app.add_typer(ops, name="ops")
app.add_typer(migrations, name="migrations")
app.command()(harden)
app.command()(correct_times)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its ExitStatus."""
    try:
        app(arguments, prog_name="supatoss")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else ExitStatus.FOUND
    return ExitStatus.OK
