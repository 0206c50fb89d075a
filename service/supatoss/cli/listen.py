"""`supatoss listen`: forwards webhooks to an application on this machine, with no tunnel and no settings.

With an inbox (a Supabase project, or `make run`), every event that arrives there is posted as Toss would send it.
Without one, it opens an address of its own on this machine and forwards what arrives there.
"""

import asyncio
import datetime as dt
import os
import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from supatoss.cli.options import Form, Since, takes_filter
from supatoss.cli.output import ExitStatus, JsonOption, print_note
from supatoss.cli.session import run_async
from supatoss.errors import ConfigurationError, NotAllowed, StoreError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from supatoss.cli.sending import SigningKeys
    from supatoss.store import Store
    from supatoss.store.events import EventFilter, StoredEvent

POLL_SECONDS = 1.0
RETRY_SECONDS = 1.0
"""Between two tries while the inbox is unavailable."""

STORE_SECONDS = 10.0
"""For one call of the Data API."""

REMEMBERED = 10_000
"""Forwarded events to remember, so that none is sent twice after the inbox was unavailable."""

_SHORT_URL = re.compile(r"(localhost|127\.0\.0\.1)(:\d{1,5})?(/.*)?")


@takes_filter(has_period=False)
def listen(
    *,
    to: Annotated[str, typer.Option("--to", metavar="URL", help="Your webhook: http://localhost:3000/api/toss.")],
    since: Since = None,
    is_once: Annotated[bool, typer.Option("--once", help="Forward what was stored --since a time, and stop.")] = False,
    wanted: "EventFilter",
    signed: Annotated[Form | None, typer.Option("--signed", help="Form of the signature.")] = None,
    key_env: Annotated[
        str | None, typer.Option("--key-env", metavar="NAME", help="Variable that holds the key to sign with.")
    ] = None,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Without an inbox: port to receive at; 0: any free one.")
    ] = 0,
    json: JsonOption = False,
) -> None:
    """Forward webhooks to your application, until Ctrl-C.

    Follows the inbox that your settings, .env or `make run` name. Without one,
    it opens an address of its own. Signs with a key that it prints.

    Example: supatoss listen --to http://localhost:3000/api/toss
    """
    from supatoss.cli.forwarding import signing_keys
    from supatoss.cli.options import read_moment
    from supatoss.cli.receiving import receive
    from supatoss.cli.sending import check_target

    now = dt.datetime.now(dt.UTC)
    start = read_moment(since, now) if since else now
    if is_once and since is None:
        raise typer.BadParameter("--once needs to know where to start, such as --since 1h", param_hint="--since")
    url = check_target("--to", f"http://{to.strip()}" if _SHORT_URL.fullmatch(to.strip()) else to)
    inbox = find_inbox()
    if inbox is None and (since or not wanted.is_empty):
        raise NotAllowed("--since and filters need an inbox: set SUPABASE_URL and SUPABASE_SECRET_KEY, or `make run`")
    keys = signing_keys(key_env, inbox.key if inbox else None)
    keys.check(signed or Form.HEX)
    work = (
        _follow(inbox, url, keys, signed, wanted, start, is_once=is_once, is_json=json)
        if inbox
        else receive(port, url, keys, signed, is_json=json)
    )
    raise typer.Exit(run_async(work))


@dataclass(frozen=True, slots=True)
class Inbox:
    """A project's Data API and its key."""

    url: str
    key: str = field(repr=False)


def find_inbox() -> Inbox | None:
    """From the environment, `.env`, or the checkout's `make run`. Raises ConfigurationError for an invalid address."""
    from supatoss.cli.dotenv import load_dotenv, load_local_stack
    from supatoss.data_api import check_supabase_url

    load_dotenv()
    load_local_stack()
    names = ("SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY")
    url = os.environ.get("SUPABASE_URL", "").strip()
    key = next((value for name in names if (value := os.environ.get(name, "").strip())), "")
    if not (url and key):
        if url or key:
            missing = "SUPABASE_SECRET_KEY" if url else "SUPABASE_URL"
            print_note(f"{missing} is missing, so no inbox is followed")
        return None
    try:
        return Inbox(check_supabase_url(url), key)
    except ValueError as error:
        raise ConfigurationError([f"SUPABASE_URL {error}."]) from None


