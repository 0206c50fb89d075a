"""`supatoss events`: the inbox from the command line."""

import datetime as dt
import getpass
import json as json_text
import os
import socket
import sys
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from supatoss.cli.options import Since, read_moment, show_moment, takes_filter
from supatoss.cli.output import ExitStatus, JsonOption, plain, print_json, print_table
from supatoss.cli.refused import refused
from supatoss.cli.session import run_session
from supatoss.errors import NotAllowed

if TYPE_CHECKING:
    from supatoss.inbox.replay import Progress, Selection
    from supatoss.settings import Settings
    from supatoss.store import Store
    from supatoss.store.events import Cursor, EventFilter, EventOutcome, EventPage, StoredEvent

    Act = Callable[[Store, Sequence[str], Progress], Awaitable[object]]

COLUMNS = ("created (KST)", "event", "type", "status", "reason", "order", "payment key")
PAGE_LIMIT = 50


@takes_filter(has_period=True)
def list_events(
    *,
    wanted: "EventFilter",
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="Events on a page.")] = PAGE_LIMIT,
    after: Annotated[str | None, typer.Option("--after", help="Continue after the previous page: its `next`.")] = None,
    json: JsonOption = False,
) -> None:
    """List events, newest first."""
    cursor = _read_cursor(after) if after else None

    async def work(_settings: "Settings", store: "Store") -> "EventPage":
        return await store.find_events(wanted, limit=limit, after=cursor)

    page = run_session(work)
    following = f"{page.next.created_at.isoformat()},{page.next.id}" if page.next else None
    if json:
        print_json({"events": [event.to_json() for event in page.events], "next": following})
        return
    if not page.events:
        typer.echo("No events.")
        return
    print_table(COLUMNS, [_cells(event) for event in page.events])
    if following:
        typer.echo(f"More events: --after {following}")


def show(
    event: Annotated[str, typer.Argument(help="Id of the event, or its end.")], *, json: JsonOption = False
) -> None:
    """Show one event with its payload (masked) and what operators did."""
    from supatoss.masking import mask_json
    from supatoss.store.events import EventFilter

    async def work(_settings: "Settings", store: "Store") -> "EventPage":
        identity = await store.resolve_event_id(event)
        return await store.find_events(EventFilter(ids=(identity,)), limit=1, with_payload=True)

    page = run_session(work)
    if not page.events:
        raise NotAllowed(f"there is no event {event}")
    found = page.events[0]
    shown = {**found.to_json(), "payload": mask_json(found.payload), "change": mask_json(found.change)}
    if json:
        print_json({**shown, "actions": [asdict(action) for action in found.actions]})
        return
    for name, value in shown.items():
        if value is None or name in ("payload", "change"):
            continue
        stored = getattr(found, name)
        text = f"{show_moment(stored)} KST" if isinstance(stored, dt.datetime) else plain(value)
        typer.echo(f"{name:18} {text}")
    for name in ("payload", "change"):
        typer.echo(f"\n{name}")
        typer.echo(_pretty(shown[name]))
    if found.actions:
        typer.echo()
        rows = [
            (show_moment(act.at), act.actor, act.address, act.action, act.reason, act.status_before, act.status_after)
            for act in found.actions
        ]
        print_table(("at (KST)", "who", "address", "what", "reason", "from", "to"), rows, "Operators' actions")


@takes_filter(has_period=False)
def tail(
    *,
    wanted: "EventFilter",
    since: Since = None,
    json: JsonOption = False,
) -> None:
    """Follow new events until Ctrl-C."""
    from supatoss.inbox.follow import follow

    now = dt.datetime.now(dt.UTC)
    start = read_moment(since, now) if since else now

    async def work(_settings: "Settings", store: "Store") -> None:
        async for event in follow(store, wanted, start):
            if json:
                print_json(event.to_json())
            else:
                typer.echo("  ".join(plain(cell) for cell in _cells(event) if cell))

    run_session(work)


