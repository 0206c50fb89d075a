"""What `supatoss reconcile` prints: findings as a table, counts, and what was not compared."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import typer

from supatoss.cli.output import OutputMode, is_terminal, plain, print_json, print_table
from supatoss.cli.table import Column, Cut

if TYPE_CHECKING:
    from supatoss.reconcile.records import Days, Source
    from supatoss.reconcile.run import Report
    from supatoss.store.findings import Finding
    from supatoss.store.reconciliation import Scope
    from supatoss.store.reviews import UncomparedDays

PIPE_COLUMNS = ("day", "kind", "order", "payment", "ours", "Toss", "outcome", "reason")

TABLE_FINDINGS = 200
"""Findings shown in the table; JSON has all of them."""


def print_report(
    mode: OutputMode,
    scope: "Scope",
    days: "Days",
    report: "Report",
    findings: "list[Finding]",
    *,
    applies: bool,
) -> None:
    """What a run found, and the outcome of each finding."""
    from supatoss.reconcile.run import OPEN_ORDERS
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
        "set_aside": report.set_aside,
        "orders_asked": report.run.orders_asked,
        "orders_left_out": report.run.orders_left_out,
        "incomplete": report.run.incomplete,
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
        _print_findings(findings[:TABLE_FINDINGS], has_days=days.first != days.last)
    if len(findings) > TABLE_FINDINGS:
        typer.echo(f"… and {len(findings) - TABLE_FINDINGS} more; --json shows all of them")
    for source in report.sources if len(report.sources) > 1 else ():
        if not source.problem:
            typer.echo(_listed_by(source))
    for merchant_id, count in by_merchant.items():
        typer.echo(f"merchant id {plain(merchant_id)}: {count} left")
    for problem in report.incomplete:
        what = "not all of them were compared" if problem.key == OPEN_ORDERS else "its merchant id was NOT compared"
        typer.echo(f"{problem.key}: {problem.problem}; {what}")
    if report.run.orders_asked:
        typer.echo(_orders(report))
    span = f"{days.first}" if days.first == days.last else f"{days.first} to {days.last}"
    aside = f"; {report.set_aside} ignored by operators" if report.set_aside else ""
    sentence = f"{_sentence(report, applies=applies)}{aside}"
    typer.echo(f"{scope.value} of {span} (Korea): {report.run.compared} compared, {sentence}")


def _listed_by(source: "Source") -> str:
    """What a key has listed; its MID shows in the rows alone."""
    names = f", merchant id {', '.join(sorted(source.merchant_ids))}" if source.merchant_ids else ""
    return f"{source.key}: {source.rows} listed{names}"


def _orders(report: "Report") -> str:
    orders = "1 open order was" if report.run.orders_asked == 1 else f"{report.run.orders_asked} open orders were"
    rest = "; a day had more, which were left out" if report.run.orders_left_out else ""
    return f"{orders} asked for at Toss by order id{rest}"


def print_uncompared(uncompared: "UncomparedDays") -> None:
    """Offers to compare days that never were."""
    if uncompared.total:
        days = "1 day" if uncompared.total == 1 else f"{uncompared.total} days"
        names = ", ".join(str(day) for day in uncompared.days)
        more = ", …" if uncompared.total > len(uncompared.days) else ""
        typer.echo(f"{days} since the first event never compared ({names}{more}); --since-last compares them")


def shown_values(finding: "Finding") -> tuple[str, str]:
    """What differs, ours and Toss's."""
    values = finding.differing()
    return (
        _shown((name, ours) for name, ours, _ in values),
        _shown((name, theirs) for name, _, theirs in values),
    )


def _print_findings(findings: "Sequence[Finding]", *, has_days: bool) -> None:
    """A sentence for each on a terminal; fields in a pipe."""
    if is_terminal():
        days = [Column("day", Cut.NEVER)] if has_days else []
        columns = [*days, Column("order", Cut.MIDDLE, least=10), Column("what", least=30)]
        rows = [[finding.day, finding.order_id or finding.subject, told(finding)] for finding in findings]
        print_table(columns, [row[-len(columns) :] for row in rows])
    else:
        print_table(PIPE_COLUMNS, [_row(finding) for finding in findings])


def told(finding: "Finding") -> str:
    """What is to be done, or was, and what differs: "would be looked up: status PENDING here, DONE at Toss"."""
    reason = f" ({finding.reason.replace('_', ' ')})" if finding.reason else ""
    outcome = {
        "found": f"needs review{reason}" if finding.reason else "would be looked up",
        "repaired": "repaired",
        "needs_person": f"needs review{reason}",
        "resolved": "no longer differs",
        "set_aside": "ignored",
    }[finding.outcome]
    return f"{outcome}: {differing(finding)}"


def differing(finding: "Finding") -> str:
    """What differs, in words."""
    fields = finding.differing()
    ours, theirs = ([_text(pair[side]) for pair in fields] for side in (1, 2))
    if not any(theirs):
        return f"{', '.join(filter(None, ours))} here, nothing at Toss"
    if not any(ours):
        return f"{', '.join(filter(None, theirs))} at Toss, nothing here"
    return ", ".join(
        f"{name} {_text(here) or 'nothing'} here, {_text(there) or 'nothing'} at Toss" for name, here, there in fields
    )


def _text(value: object) -> str:
    return "" if value in (None, [], "") else plain(value)


def _row(finding: "Finding") -> list[object]:
    return [
        finding.day,
        finding.kind,
        finding.order_id,
        finding.payment_key or finding.transaction_key or finding.subject,
        *shown_values(finding),
        finding.outcome,
        finding.reason,
    ]


def _shown(values: Iterable[tuple[str, Any]]) -> str:
    return ", ".join(plain(f"{name} {value}") for name, value in values if value not in (None, [], ""))


def _sentence(report: "Report", *, applies: bool) -> str:
    if not report.run.compared and not report.left and not report.set_aside:
        return "so nothing is known: Toss lists nothing for these days, and we have nothing for them"
    if not report.left and not report.repaired:
        other = "other " if report.set_aside else ""
        return f"no {other}differences in what was compared" if report.incomplete else f"no {other}differences"
    if not applies:
        differences = "1 difference" if report.left == 1 else f"{report.left} differences"
        return f"{differences}; nothing was changed; --apply looks up each one at Toss and records the answer"
    person = f", {report.left} need review" if report.left else ""
    return f"{report.repaired} repaired{person}"
