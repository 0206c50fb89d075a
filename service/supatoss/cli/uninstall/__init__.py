"""`supatoss uninstall`: removes supatoss from a project and keeps its rows."""

import datetime as dt
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from supatoss.cli.output import ExitStatus, JsonOption, plain, print_json
from supatoss.errors import ConfigurationError, NotAllowed

if TYPE_CHECKING:
    from supatoss.cli.uninstall.project import Inventory

PURPOSE = "uninstall"


def uninstall(
    *,
    repository: Annotated[
        Path | None,
        typer.Option("--repository", metavar="DIR", help="Write the removal into this repository as a migration."),
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Do it now, in one transaction.")] = False,
    database_url: Annotated[
        str | None,
        typer.Option("--database-url", help="PostgreSQL's connection string; SUPABASE_DB_URL by default."),
    ] = None,
    delete_data: Annotated[
        bool, typer.Option("--delete-data", help="Also drop the tables that supatoss created, with their rows.")
    ] = False,
    is_sure: Annotated[
        bool, typer.Option("--yes", help="For --apply --delete-data: don't ask for confirmation.")
    ] = False,
    prints: Annotated[bool, typer.Option("--print", help="Print the SQL instead, for the SQL Editor.")] = False,
    json: JsonOption = False,
) -> None:
    """Remove supatoss from the database, and keep your rows.

    Shows what would be removed and what would stay. --repository writes a migration that does it, --apply does it now.

    Example: supatoss uninstall --repository ../shop
    """
    from supatoss.cli.dotenv import load_dotenv
    from supatoss.cli.uninstall.text import uninstall_sql

    text = uninstall_sql(delete_data=delete_data)
    if prints:
        typer.echo(text, nl=False)
        return
    load_dotenv()
    url = database_url or os.environ.get("SUPABASE_DB_URL")
    if apply and not url:
        raise ConfigurationError(["SUPABASE_DB_URL is missing; --apply needs it, or --database-url."])
    found = _look(url, delete_data=delete_data, json=json)
    if apply and delete_data and found and not is_sure:
        _confirm()
    written = _write(repository, text, json=json) if repository else None
    if apply and url:
        _remove(url, text, written, json=json)
    elif not json:
        _print_how(is_written=repository is not None)


def _look(url: str | None, *, delete_data: bool, json: bool) -> "Inventory | None":
    """Reads and prints what is installed; ends the command if nothing is."""
    from supatoss.cli.database import connect
    from supatoss.cli.uninstall import report
    from supatoss.cli.uninstall.project import read_inventory

    if not url:
        typer.echo(report.UNKNOWN, err=json)
        return None
    connection = connect(url, PURPOSE)
    try:
        found = read_inventory(connection)
    finally:
        connection.close()
    if json:
        print_json({"installed": found is not None, "inventory": asdict(found) if found else None})
    else:
        for line in (
            report.lines(found, delete_data=delete_data) if found else ["supatoss is not installed in this database."]
        ):
            typer.echo(plain(line))
    if found is None:
        raise typer.Exit(ExitStatus.OK)
    return found


def _confirm() -> None:
    if not sys.stdin.isatty():
        raise NotAllowed("--apply --delete-data drops tables with their rows: add --yes")
    if typer.prompt("Tables and rows can't be restored. To delete them, type: delete", err=True) != "delete":
        raise NotAllowed("nothing was changed")


def _write(repository: Path, text: str, *, json: bool) -> Path | None:
    """Writes the migration. None: the repository has it already."""
    from supatoss.cli import copies

    written = copies.write_uninstall(copies.find_folder(repository), text, dt.datetime.now(dt.UTC))
    typer.echo(
        plain(f"written  {written}" if written else "the migration that removes supatoss exists already"), err=json
    )
    return written


def _remove(url: str, text: str, written: Path | None, *, json: bool) -> None:
    from supatoss.cli.database import connect
    from supatoss.cli.uninstall import report
    from supatoss.cli.uninstall.project import remove

    connection = connect(url, PURPOSE)
    connection.autocommit = True
    try:
        said = remove(connection, text, written)
    finally:
        connection.close()
    if json:
        print_json({"applied": True, "done": said})
        return
    typer.echo("\nDone:")
    for line in said:
        typer.echo(f"  {plain(line)}")
    is_reverted = any(line.endswith("count as reverted") for line in said)
    for line in report.by_hand(is_reverted=is_reverted):
        typer.echo(line)


def _print_how(*, is_written: bool) -> None:
    from supatoss.cli.copies import CLI
    from supatoss.cli.uninstall import report

    if is_written:
        typer.echo(f"Nothing was changed yet. Stop the service, commit the file, then: {CLI} db push --remote")
    else:
        typer.echo(
            "Nothing was changed. --repository DIR writes this as a migration for your repository, --apply does it now,"
            " --print shows the SQL."
        )
    for line in report.by_hand(is_reverted=False):
        typer.echo(line)