def _cells(event: "StoredEvent") -> list[str | None]:
    return [
        show_moment(event.created_at),
        event.id,
        event.event_type,
        event.status,
        event.reason,
        event.order_id,
        event.payment_key,
    ]


def _pretty(value: Any) -> str:
    lines = json_text.dumps(value, ensure_ascii=False, indent=2).splitlines()
    return "\n".join(plain(line) for line in lines)


def _read_cursor(text: str) -> "Cursor":
    from supatoss.store.events import Cursor

    moment, _, identity = text.partition(",")
    try:
        return Cursor(dt.datetime.fromisoformat(moment), str(uuid.UUID(identity)))
    except ValueError:
        raise NotAllowed("--after takes the `next` of the previous page") from None


Ids = Annotated[list[str] | None, typer.Argument(help="Ids of events, or their ends.", show_default=False)]
Limit = Annotated[int, typer.Option("--limit", help="Maximum number of events, oldest first; up to 10000.")]
Apply = Annotated[
    bool, typer.Option("--apply", "--yes", help="Apply the change; without it, only show what would happen.")
]
Actor = Annotated[str | None, typer.Option("--actor", help="Your name for the audit trail; default user@machine.")]

DEFAULT_LIMIT = 100
_DONE = ("replayed", "ignored", "unchanged")


@takes_filter(has_period=True)
def replay(
    ids: Ids = None,
    *,
    wanted: "EventFilter",
    limit: Limit = DEFAULT_LIMIT,
    apply: Apply = False,
    actor: Actor = None,
    json: JsonOption = False,
) -> None:
    """Process stored events again: failed and pending ones unless --status says otherwise.

    Nothing is applied twice. Without --apply it is a dry run: the database does it and rolls back.
    """
    who = actor or default_actor()

    async def act(store: "Store", chosen: Sequence[str], progress: "Progress") -> None:
        from supatoss.inbox.replay import replay as replay_events

        await replay_events(store, chosen, actor=who, dry_run=not apply, progress=progress)

    _run(ids, wanted, limit, act, verb="replay", is_applied=apply, is_json=json)


@takes_filter(has_period=True)
def ignore(
    ids: Ids = None,
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why they can be ignored, 1 to 500 characters.")],
    wanted: "EventFilter",
    limit: Limit = DEFAULT_LIMIT,
    apply: Apply = False,
    actor: Actor = None,
    json: JsonOption = False,
) -> None:
    """Ignore failed or pending events, with a reason. Changes already applied stay."""
    who = actor or default_actor()

    async def act(store: "Store", chosen: Sequence[str], progress: "Progress") -> None:
        from supatoss.inbox.replay import ignore as ignore_events

        await ignore_events(store, chosen, reason, actor=who, dry_run=not apply, progress=progress)

    _run(ids, wanted, limit, act, verb="ignore", is_applied=apply, is_json=json)


def default_actor() -> str:
    """The user and the machine: user@machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = f"uid-{os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def _run(
    ids: Sequence[str] | None,
    wanted: "EventFilter",
    limit: int,
    act: "Act",
    *,
    verb: str,
    is_applied: bool,
    is_json: bool,
) -> None:
    from rich.console import Console
    from rich.progress import Progress as Bar

    outcomes: list[EventOutcome] = []

    async def work(_settings: "Settings", store: "Store") -> "Selection":
        from supatoss.inbox.replay import select

        whole = [await store.resolve_event_id(text) for text in ids or ()]
        chosen = await select(store, replace(wanted, ids=tuple(whole)), limit)
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
        # Show what was done, however it ended.
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
        typer.echo(f"More than {limit} events match; these are the oldest. Raise --limit for more.")
    if outcomes and not is_applied:
        typer.echo(f"Nothing was changed. To {verb} them, add --apply")


events = typer.Typer(no_args_is_help=True, help="Inspect and repair the inbox.")
events.command("list")(list_events)
events.command()(show)
events.command()(tail)
events.command()(replay)
events.command()(ignore)
events.command()(refused)
