"""`supatoss register`: how the webhook is registered at Toss, and whether deliveries arrive."""

import asyncio
import datetime as dt
import os
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from supatoss.cli.output import ExitStatus, JsonOption, plain, print_json
from supatoss.cli.sheet import SheetLanguage, make_sheet, to_text

if TYPE_CHECKING:
    from supatoss.settings import Settings
    from supatoss.store import Store
    from supatoss.store.events import StoredEvent

WAIT_SECONDS = 600
"""Enough time to go to the developer centre and make a test payment."""

POLL_SECONDS = 1.0
"""Between two polls."""

NEWEST_EVENTS = 50
"""Events examined; few of them come from ourselves or an operator."""


def register(
    *,
    url: Annotated[
        str | None,
        typer.Option("--url", metavar="URL", help="Address of the service or of its webhook; PUBLIC_URL by default."),
    ] = None,
    language: Annotated[
        SheetLanguage | None, typer.Option("--language", help="SheetLanguage of the output; by default the shell's.")
    ] = None,
    is_checked: Annotated[bool, typer.Option("--check", help="Check whether a delivery arrived (--since).")] = False,
    since: Annotated[
        str, typer.Option("--since", metavar="WHEN", help="For --check: 2h (ago), 2026-03-14, …T09:00 (KST).")
    ] = "1d",
    is_awaited: Annotated[bool, typer.Option("--wait", help="Wait for the next delivery.")] = False,
    timeout_seconds: Annotated[
        float, typer.Option("--timeout", min=1, max=86_400, help="For --wait: seconds.")
    ] = WAIT_SECONDS,
    json: JsonOption = False,
) -> None:
    """Print what to enter at Toss to register the webhook.

    Also prints checklists, and checks whether deliveries arrive.

    Example: supatoss register --url https://example.fly.dev --wait
    """
    from supatoss.cli.options import read_moment
    from supatoss.cli.session import run_session

    moment = read_moment(since, dt.datetime.now(dt.UTC))
    if is_checked and is_awaited:
        raise typer.BadParameter("use --check or --wait, not both", param_hint="--check")
    _print_sheet(_webhook_url(url), language or language_of_the_shell(), json=json)
    if not (is_checked or is_awaited):
        return

    async def look(_settings: "Settings", store: "Store") -> "StoredEvent | None":
        if is_awaited:
            return await wait_for_arrival(store, timeout_seconds)
        return next(iter(await newest_arrivals(store, moment)), None)

    if is_awaited and not json:
        typer.echo(f"\nwaiting up to {timeout_seconds:g} seconds for a delivery; Ctrl-C to stop")
    arrived = run_session(look)
    _print_arrival(arrived, json=json)
    raise typer.Exit(ExitStatus.OK if arrived else ExitStatus.FOUND)


def _webhook_url(given: str | None) -> str:
    """The webhook's URL, from an address with or without its path."""
    from supatoss.cli.dotenv import load_dotenv
    from supatoss.cli.sending import WEBHOOK_PATH, check_target

    if not given:
        load_dotenv()
    name = "--url" if given else "PUBLIC_URL"
    text = (given or os.environ.get("PUBLIC_URL", "")).strip()
    if not text:
        raise typer.BadParameter("set --url or PUBLIC_URL: https://<app>.fly.dev", param_hint="--url")
    url = check_target(name, text).rstrip("/")
    return url if urlsplit(url).path else url + WEBHOOK_PATH


def language_of_the_shell() -> SheetLanguage:
    """Korean where the shell's locale is."""
    named = next((value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := os.environ.get(name))), "")
    return SheetLanguage.KO if named.lower().startswith("ko") else SheetLanguage.EN


def _print_sheet(url: str, language: SheetLanguage, *, json: bool) -> None:
    from supatoss.cli.sending import SigningKeys

    sheet = make_sheet(url, SigningKeys.read().kind, language)
    if json:
        print_json(sheet.to_json())
    else:
        typer.echo(to_text(sheet))


def _print_arrival(event: "StoredEvent | None", *, json: bool) -> None:
    if json:
        print_json({"arrived": event is not None, "event": event.to_json() if event else None})
    elif event is None:
        typer.echo("no delivery arrived: see the webhook's history in the developer centre, and supatoss doctor")
    else:
        typer.echo(
            f"arrived: {plain(event.event_type)}, {event.status}, proof {event.proof},"
            f" at {event.created_at.isoformat()}, event {event.id}"
        )


async def newest_arrivals(store: "Store", since: dt.datetime | None = None) -> "list[StoredEvent]":
    """The newest events that arrived as deliveries, newest first. Raises StoreUnavailable or StoreRefused."""
    from supatoss.store.events import EventFilter

    page = await store.find_events(EventFilter(created_from=since), limit=NEWEST_EVENTS)
    return [event for event in page.events if _is_delivered(event)]


async def wait_for_arrival(store: "Store", timeout_seconds: float) -> "StoredEvent | None":
    """The next new event, or None after the time-out.

    New events are recognised by id, not by time: this machine's clock may differ from the database's.
    """
    known = {event.id for event in await newest_arrivals(store)}
    try:
        async with asyncio.timeout(timeout_seconds):
            while True:
                arrived = [event for event in await newest_arrivals(store) if event.id not in known]
                if arrived:
                    return arrived[-1]
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        return None


def _is_delivered(event: "StoredEvent") -> bool:
    """Neither recorded by an operator nor one of our own events (`supatoss.…`)."""
    return event.proof not in (None, "operator") and not event.event_type.startswith("supatoss.")
