"""`supatoss events`: the inbox from the command line."""

import datetime as dt
import json as json_text
import uuid
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from supatoss.cli.lazy import lazy_group
from supatoss.cli.options import Since, read_moment, show_moment, takes_filter
from supatoss.cli.output import JsonOption, is_terminal, plain, print_json, print_note, print_table
from supatoss.cli.session import ask
from supatoss.cli.table import Column, Cut
from supatoss.errors import NotAllowed
from supatoss.readable import money

if TYPE_CHECKING:
    from supatoss.store.events import Cursor, EventCalls, EventFilter, EventPage, StoredEvent

PAGE_LIMIT = 50


def _short_type(name: str) -> str:
    for ending in ("_STATUS_CHANGED", "_CALLBACK", "_CHANGED", ".changed"):
        name = name.removesuffix(ending)
    return name


def _short_time(text: str) -> str:
    return text[5:16]


_COLOURS = {"processed": "green", "failed": "red", "pending": "yellow"}


def _style(outcome: str) -> dict[str, Any]:
    colour = _COLOURS.get(outcome.partition(" ")[0])
    return {"fg": colour} if colour else {"dim": True}


COLUMNS = (
    Column("event", Cut.NEVER),
    Column("time (KST)", Cut.NEVER, shorten=_short_time),
    Column("type", shorten=_short_type),
    Column("order", Cut.MIDDLE, least=12),
    Column("amount", Cut.NEVER, is_number=True),
    Column("payment", least=7),
    Column("outcome", least=13, style=_style),
    Column("order name", drop=1),
    Column("payment key", Cut.NEVER, drop=2),
)
PIPE_COLUMNS = (
    *("created (KST)", "event", "type", "status", "reason", "order", "payment key"),
    *("amount", "currency", "payment status", "order name"),
)
"""New ones come last."""


@takes_filter(has_period=True)
def list_events(
    *,
    wanted: "EventFilter",
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=500, help="Events on a page, at most 500.")
    ] = PAGE_LIMIT,
    after: Annotated[
        str | None, typer.Option("--after", metavar="NEXT", help="Continue after a page: its `next`.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """List events, newest first.

    Example: supatoss events list --status failed --since 7d
    """
    from supatoss.store.events import EventCalls

    cursor = _read_cursor(after) if after else None

    async def work(store: "EventCalls") -> "EventPage":
        return await store.find_events(wanted, limit=limit, after=cursor)

    page = ask(EventCalls, work)
    following = f"{page.next.created_at.isoformat()},{page.next.id}" if page.next else None
    if json:
        print_json({"events": [event.to_json() for event in page.events], "next": following})
        return
    if page.events:
        _print_events(page)
    elif after or not wanted.is_empty:
        typer.echo("No events match.")
    else:
        typer.echo("No events yet. To send one: supatoss trigger PAYMENT_STATUS_CHANGED")
    if following:
        print_note(f"more events: --after {following}")


def _print_events(page: "EventPage") -> None:
    from supatoss.store.events import shorten_ids

    if is_terminal():
        short = shorten_ids([event.id for event in page.events])
        print_table(COLUMNS, [_cells(event, short[event.id]) for event in page.events])
    else:
        print_table(PIPE_COLUMNS, [_fields(event) for event in page.events])


def _cells(event: "StoredEvent", name: str) -> list[str | None]:
    return [
        name,
        show_moment(event.created_at),
        event.event_type,
        event.order_id,
        money(event.amount, event.currency) if event.amount is not None else None,
        event.payment_status,
        " ".join(filter(None, (event.status, event.reason))),
        event.order_name,
        event.payment_key,
    ]


def _fields(event: "StoredEvent") -> list[str | None]:
    return [
        show_moment(event.created_at),
        event.id,
        event.event_type,
        event.status,
        event.reason,
        event.order_id,
        event.payment_key,
        event.amount,
        event.currency,
        event.payment_status,
        event.order_name,
    ]


def show(
    event: Annotated[str, typer.Argument(metavar="ID", help="Id of the event, or 4 or more characters of an end.")],
    *,
    json: JsonOption = False,
) -> None:
    """Show one event with its payload, and what operators did.

    Secrets and personal data are masked.

    Example: supatoss events show 7c4d91ab
    """
    from supatoss.masking import mask_json
    from supatoss.store.events import EventCalls, EventFilter

    async def work(store: "EventCalls") -> "EventPage":
        identity = await store.resolve_event_id(event)
        return await store.find_events(EventFilter(ids=(identity,)), limit=1, with_payload=True)

    page = ask(EventCalls, work)
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
    """Show new events as they arrive, until Ctrl-C.

    Example: supatoss events tail --status failed
    """
    from supatoss.inbox.follow import follow
    from supatoss.store.events import SHORT_DIGITS, EventCalls

    now = dt.datetime.now(dt.UTC)
    start = read_moment(since, now) if since else now

    async def work(store: "EventCalls") -> None:
        async for event in follow(store, wanted, start):
            if json:
                print_json(event.to_json())
            else:
                typer.echo("  ".join(plain(cell) for cell in _cells(event, event.id[-SHORT_DIGITS:])[:-1] if cell))

    ask(EventCalls, work)


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


events = typer.Typer(
    cls=lazy_group(
        {
            "list": "events:list_events",
            "show": "events:show",
            "tail": "events:tail",
            "replay": "replay:replay",
            "ignore": "replay:ignore",
            "unignore": "replay:unignore",
            "refused": "refused:refused",
        }
    ),
    no_args_is_help=True,
    help="Look at the inbox, and repair it.",
)
