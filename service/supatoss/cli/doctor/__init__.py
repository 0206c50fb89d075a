"""`supatoss doctor`: checks a deployment, and says how to fix what is wrong."""

import asyncio
import os
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from supatoss.cli.output import ExitStatus, JsonOption, plain, print_json, styled
from supatoss.cli.session import run_async
from supatoss.errors import NotAllowed

if TYPE_CHECKING:
    from supatoss.settings import Settings


class Level(StrEnum):
    """ok: nothing to do. skipped: not checked, and why. warning: needs a look. failed: must be fixed."""

    OK = "ok"
    SKIPPED = "skipped"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line of the report: what was checked, the result, and the fix."""

    check: str
    level: Level
    message: str
    fix: str | None = None
    """One remedy per line."""

    def to_json(self) -> dict[str, Any]:
        """Fields for JSON."""
        return asdict(self)


def ok(check: str, message: str) -> Verdict:
    """Nothing to do."""
    return Verdict(check, Level.OK, message)


def skipped(check: str, message: str, fix: str | None = None) -> Verdict:
    """Not checked: impossible now, or not needed in this set-up."""
    return Verdict(check, Level.SKIPPED, message, fix)


def warning(check: str, message: str, fix: str) -> Verdict:
    """Works, but needs a look."""
    return Verdict(check, Level.WARNING, message, fix)


def failed(check: str, message: str, fix: str) -> Verdict:
    """Must be fixed."""
    return Verdict(check, Level.FAILED, message, fix)


REQUEST_SECONDS = 5.0
"""For one request. Anything slower is too slow for a delivery too."""

_STYLES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "ok": {"fg": "green"},
        "skipped": {"dim": True},
        "warning": {"fg": "yellow", "bold": True},
        "failed": {"fg": "red", "bold": True},
    }
)


def doctor(
    *,
    sends_alert: Annotated[
        bool, typer.Option("--send-test-alert", help="Also send a test message to ALERT_WEBHOOK_URL.")
    ] = False,
    adopts: Annotated[
        bool, typer.Option("--adopt", help="Only check whether the migrations can be pushed into this project.")
    ] = False,
    for_release: Annotated[
        bool, typer.Option("--release", help="Only check what a new release can't run without.")
    ] = False,
    database_url: Annotated[
        str | None,
        typer.Option(
            "--database-url",
            metavar="URL",
            help="For --adopt: PostgreSQL's connection string; SUPABASE_DB_URL by default.",
        ),
    ] = None,
    schema: Annotated[
        str | None, typer.Option("--schema", metavar="NAME", help="For --adopt: as in `migrations copy`.")
    ] = None,
    table: Annotated[
        list[str] | None, typer.Option("--table", metavar="OLD=NEW", help="For --adopt: as in `migrations copy`.")
    ] = None,
    prints: Annotated[
        bool, typer.Option("--print", help="For --adopt: print its SQL for the SQL Editor instead of running it.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Check this deployment, and say how to fix what is wrong.

    Settings, database and its access, clock, Toss, the public address, alerts. Exit status 1: something failed.

    Example: supatoss doctor --send-test-alert
    """
    if for_release and (adopts or sends_alert):
        raise NotAllowed("--release can be combined with --json only")
    if adopts:
        from supatoss.cli.doctor.preflight import check_project, editor_sql, preflight_sql
        from supatoss.cli.dotenv import load_dotenv

        preflight = preflight_sql(schema, table or ())
        if prints:
            typer.echo(editor_sql(preflight), nl=False)
            return
        load_dotenv()
        verdicts = check_project(preflight, database_url or os.environ.get("SUPABASE_DB_URL"))
    elif prints or schema or table:
        raise NotAllowed("--schema, --table and --print belong to --adopt")
    else:
        verdicts = run_async(_examine(sends_alert=sends_alert, for_release=for_release))
    _report(verdicts, json=json)


def _report(verdicts: list["Verdict"], *, json: bool) -> None:
    levels = [verdict.level.value for verdict in verdicts]
    if json:
        print_json({"ok": "failed" not in levels, "verdicts": [verdict.to_json() for verdict in verdicts]})
    else:
        for verdict in _grouped(verdicts):
            _show(verdict)
        typer.echo("\n" + ", ".join(f"{levels.count(level)} {level}" for level in _STYLES if level in levels))
    raise typer.Exit(ExitStatus.FOUND if "failed" in levels else ExitStatus.OK)


async def _examine(*, sends_alert: bool, for_release: bool) -> list["Verdict"]:
    from supatoss.cli.session import load_settings
    from supatoss.errors import ConfigurationError

    try:
        settings = load_settings()
    except ConfigurationError as error:
        fix = "set it where the service runs; .env.example describes every setting"
        return [failed("settings", problem, fix) for problem in error.problems]
    if for_release:
        return await _run_release(settings)
    return [verdict for verdicts in await _run(settings, sends_alert=sends_alert) for verdict in verdicts]


async def _run_release(settings: "Settings") -> list["Verdict"]:
    from supatoss.cli.doctor.release import check_release
    from supatoss.cli.session import open_store

    async with open_store(settings.data_api) as store:
        return await check_release(settings, store)


async def _run(settings: "Settings", *, sends_alert: bool) -> Sequence[list["Verdict"]]:
    """The verdicts of all checks in a fixed order; the checks run concurrently."""
    import httpx

    from supatoss.cli.doctor.access import check_access
    from supatoss.cli.doctor.adoption import check_adoption
    from supatoss.cli.doctor.checks import (
        check_alerts,
        check_clock,
        check_database,
        check_endpoint,
        check_settings,
    )
    from supatoss.cli.doctor.exposure import check_exposure
    from supatoss.cli.doctor.token import check_token
    from supatoss.cli.doctor.toss import check_toss
    from supatoss.cli.session import open_store
    from supatoss.tls import tls_context

    async with (
        open_store(settings.data_api) as store,
        httpx.AsyncClient(
            verify=tls_context(), trust_env=False, timeout=REQUEST_SECONDS, follow_redirects=False
        ) as http,
    ):
        checks: Sequence[Awaitable[list[Verdict]]] = (
            check_settings(settings),
            check_token(settings),
            check_database(settings, store),
            check_access(settings, http),
            check_exposure(settings, store),
            check_adoption(store),
            check_clock(settings, http),
            check_toss(settings),
            check_endpoint(settings, http),
            check_alerts(settings, http, sends=sends_alert),
        )
        return await asyncio.gather(*checks)


def _grouped(verdicts: Sequence["Verdict"]) -> list["Verdict"]:
    """Joins verdicts that were skipped for the same reason: "anon reads payments, subscriptions"."""
    groups: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        groups.setdefault(
            verdict.message if verdict.level is Level.SKIPPED else f"{verdict.check} {verdict.message}", []
        ).append(verdict)
    grouped = []
    for first, *others in groups.values():
        beginning = first.check.rpartition(" ")[0] + " "
        names = [first.check, *(other.check.removeprefix(beginning) for other in others)]
        grouped.append(replace(first, check=", ".join(names)))
    return grouped


def _show(verdict: "Verdict") -> None:
    level = styled(f"{verdict.level:<8}", **_STYLES[verdict.level])
    typer.echo(f"{level} {verdict.check}: {plain(verdict.message)}")
    for line in (verdict.fix or "").splitlines():
        typer.echo(f"{'':<8} → {plain(line)}")
