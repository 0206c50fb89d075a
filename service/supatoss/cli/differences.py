"""`supatoss reconcile ignore`: closes open differences with a reason."""

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from supatoss.cli.comparison import differing, shown_values
from supatoss.cli.options import Actor, Apply, default_actor
from supatoss.cli.output import ExitStatus, JsonOption, OutputMode, is_terminal, print_json, print_problem, print_table
from supatoss.cli.session import ask
from supatoss.cli.table import Column, Cut
from supatoss.errors import NotAllowed

if TYPE_CHECKING:
    from supatoss.store.reviews import OpenFinding, OpenFindings, ReviewCalls

LIMIT = 100
COLUMNS = (
    Column("difference", Cut.NEVER),
    Column("order", Cut.MIDDLE, least=10),
    Column("what", least=30),
    Column("day", Cut.NEVER, drop=1),
)
PIPE_COLUMNS = ("difference", "day", "kind", "order", "payment", "ours", "Toss", "reason")


def ignore(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="Ids of differences.", show_default=False)
    ] = None,
    *,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why they can be ignored, 1 to 500 characters.")
    ],
    day: Annotated[
        dt.datetime | None,
        typer.Option("--day", formats=["%Y-%m-%d"], metavar="DATE", help="Those of one day in Korea."),
    ] = None,
    order: Annotated[str | None, typer.Option("--order", metavar="ID", help="Order id.")] = None,
    payment_key: Annotated[str | None, typer.Option("--payment-key", metavar="KEY", help="Toss's payment key.")] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", help="At most so many differences, oldest first; up to 10000.")
    ] = LIMIT,
    apply: Apply = False,
    actor: Actor = None,
    json: JsonOption = False,
) -> None:
    """Ignore open differences, with a reason.

    No row changes. Without --apply it is a dry run.

    Example: supatoss reconcile ignore --day 2026-03-13 --reason "test payments" --apply
    """
    from supatoss.store.reviews import FindingFilter, ReviewCalls

    if any("\x00" in text for text in (order or "", payment_key or "")):
        raise NotAllowed("a filter contains a NUL character, which nothing stored has")
    wanted = FindingFilter(_checked(ids or ()), day.date() if day else None, order, payment_key)

    async def work(store: "ReviewCalls") -> "OpenFindings":
        from supatoss.reconcile.ignore import ignore_findings

        return await ignore_findings(
            store, wanted, reason, actor=actor or default_actor(), dry_run=not apply, limit=limit
        )

    ignored = ask(ReviewCalls, work)
    _report(ignored, OutputMode.of(json=json), limit, is_applied=apply)
    missing = set(wanted.ids) - {item.id for item in ignored.findings} if not ignored.has_more else set()
    for identity in sorted(missing):
        print_problem(f"{identity} is not an open difference")
    raise typer.Exit(ExitStatus.FOUND if missing else ExitStatus.OK)


def _checked(ids: Sequence[str]) -> tuple[str, ...]:
    try:
        return tuple(dict.fromkeys(str(uuid.UUID(identity)) for identity in ids))
    except ValueError:
        raise NotAllowed("a difference's id is a UUID; without --apply, --day or --order lists them") from None


def _report(ignored: "OpenFindings", mode: OutputMode, limit: int, *, is_applied: bool) -> None:
    if mode is OutputMode.JSON:
        findings = [
            {"id": item.id, "subjects": item.scope.value, **item.finding.to_json()} for item in ignored.findings
        ]
        print_json({"applied": is_applied, "has_more": ignored.has_more, "findings": findings})
        return
    if not ignored.findings:
        typer.echo("No open differences.")
        return
    if is_terminal():
        verb = "ignored" if is_applied else "would be ignored"
        rows = [
            [item.id, item.finding.order_id, f"{verb}: {differing(item.finding)}", item.finding.day]
            for item in ignored.findings
        ]
        print_table(COLUMNS, rows)
    else:
        print_table(PIPE_COLUMNS, [_fields(item) for item in ignored.findings])
    if ignored.has_more:
        typer.echo(f"More than {limit} differences match; these are the oldest. Raise --limit for more.")
    if is_applied:
        typer.echo(f"{len(ignored.findings)} ignored")
    else:
        typer.echo("Nothing was changed. To ignore them, add --apply")


def _fields(item: "OpenFinding") -> list[object]:
    found = item.finding
    ours, theirs = shown_values(found)
    name = found.payment_key or found.transaction_key or found.subject
    return [item.id, found.day, found.kind, found.order_id, name, ours, theirs, found.reason]
