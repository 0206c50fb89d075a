"""`supatoss harden` and `supatoss correct-times`: what remains to do after tables of a project were adopted."""

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from supatoss.cli.output import ExitStatus, JsonOption, print_json, print_table
from supatoss.cli.session import ask

if TYPE_CHECKING:
    from supatoss.store.adoption import AdoptionCalls, OldTimes, OpenTable

ApplyOption = Annotated[bool, typer.Option("--apply", help="Do it; without this, only show what would happen.")]

PAUSE_SECONDS = 0.05
"""Between batches, so that the application's writers and replication keep up."""


def harden(*, apply: ApplyOption = False, json: JsonOption = False) -> None:
    """Restrict adopted tables as a fresh project does.

    With the same grants and policies: users can then only read their own payments and subscriptions, without the
    billing key; everything else needs the secret key. Exit status 1: something is open.

    Example: supatoss harden --apply
    """
    from supatoss.store.adoption import AdoptionCalls

    async def work(store: "AdoptionCalls") -> "list[OpenTable]":
        return await store.harden(dry_run=not apply)

    tables = ask(AdoptionCalls, work)
    if json:
        print_json({"applied": apply, "tables": [asdict(table) for table in tables]})
    elif not tables:
        typer.echo("Nothing is open: adopted tables are as restricted as those of a fresh project.")
    for table in [] if json else tables:
        typer.echo(f"{table.table}")
        for statement in table.statements:
            typer.echo(f"  {statement};")
        for reader in table.readers:
            typer.echo(f"  ! {reader} reads it: roles without rights on {table.table} get an error there")
    if tables and not json:
        typer.echo("Executed." if apply else "Nothing was changed; --apply executes these statements.")
    raise typer.Exit(ExitStatus.FOUND if tables and not apply else ExitStatus.OK)


def correct_times(
    *,
    apply: ApplyOption = False,
    batch: Annotated[
        int, typer.Option("--batch", metavar="N", min=1, max=10_000, help="Rows looked at in one call.")
    ] = 1_000,
    json: JsonOption = False,
) -> None:
    """Correct times that were stored as Korean wall time.

    Takes rows from before the adoption whose column had no time zone. Safe to repeat, and to run beside applications
    and webhooks: each row is corrected once. Exit status 1: rows are left.

    Example: supatoss correct-times --apply
    """
    from supatoss.store.adoption import AdoptionCalls

    async def work(store: "AdoptionCalls") -> "tuple[OldTimes, int]":
        corrected = 0
        for table in (await store.old_times()).tables if apply else ():
            after: str | None = None
            while table.rows:
                count, after = await store.correct_times(table.table, after, batch)
                corrected += count
                if after is None:
                    break
                await asyncio.sleep(PAUSE_SECONDS)
        return await store.old_times(), corrected

    times, corrected = ask(AdoptionCalls, work)
    left = sum(table.rows for table in times.tables)
    if json:
        print_json({"corrected": corrected, "left": left, **asdict(times)})
    else:
        _show(times, corrected, left, applied=apply)
    raise typer.Exit(ExitStatus.FOUND if left else ExitStatus.OK)


def _show(times: "OldTimes", corrected: int, left: int, *, applied: bool) -> None:
    if not times.columns:
        typer.echo("No column without a time zone was adopted.")
        return
    rows = [(column.table, column.column, column.zone, column.evidence) for column in times.columns]
    print_table(("table", "column", "written in", "evidence"), rows)
    for table in times.tables:
        if table.rows and table.triggers:
            typer.echo(f"! triggers that run for each corrected row of {table.table}: {', '.join(table.triggers)}")
    if applied:
        typer.echo(f"{corrected:,} rows corrected, {left:,} left.")
    else:
        typer.echo(f"{left:,} rows to correct; --apply takes nine hours off their columns written in Asia/Seoul.")
