"""`supatoss reconcile`: compares Toss's records with ours over a range of days, and repairs differences on request."""

import datetime as dt
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from supatoss.cli.comparison import print_report, print_uncompared
from supatoss.cli.differences import ignore
from supatoss.cli.output import ExitStatus, JsonOption, OutputMode, print_problem
from supatoss.cli.session import run_async

if TYPE_CHECKING:
    from supatoss.reconcile.records import Days
    from supatoss.reconcile.run import Reconciliation
    from supatoss.store.reconciliation import Run, Scope

MAX_DAYS = 366
"""A longer range is more likely a typo."""

SHOWN_DAYS = 5
"""Most days named at the end that were never compared."""

DayOption = dt.datetime | None
_FORMATS = ["%Y-%m-%d"]


def compare(
    context: typer.Context,
    *,
    day: Annotated[
        DayOption,
        typer.Option("--day", formats=_FORMATS, metavar="DATE", help="One day in Korea; yesterday by default."),
    ] = None,
    first: Annotated[
        DayOption, typer.Option("--from", formats=_FORMATS, metavar="DATE", help="First day of a range.")
    ] = None,
    last: Annotated[
        DayOption, typer.Option("--to", formats=_FORMATS, metavar="DATE", help="Last day of the range, included.")
    ] = None,
    settlements: Annotated[
        bool, typer.Option("--settlements", help="Compare settlements, by the day of sale, instead of payments.")
    ] = False,
    since_last: Annotated[
        bool, typer.Option("--since-last", help="Every day since the first event that was never compared.")
    ] = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="Look up each difference at Toss and record the answer.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Compare Toss's records with ours, and repair differences.

    Changes nothing without --apply. An interrupted run resumes.

    Example: supatoss reconcile --from 2026-03-01 --to 2026-03-14
    """
    if context.invoked_subcommand:
        if day or first or last or settlements or since_last or apply or json:
            raise typer.BadParameter(f"options of `{context.invoked_subcommand}` go after it")
        return
    now = dt.datetime.now(dt.UTC)
    if since_last and (day or first or last or settlements):
        raise typer.BadParameter("--since-last goes with --apply and --json only")
    days = None if since_last else _days(day, first, last, now)
    mode = OutputMode.of(json=json)
    try:
        status = run_async(_reconcile(days, now, mode, settlements=settlements, applies=apply))
    except KeyboardInterrupt:
        print_problem("stopped; run the same command to resume")
        status = ExitStatus.INTERRUPTED
    raise typer.Exit(int(status))


def _days(day: DayOption, first: DayOption, last: DayOption, now: dt.datetime) -> "Days":
    from supatoss.reconcile.records import Days, today

    this_day = today(now)
    if day and (first or last):
        raise typer.BadParameter("use --day, or --from and --to, not both")
    if bool(first) != bool(last):
        raise typer.BadParameter("--from and --to belong together")
    yesterday = this_day - dt.timedelta(days=1)
    one = day.date() if day else yesterday
    days = Days(first.date(), last.date()) if first and last else Days(one, one)
    if days.first > days.last:
        raise typer.BadParameter("--from must be before --to")
    if days.last > this_day:
        raise typer.BadParameter(f"the last day cannot be after today, {this_day} in Korea")
    if (days.last - days.first).days >= MAX_DAYS:
        raise typer.BadParameter(f"at most {MAX_DAYS} days at once")
    return days


async def _reconcile(
    days: "Days | None", now: dt.datetime, mode: OutputMode, *, settlements: bool, applies: bool
) -> ExitStatus:
    """Compares some days, or those that were never compared. Returns the worst exit status of the ranges."""
    from supatoss.cli.session import open_session, open_toss
    from supatoss.reconcile.records import today
    from supatoss.reconcile.run import Reconciliation
    from supatoss.store.reconciliation import Scope

    scope = Scope.SETTLEMENTS if settlements else Scope.PAYMENTS
    yesterday = today(now) - dt.timedelta(days=1)
    started_at = time.monotonic()
    async with open_session() as (settings, store), open_toss(settings) as toss:
        progress = _Progress(is_shown=mode is OutputMode.TEXT and sys.stderr.isatty())
        reconciliation = Reconciliation(store, toss, on_step=progress)
        ranges = [days] if days else await _never_compared(reconciliation, yesterday, mode)
        statuses = [
            await _compare(reconciliation, scope, each, now, progress, mode, applies=applies) for each in ranges
        ]
        if applies:
            reviewed = await reconciliation.review(time.monotonic() - started_at)
            if reviewed.resolved and mode is OutputMode.TEXT:
                typer.echo(f"{reviewed.resolved} of the differences found earlier are gone")
        if scope is Scope.PAYMENTS and mode is OutputMode.TEXT:
            print_uncompared(await reconciliation.uncompared(yesterday, SHOWN_DAYS))
    return max(statuses, default=ExitStatus.OK)


async def _never_compared(reconciliation: "Reconciliation", yesterday: dt.date, mode: OutputMode) -> "list[Days]":
    """Ranges of days, newest first."""
    from supatoss.reconcile.records import ranges_of

    found = await reconciliation.uncompared(yesterday, MAX_DAYS)
    if mode is OutputMode.TEXT and not found.total:
        typer.echo("every day since the first event has been compared")
    elif found.total > len(found.days):
        print_problem(f"{found.total} days were never compared; these are the newest {len(found.days)} of them")
    return ranges_of(found.days)


async def _compare(
    reconciliation: "Reconciliation",
    scope: "Scope",
    days: "Days",
    now: dt.datetime,
    progress: "_Progress",
    mode: OutputMode,
    *,
    applies: bool,
) -> ExitStatus:
    from supatoss.store.reconciliation import AlreadyRunning, LeaseLost

    with progress.over(days):
        try:
            report = await reconciliation.reconcile(scope, days, now, applies=applies)
        except (AlreadyRunning, LeaseLost) as error:
            print_problem(error)
            return ExitStatus.UNREACHABLE
    findings = [finding async for finding in reconciliation.findings(report.run)]
    print_report(mode, scope, days, report, findings, applies=applies)
    if report.incomplete:
        return ExitStatus.UNREACHABLE
    return ExitStatus.FOUND if report.left else ExitStatus.OK


class _Progress:
    """A progress bar over the days, on a terminal only and on standard error."""

    def __init__(self, *, is_shown: bool) -> None:
        self._is_shown = is_shown
        self._show: Callable[[Run], None] = lambda _run: None

    @contextmanager
    def over(self, days: "Days") -> Iterator[None]:
        """Shows the bar while these days are compared."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("days"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=not self._is_shown,
        )
        task = bar.add_task("reconcile", total=(days.last - days.first).days + 1)

        def show(run: "Run") -> None:
            done = (run.day - days.first).days + (1 if run.phase == "repair" else 0)
            text = f"{run.day} {run.phase}: {run.listed} listed, {run.compared} compared"
            bar.update(task, completed=done, description=text)

        self._show = show
        with bar:
            yield

    def __call__(self, run: "Run") -> None:
        """Shows one step of the run."""
        self._show(run)


reconcile = typer.Typer()
reconcile.callback(invoke_without_command=True)(compare)
reconcile.command()(ignore)
