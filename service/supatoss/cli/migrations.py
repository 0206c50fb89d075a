"""`supatoss migrations`: our migrations in a repository that has its own."""

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from supatoss.cli.output import ExitStatus, JsonOption, plain, print_json

if TYPE_CHECKING:
    from supatoss.cli.copies import Plan

migrations = typer.Typer(no_args_is_help=True, help="Copy the migrations into your repository.")


@migrations.callback()
def group() -> None:
    """Keeps `copy` a command of its own while it is the only one."""


@migrations.command("copy")
def copy_migrations(
    *,
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="The repository, or its supabase/migrations folder.")
    ],
    is_check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if something is missing or differs.")
    ] = False,
    schema: Annotated[
        str | None, typer.Option("--schema", metavar="NAME", help="Keep our tables in this schema, out of public.")
    ] = None,
    table: Annotated[
        list[str] | None, typer.Option("--table", metavar="OLD=NEW", help="Give a table another name; repeatable.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Copy supatoss's migrations into your repository.

    They come after your own. Later runs copy only new files.

    Example: supatoss migrations copy ../my-app
    """
    from supatoss.cli import copies
    from supatoss.cli.naming import read_naming, relations_of

    release = copies.read_release()
    wanted = read_naming(schema, table or (), relations_of(release.values()))
    now = dt.datetime.now(dt.UTC)
    plan = copies.plan(copies.find_folder(directory), release, wanted, now)
    is_written = not (is_check or plan.is_blocked)
    if is_written:
        copies.write(plan, release)
    if json:
        _print_document(plan, is_written=is_written)
    else:
        _print_report(plan, is_written=is_written, now=now)
    is_complete = not plan.problems and (is_written or not plan.missing)
    raise typer.Exit(ExitStatus.OK if is_complete else ExitStatus.FOUND)


def _print_document(plan: "Plan", *, is_written: bool) -> None:
    print_json(
        {
            "folder": plan.folder,
            "schema": plan.naming.schema,
            "tables": dict(plan.naming.tables),
            "copied": [target.name for target in plan.missing.values()] if is_written else [],
            "missing": [] if is_written else list(plan.missing),
            "problems": [{"file": name, "problem": problem.name.lower()} for name, problem in plan.problems],
            "newer": list(plan.newer),
        }
    )


def _print_report(plan: "Plan", *, is_written: bool, now: dt.datetime) -> None:
    from supatoss.cli.copies import CLI

    for name, target in plan.missing.items():
        typer.echo(f"copied   {plain(target.name)}" if is_written else f"missing  {name}")
    for name, problem in plan.problems:
        typer.echo(f"{'differs':8} {plain(name)}: {problem}")
    for name in plan.newer:
        typer.echo(f"note     {plain(name)}: from a later release than this one")
    where = plain(plan.folder) + ("" if plan.naming.is_default else f" ({plan.naming})")
    if plan.is_blocked and plan.missing:
        typer.echo(f"Nothing was copied to {where}: first settle what is said above.")
    elif plan.missing and is_written:
        origin, first = next(iter(plan.missing.items()))
        if first.name != origin and first.name > f"{now:%Y%m%d%H%M%S}_z":
            typer.echo("note     they are dated in the future, to come after your newest migration")
        typer.echo(f"{len(plan.missing)} new in {where}. Commit them, then: {CLI} db push --remote")
    elif plan.missing:
        typer.echo(f"{len(plan.missing)} missing in {where}; without --check they are copied.")
    elif not plan.problems:
        typer.echo(f"Nothing to do: {where} has every migration of this release.")
