"""`supatoss init`: from nothing to production, step by step. A step that is done is skipped."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from supatoss.cli.output import ExitStatus, plain, styled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from supatoss.cli.init.setup import Setup
    from supatoss.cli.init.step import Step, Stopped

WAIT_SECONDS = 600.0


def init(
    *,
    repository: Annotated[
        Path | None, typer.Option("--repository", metavar="DIR", help="Your repository, with supabase/config.toml.")
    ] = None,
    app: Annotated[str | None, typer.Option("--app", metavar="NAME", help="Name of the Fly.io app.")] = None,
    pushes: Annotated[
        bool, typer.Option("--push", help="Run `supabase db push --remote` instead of printing it.")
    ] = False,
    deploys: Annotated[bool, typer.Option("--deploy", help="Run `fly` instead of printing its commands.")] = False,
    sends_test: Annotated[
        bool, typer.Option("--test-delivery", help="Send a signed delivery instead of waiting for Toss's first.")
    ] = False,
    wait_seconds: Annotated[
        float,
        typer.Option("--timeout", min=0, max=86_400, help="Seconds to wait for the first delivery; 0: don't wait."),
    ] = WAIT_SECONDS,
    is_script: Annotated[
        bool, typer.Option("--yes", help="Never prompt: read every answer from the environment and .env.")
    ] = False,
    database_url: Annotated[
        str | None,
        typer.Option("--database-url", help="PostgreSQL's connection string; SUPABASE_DB_URL by default."),
    ] = None,
    schema: Annotated[str | None, typer.Option("--schema", metavar="NAME", help="As in `migrations copy`.")] = None,
    table: Annotated[
        list[str] | None, typer.Option("--table", metavar="OLD=NEW", help="As in `migrations copy`.")
    ] = None,
) -> None:
    """Set up supatoss for production, step by step.

    Keys, .env, migrations, deployment and registration. Run it again at any time: it skips finished steps and resumes
    where it stopped.

    Example: supatoss init
    """
    from supatoss.cli.dotenv import load_dotenv
    from supatoss.cli.init.asking import Asking
    from supatoss.cli.init.env_file import EnvFile
    from supatoss.cli.init.setup import Options, Setup
    from supatoss.cli.session import log_to_stderr

    log_to_stderr()
    load_dotenv()
    options = Options(
        repository, schema, tuple(table or ()), database_url, app, pushes, deploys, sends_test, wait_seconds
    )
    asking = Asking(is_there=not is_script and sys.stdin.isatty())
    try:
        status = run(steps(), Setup(options, asking, EnvFile(Path.cwd() / ".env")))
    except KeyboardInterrupt:  # between two steps
        status = ExitStatus.INTERRUPTED
    raise typer.Exit(status)


def steps() -> "Sequence[Step]":
    """All steps in order: the schema comes before the service that needs it."""
    from supatoss.cli.init.address import AddressStep
    from supatoss.cli.init.fly import DeployStep, SecretsStep
    from supatoss.cli.init.keep import KeepStep
    from supatoss.cli.init.migrations import CopyStep, PreflightStep, PushStep
    from supatoss.cli.init.project import ProjectStep
    from supatoss.cli.init.registration import DeliveryStep, RegisterStep
    from supatoss.cli.init.service import ServiceStep
    from supatoss.cli.init.toss import TossStep

    return (
        ProjectStep(),
        TossStep(),
        AddressStep(),
        KeepStep(),
        PreflightStep(),
        CopyStep(),
        PushStep(),
        SecretsStep(),
        DeployStep(),
        ServiceStep(),
        RegisterStep(),
        DeliveryStep(),
    )


def run(all_steps: "Sequence[Step]", setup: "Setup") -> ExitStatus:
    """Runs the steps that aren't done, until one stops."""
    from supatoss.cli.init.step import Stopped

    for step in all_steps:
        try:
            said = step.done(setup)
            _say(step.name, said or step.run(setup), is_new=said is None)
        except Stopped as stopped:
            return _stop(step.name, stopped)
        except (KeyboardInterrupt, typer.Abort):
            interrupted = Stopped("interrupted", "finished steps stay finished", ExitStatus.INTERRUPTED)
            return _stop(step.name, interrupted)
    typer.echo("\nReady. To check everything again at any time: supatoss doctor")
    return ExitStatus.OK


def _say(name: str, said: str, *, is_new: bool) -> None:
    mark = styled("✓", fg="green")
    typer.echo(f"{mark} {name}: {plain(said)}" + ("" if is_new else styled(" (already done)", dim=True)))


def _stop(name: str, stopped: "Stopped") -> ExitStatus:
    first, *more = stopped.cause.splitlines()
    typer.echo(f"{styled('✗', sys.stderr, fg='red')} {name}: {plain(first)}", err=True)
    for line in more:
        typer.echo(f"  {plain(line)}", err=True)
    for line in stopped.remedy.splitlines():
        typer.echo(f"  → {plain(line)}", err=True)
    typer.echo("Run supatoss init again to resume here.", err=True)
    return stopped.status
