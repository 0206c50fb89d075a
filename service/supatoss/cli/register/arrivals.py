"""Whether a delivery of Toss has arrived: the newest events of the inbox."""

import asyncio
import datetime as dt

from supatoss.eventlog import EventFilter, StoredEvent
from supatoss.inbox.meaning import Proof
from supatoss.store import Store

POLL_SECONDS = 1.0
"""Between two looks; a person waits for the first one."""

NEWEST_EVENTS = 50
"""Events looked through; made by ourselves or by an operator are few among them."""


async def newest_arrivals(store: Store, since: dt.datetime | None = None) -> list[StoredEvent]:
    """The newest events that came as deliveries, newest first. Raises StoreUnavailable or StoreRefused."""
    page = await store.find_events(EventFilter(created_from=since), limit=NEWEST_EVENTS)
    return [event for event in page.events if _is_delivered(event)]


async def wait_for_arrival(store: Store, timeout_seconds: float) -> StoredEvent | None:
    """The first event that is not there yet, None when the time is over.

    What is new is told by ids, not by times: this machine's clock need not be the database's.
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


def _is_delivered(event: StoredEvent) -> bool:
    """Not recorded by a person, and not one of our own findings (`supatoss.…`)."""
    return event.proof not in (None, Proof.OPERATOR) and not event.event_type.startswith("supatoss.")
