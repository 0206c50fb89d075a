"""`supatoss reconcile`: compares Toss's records with ours over a range of days, and repairs differences on request."""

import asyncio
import datetime as dt
import sys
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from supatoss.cli.output import ExitStatus, JsonOption, OutputMode, plain, print_json, print_problem, print_table

if TYPE_CHECKING:
    from supatoss.reconcile.records import Days, Source
    from supatoss.reconcile.run import Report
    from supatoss.store.findings import Finding
    from supatoss.store.reconciliation import Run, Scope

MAX_DAYS = 366
"""A longer range is more likely a typo."""

TABLE_FINDINGS = 200
"""Findings shown in the table; JSON has all of them."""

DayOption = dt.datetime | None
_FORMATS = ["%Y-%m-%d"]


def reconcile(
    *,
    day: Annotated[
        DayOption, typer.Option("--day", formats=_FORMATS, help="One day in Korea; yesterday by default.")
    ] = None,
    first: Annotated[DayOption, typer.Option("--from", formats=_FORMATS, help="First day of a range.")] = None,
    last: Annotated[DayOption, typer.Option("--to", formats=_FORMATS, help="Last day of the range, included.")] = None,
    settlements: Annotated[
        bool, typer.Option("--settlements", help="Compare settlements, by the day of sale, instead of payments.")
    ] = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="Look up each difference at Toss and record the answer.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Compare Toss's records with ours. Changes nothing without --apply; an interrupted run resumes."""
    now = dt.datetime.now(dt.UTC)
    days = _days(day, first, last, now)
    try:
        status = asyncio.run(_reconcile(days, now, OutputMode.of(json=json), settlements=settlements, applies=apply))
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
    days: "Days", now: dt.datetime, mode: OutputMode, *, settlements: bool, applies: bool
) -> ExitStatus:
    from supatoss.app import open_toss
    from supatoss.cli.session import open_session
    from supatoss.reconcile.run import Reconciliation
    from supatoss.store.reconciliation import AlreadyRunning, LeaseLost, Scope

    scope = Scope.SETTLEMENTS if settlements else Scope.PAYMENTS
    async with open_session() as (settings, store), open_toss(settings) as toss:
        with _Progress(days, is_shown=mode is OutputMode.TEXT and sys.stderr.isatty()) as progress:
            reconciliation = Reconciliation(store, toss, on_step=progress)
            try:
                report = await reconciliation.reconcile(scope, days, now, applies=applies)
            except (AlreadyRunning, LeaseLost) as error:
                print_problem(error)
                return ExitStatus.UNREACHABLE
        findings = [finding async for finding in reconciliation.findings(report.run)]
    _print(mode, scope, days, report, findings, applies=applies)
    if report.incomplete:
        return ExitStatus.UNREACHABLE
    return ExitStatus.FOUND if report.left else ExitStatus.OK


class _Progress:
    """A progress bar over the days, on a terminal only and on standard error."""

    def __init__(self, days: "Days", *, is_shown: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._days = days
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("days"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=not is_shown,
        )
        self._task = self._bar.add_task("reconcile", total=(days.last - days.first).days + 1)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bar.stop()

    def __call__(self, run: "Run") -> None:
        """Shows one step of the run."""
        is_repair = run.phase == "repair"
        done = (run.day - self._days.first).days + (1 if is_repair else 0)
        text = f"{run.day} {run.phase}: {run.listed} listed, {run.compared} compared"
        self._bar.update(self._task, completed=done, description=text)


def _print(
    mode: OutputMode,
    scope: "Scope",
    days: "Days",
    report: "Report",
    findings: "list[Finding]",
    *,
    applies: bool,
) -> None:
    from supatoss.store.findings import remaining_by_kind, remaining_by_merchant

    by_merchant = remaining_by_merchant(findings)
    summary = {
        "reconciliation": report.run.id,
        "subjects": scope.value,
        "from": days.first.isoformat(),
        "to": days.last.isoformat(),
        "closed_at": report.run.closes_at.isoformat(),
        "applied": applies,
        "compared": report.run.compared,
        "differences": {kind.value: count for kind, count in remaining_by_kind(report.counts).items()},
        "differences_by_merchant_id": by_merchant,
        "repaired": report.repaired,
        "left": report.left,
        "keys": [
            {
                "key": source.key,
                "merchant_ids": sorted(source.merchant_ids),
                "listed": source.rows,
                "problem": source.problem,
            }
            for source in report.sources
        ],
    }
    if mode is OutputMode.JSON:
        print_json({**summary, "findings": [finding.to_json() for finding in findings]})
        return
    if findings:
        columns = ("day", "kind", "order", "payment", "ours", "Toss", "outcome", "reason")
        print_table(columns, [_row(finding) for finding in findings[:TABLE_FINDINGS]])
    if len(findings) > TABLE_FINDINGS:
        typer.echo(f"… and {len(findings) - TABLE_FINDINGS} more; --json shows all of them")
    for source in report.sources if len(report.sources) > 1 else report.incomplete:
        typer.echo(_listed_by(source))
    for merchant_id, count in by_merchant.items():
        typer.echo(f"merchant id {plain(merchant_id)}: {count} left")
    span = f"{days.first}" if days.first == days.last else f"{days.first} to {days.last}"
    typer.echo(f"{scope.value} of {span} (Korea): {report.run.compared} compared, {_sentence(report, applies=applies)}")


def _listed_by(source: "Source") -> str:
    """What a key has listed; its MID shows in the rows alone."""
    if source.problem:
        return f"{source.key}: {source.problem}; its merchant id was NOT compared"
    names = f", merchant id {', '.join(sorted(source.merchant_ids))}" if source.merchant_ids else ""
    return f"{source.key}: {source.rows} listed{names}"


def _row(finding: "Finding") -> list[object]:
    names = _differing(finding)
    return [
        finding.day,
        finding.kind,
        finding.order_id,
        finding.payment_key or finding.transaction_key or finding.subject,
        _shown(finding.ours, names),
        _shown(finding.theirs, names),
        finding.outcome,
        finding.reason,
    ]


def _differing(finding: "Finding") -> list[str]:
    """The fields that differ; status and amount where one side is missing."""
    names = [name for name in finding.theirs if name in finding.ours and finding.theirs[name] != finding.ours[name]]
    return names or ["status", "amount"]


def _shown(side: "Any", names: list[str]) -> str:
    return ", ".join(plain(f"{name} {side[name]}") for name in names if side.get(name) not in (None, [], ""))


def _sentence(report: "Report", *, applies: bool) -> str:
    if not report.run.compared and not report.left:
        return "so nothing is known: Toss lists nothing for these days, and we have nothing for them"
    if not report.left and not report.repaired:
        return "no differences"
    if not applies:
        differences = "1 difference" if report.left == 1 else f"{report.left} differences"
        return f"{differences}; --apply looks up each one at Toss and records the answer"
    person = f", {report.left} need manual review" if report.left else ""
    return f"{report.repaired} repaired{person}"