async def _follow(
    inbox: Inbox,
    url: str,
    keys: "SigningKeys",
    form: Form | None,
    wanted: "EventFilter",
    start: dt.datetime,
    *,
    is_once: bool,
    is_json: bool,
) -> ExitStatus:
    """Forwards the events of an inbox one by one, in order of arrival."""
    from supatoss.cli.forwarding import Forwarding, greet
    from supatoss.cli.sending import open_sender
    from supatoss.cli.session import log_to_stderr
    from supatoss.log_lines import Lines, may_colour
    from supatoss.store import Store

    log_to_stderr()
    if not is_json and not is_once:
        greet(
            f"Events that arrive at {inbox.url} are posted to {url}.", keys, "supatoss trigger PAYMENT_STATUS_CHANGED"
        )
    store = Store.open(inbox.url, inbox.key, STORE_SECONDS)
    try:
        async with open_sender(url) as sender:
            run = Forwarding(sender, keys, form, Lines(in_colour=may_colour()), is_json, waits=not is_once)
            try:
                events = _stored(store, wanted, start) if is_once else _new(store, wanted, start)
                async for event in events:
                    if problem := _problem(event):
                        run.skip(event, problem)
                        continue
                    answer = await run.deliver((event.payload or "").encode(), event.event_type, _about(event))
                    if not answer.is_reached:
                        print_note(f"to resume: --since {event.created_at.isoformat()}")
                        return ExitStatus.UNREACHABLE
            finally:
                if not is_json and (is_once or run.counts):
                    typer.echo(run.summary() or "no events match")
            return ExitStatus.FOUND if run.counts["refused"] else ExitStatus.OK
    finally:
        await store.close()


def _stored(store: "Store", wanted: "EventFilter", start: dt.datetime) -> "AsyncIterator[StoredEvent]":
    from supatoss.inbox.follow import follow

    return follow(store, wanted, start, with_payload=True, is_endless=False)


async def _new(store: "Store", wanted: "EventFilter", start: dt.datetime) -> "AsyncIterator[StoredEvent]":
    """Every event from `start` on, without end. While the inbox is unavailable, it keeps trying."""
    from supatoss.inbox.follow import follow

    seen = deque[str](maxlen=REMEMBERED)
    is_away = False
    while True:
        try:
            async for event in follow(store, wanted, start, _sleep, with_payload=True):
                if event.id not in seen:
                    seen.append(event.id)
                    start = max(start, event.created_at)
                    yield event
        except StoreError as error:
            if not isinstance(error, StoreUnavailable):
                raise
            if not is_away:
                print_note(f"{error}; waiting")
            is_away = True
            await asyncio.sleep(RETRY_SECONDS)


async def _sleep(_seconds: float) -> None:
    """More often than `events tail`, because a developer is waiting."""
    await asyncio.sleep(POLL_SECONDS)


def _about(event: "StoredEvent") -> dict[str, Any]:
    from supatoss.cli.forwarding import identity_of, read_event

    _, about = read_event((event.payload or "").encode())
    return {**about, "order_id": event.order_id, "identity": identity_of(event)}


def _problem(event: "StoredEvent") -> str | None:
    """Why an event can't be forwarded, or None."""
    from supatoss.inbox.replay import EMPTY_PAYLOADS

    if event.event_type.startswith("supatoss."):
        return "skipped: recorded by supatoss itself, not a delivery"
    if event.payload in EMPTY_PAYLOADS:
        return "skipped: retention has removed its payload"
    return None
