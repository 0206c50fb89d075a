"""`supatoss events list`, `show` and `tail`: reading only."""

import datetime as dt
import json as json_text
import uuid
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from supatoss.cli.events import filters
from supatoss.cli.moments import read_moment, show_moment
from supatoss.cli.output import JsonOption, plain, print_json, print_table
from supatoss.cli.session import run_session
from supatoss.errors import NotAllowed

if TYPE_CHECKING:
    from supatoss.eventlog import Cursor, EventPage, StoredEvent
    from supatoss.settings import Settings
    from supatoss.store import Store

COLUMNS = ("created (KST)", "event", "type", "status", "reason", "order", "payment key")
DEFAULT_LIMIT = 50


def list_events(
    *,
    statuses: filters.Statuses = None,
    types: filters.Types = None,
    reasons: filters.Reasons = None,
    order: filters.Order = None,
    payment_key: filters.PaymentKey = None,
    since: filters.Since = None,
    until: filters.Until = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="Longest page.")] = DEFAULT_LIMIT,
    after: Annotated[str | None, typer.Option("--after", help="Where the page before ended: its `next`.")] = None,
    json: JsonOption = False,
) -> None:
    """List events, newest first."""
    wanted = filters.make_filter(
        statuses=statuses,
        types=types,
        reasons=reasons,
        order=order,
        payment_key=payment_key,
        since=since,
        until=until,
    )
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
        typer.echo(f"There are more: --after {following}")


def show(event: Annotated[str, typer.Argument(help="Id of the event.")], *, json: JsonOption = False) -> None:
    """Show one event: what is known of it, its payload (masked), and what operators did."""
    from supatoss.eventlog import EventFilter
    from supatoss.masking import mask_json

    try:
        identity = str(uuid.UUID(event))
    except ValueError:
        raise NotAllowed(f"{event[:50]!r} is not an event's id") from None

    async def work(_settings: "Settings", store: "Store") -> "EventPage":
        return await store.find_events(EventFilter(ids=(identity,)), limit=1, with_payload=True)

    page = run_session(work)
    if not page.events:
        raise NotAllowed(f"there is no event {identity}")
    found = page.events[0]
    shown = {**found.to_json(), "payload": mask_json(found.payload), "change": mask_json(found.change)}
    if json:
        print_json({**shown, "actions": [asdict(action) for action in found.actions]})
        return
    for name, value in shown.items():
        if value is None or name in ("payload", "change"):
            continue
        stored = getattr(found, name)
        told = f"{show_moment(stored)} KST" if isinstance(stored, dt.datetime) else plain(value)
        typer.echo(f"{name:18} {told}")
    for name in ("payload", "change"):
        typer.echo(f"\n{name}")
        typer.echo(_pretty(shown[name]))
    if found.actions:
        typer.echo()
        rows = [
            (show_moment(act.at), act.actor, act.action, act.reason, act.status_before, act.status_after)
            for act in found.actions
        ]
        print_table(("at (KST)", "who", "what", "reason", "from", "to"), rows, "Operators' actions")


def tail(
    *,
    statuses: filters.Statuses = None,
    types: filters.Types = None,
    reasons: filters.Reasons = None,
    order: filters.Order = None,
    payment_key: filters.PaymentKey = None,
    since: filters.Since = None,
    json: JsonOption = False,
) -> None:
    """Follow new events until Ctrl-C."""
    from supatoss.inbox.tail import follow

    wanted = filters.make_filter(statuses=statuses, types=types, reasons=reasons, order=order, payment_key=payment_key)
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
    from supatoss.eventlog import Cursor

    moment, _, identity = text.partition(",")
    try:
        return Cursor(dt.datetime.fromisoformat(moment), str(uuid.UUID(identity)))
    except ValueError:
        raise NotAllowed("--after takes what `next` of the page before said") from None
