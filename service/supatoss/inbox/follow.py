"""Follows new events by polling: each once, oldest first."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

from supatoss.store.events import MAX_PAGE_EVENTS, EventCalls, EventFilter, StoredEvent

POLL_SECONDS = 2.0

PAGE_WITH_PAYLOAD_EVENTS = 100
"""A payload has a few kilobytes, so these pages are smaller."""

OVERLAP = dt.timedelta(seconds=30)
"""created_at is when a transaction began, and a long one can commit after a later one: each poll goes back this far,
longer than a call of the Data API may take."""

Sleep = Callable[[float], Awaitable[None]]


async def follow(
    store: EventCalls,
    wanted: EventFilter,
    since: dt.datetime,
    sleep: Sleep = asyncio.sleep,
    *,
    with_payload: bool = False,
    is_endless: bool = True,
) -> AsyncIterator[StoredEvent]:
    """Events created since a time, endlessly unless is_endless is false. Raises StoreError."""
    seen: dict[str, dt.datetime] = {}
    newest = since
    while True:
        start = max(since, newest - OVERLAP)
        cursor = None
        while True:
            page = await store.find_events(
                replace(wanted, created_from=start),
                limit=PAGE_WITH_PAYLOAD_EVENTS if with_payload else MAX_PAGE_EVENTS,
                after=cursor,
                is_ascending=True,
                with_payload=with_payload,
            )
            for event in page.events:
                newest = max(newest, event.created_at)
                if event.id not in seen:
                    seen[event.id] = event.created_at
                    yield event
            cursor = page.next
            if cursor is None:
                break
        if not is_endless:
            return
        seen = {identity: moment for identity, moment in seen.items() if moment >= newest - OVERLAP}
        await sleep(POLL_SECONDS)
