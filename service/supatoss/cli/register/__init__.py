"""`supatoss register`: what is typed into Toss's developer centre, and whether deliveries arrive afterwards."""

import datetime as dt
import os
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from supatoss.cli.output import ExitStatus, JsonOption, plain, print_json
from supatoss.cli.register.sheet import Language

if TYPE_CHECKING:
    from supatoss.eventlog import StoredEvent
    from supatoss.settings import Settings
    from supatoss.store import Store

WAIT_SECONDS = 600
"""Time to go to the developer centre and make a test payment."""


def register(
    *,
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="Address of the service or of its webhook; PUBLIC_URL.")
    ] = None,
    language: Annotated[
        Language | None, typer.Option("--language", help="Language of the sheet; that of the shell unless given.")
    ] = None,
    is_checked: Annotated[bool, typer.Option("--check", help="Look whether a delivery arrived (--since).")] = False,
    since: Annotated[
        str, typer.Option("--since", metavar="WHEN", help="For --check: 2h (ago), 2026-03-14, …T09:00 (KST).")
    ] = "1d",
    is_awaited: Annotated[bool, typer.Option("--wait", help="Wait for the next delivery.")] = False,
    timeout_seconds: Annotated[
        float, typer.Option("--timeout", min=1, max=86_400, help="For --wait: seconds.")
    ] = WAIT_SECONDS,
    json: JsonOption = False,
) -> None:
    """Print the fields and check-lists for registering the webhook at Toss, and see whether deliveries arrive."""
    from supatoss.cli.moments import read_moment
    from supatoss.cli.session import run_session

    moment = read_moment(since, dt.datetime.now(dt.UTC))
    if is_checked and is_awaited:
        raise typer.BadParameter("either look (--check) or wait (--wait)", param_hint="--check")
    _print_sheet(_webhook_url(url), language or _language_of_the_shell(), json=json)
    if not (is_checked or is_awaited):
        return

    async def look(_settings: "Settings", store: "Store") -> "StoredEvent | None":
        from supatoss.cli.register.arrivals import newest_arrivals, wait_for_arrival

        if is_awaited:
            return await wait_for_arrival(store, timeout_seconds)
        return next(iter(await newest_arrivals(store, moment)), None)

    if is_awaited and not json:
        typer.echo(f"\nwaiting up to {timeout_seconds:g} seconds for a delivery; Ctrl-C ends it")
    arrived = run_session(look)
    _print_arrival(arrived, json=json)
    raise typer.Exit(ExitStatus.OK if arrived else ExitStatus.FOUND)


def _webhook_url(given: str | None) -> str:
    """The webhook's URL of an address that may already have its path."""
    from supatoss.cli.sending import WEBHOOK_PATH, check_target

    name = "--url" if given else "PUBLIC_URL"
    text = (given or os.environ.get("PUBLIC_URL", "")).strip()
    if not text:
        raise typer.BadParameter("give --url, or set PUBLIC_URL: https://<app>.fly.dev", param_hint="--url")
    url = check_target(name, text).rstrip("/")
    return url if urlsplit(url).path else url + WEBHOOK_PATH


def _language_of_the_shell() -> Language:
    named = next((value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := os.environ.get(name))), "")
    return Language.KO if named.lower().startswith("ko") else Language.EN


def _print_sheet(url: str, language: Language, *, json: bool) -> None:
    from supatoss.cli.register.sheet import make_sheet, to_text
    from supatoss.cli.signing import SigningKeys

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
