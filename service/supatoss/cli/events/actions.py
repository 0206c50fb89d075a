"""`supatoss events replay` and `ignore`: shown first, done with --apply."""

import getpass
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from supatoss.cli.events import filters
from supatoss.cli.output import ExitStatus, JsonOption, print_json, print_table
from supatoss.cli.session import run_session

if TYPE_CHECKING:
    from supatoss.eventlog import EventFilter, EventOutcome
    from supatoss.inbox.replay import Progress, Selection
    from supatoss.settings import Settings
    from supatoss.store import Store

    Act = Callable[[Store, Sequence[str], Progress], Awaitable[object]]

Ids = Annotated[list[str] | None, typer.Argument(help="Ids of events.", show_default=False)]
Limit = Annotated[int, typer.Option("--limit", help="Most events of one run, oldest first; up to 10000.")]
Apply = Annotated[bool, typer.Option("--apply", "--yes", help="Do it; otherwise only shows what would be done.")]
Actor = Annotated[str | None, typer.Option("--actor", help="Who does it, for the audit trail; default user@machine.")]

DEFAULT_LIMIT = 100
_DONE = ("replayed", "ignored", "unchanged")


def replay(
    ids: Ids = None,
    *,
    statuses: filters.Statuses = None,
    types: filters.Types = None,
    reasons: filters.Reasons = None,
    order: filters.Order = None,
    payment_key: filters.PaymentKey = None,
    since: filters.Since = None,
    until: filters.Until = None,
    limit: Limit = DEFAULT_LIMIT,
    apply: Apply = False,
    actor: Actor = None,
    json: JsonOption = False,
) -> None:
    """Read stored events again and record them anew: failed and pending ones unless --status says otherwise.

    An effect is never doubled. Without --apply the database rehearses it and takes it back.
    """
    wanted = filters.make_filter(
        ids=ids,
        statuses=statuses,
        types=types,
        reasons=reasons,
        order=order,
        payment_key=payment_key,
        since=since,
        until=until,
    )
    who = actor or default_actor()

    async def act(store: "Store", chosen: Sequence[str], progress: "Progress") -> None:
        from supatoss.inbox.replay import replay as replay_events

        await replay_events(store, chosen, actor=who, dry_run=not apply, progress=progress)

    _run(wanted, limit, act, verb="replay", is_applied=apply, is_json=json)


def ignore(
    ids: Ids = None,
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why nothing is to be done about them, 1 to 500 characters.")],
    statuses: filters.Statuses = None,
    types: filters.Types = None,
    reasons: filters.Reasons = None,
    order: filters.Order = None,
    payment_key: filters.PaymentKey = None,
    since: filters.Since = None,
    until: filters.Until = None,
    limit: Limit = DEFAULT_LIMIT,
    apply: Apply = False,
    actor: Actor = None,
    json: JsonOption = False,
) -> None:
    """Set failed or pending events aside, for a reason. No effect is taken back."""
    wanted = filters.make_filter(
        ids=ids,
        statuses=statuses,
        types=types,
        reasons=reasons,
        order=order,
        payment_key=payment_key,
        since=since,
        until=until,
    )
    who = actor or default_actor()

    async def act(store: "Store", chosen: Sequence[str], progress: "Progress") -> None:
        from supatoss.inbox.replay import ignore as ignore_events

        await ignore_events(store, chosen, reason, actor=who, dry_run=not apply, progress=progress)

    _run(wanted, limit, act, verb="ignore", is_applied=apply, is_json=json)


def default_actor() -> str:
    """user@machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = f"uid-{os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def _run(wanted: "EventFilter", limit: int, act: "Act", *, verb: str, is_applied: bool, is_json: bool) -> None:
    from rich.console import Console
    from rich.progress import Progress as Bar

    outcomes: list[EventOutcome] = []

    async def work(_settings: "Settings", store: "Store") -> "Selection":
        from supatoss.inbox.replay import select

        chosen = await select(store, wanted, limit)
        outcomes.extend(chosen.refused)
        console = Console(stderr=True)
        with Bar(console=console, transient=True, disable=is_json or not sys.stderr.isatty()) as bar:
            task = bar.add_task(verb, total=len(chosen.events))

            def progress(done: Sequence["EventOutcome"]) -> None:
                outcomes.extend(done)
                bar.advance(task, len(done))

            await act(store, [event.id for event in chosen.events], progress)
        return chosen

    has_more = False
    try:
        has_more = run_session(work).has_more
    finally:
        # Whatever ends it, what was done before is shown.
        _report(outcomes, verb=verb, is_applied=is_applied, is_json=is_json, has_more=has_more, limit=limit)
    if any(outcome.outcome not in _DONE or outcome.status == "failed" for outcome in outcomes):
        raise typer.Exit(ExitStatus.FOUND)


def _report(
    outcomes: Sequence["EventOutcome"], *, verb: str, is_applied: bool, is_json: bool, has_more: bool, limit: int
) -> None:
    if is_json:
        answer = {"applied": is_applied, "has_more": has_more, "events": [outcome.to_json() for outcome in outcomes]}
        print_json(answer)
        return
    if outcomes:
        rows = [[outcome.event, outcome.outcome, outcome.status, outcome.reason] for outcome in outcomes]
        print_table(("event", "outcome", "status after", "reason"), rows)
    else:
        typer.echo("No events.")
    if has_more:
        typer.echo(f"More than {limit} events match; these are the oldest. --limit raises the cap.")
    if outcomes and not is_applied:
        typer.echo(f"Nothing was changed. To {verb} them: the same command with --apply")
