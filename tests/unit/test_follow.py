"""Following new events: each once, whatever the order in which their transactions end."""

import datetime as dt
from typing import Any

import pytest

from supatoss.errors import StoreUnavailable
from supatoss.inbox.follow import POLL_SECONDS, follow
from supatoss.store.events import Cursor, EventFilter, EventPage, StoredEvent
from tests.unit.fakes import MemoryStore

pytestmark = pytest.mark.anyio

START = dt.datetime(2026, 3, 14, tzinfo=dt.UTC)


def stored(name: str, second: float) -> StoredEvent:
    at = START + dt.timedelta(seconds=second)
    return StoredEvent(
        name, name, "T", "processed", None, "signature", None, None, at, at, at, 0, None, None, None, 1, at
    )


class Inbox(MemoryStore):
    """Pages of two. `arrivals` are what each wait brings; the last one ends the test."""

    def __init__(self, *arrivals: list[StoredEvent]) -> None:
        super().__init__()
        self.events: list[StoredEvent] = []
        self.arrivals = list(arrivals)
        self.waited: list[float] = []

    async def find_events(
        self, wanted: EventFilter, *, limit: int, after: Cursor | None = None, **more: Any
    ) -> EventPage:
        assert more == {"is_ascending": True, "with_payload": False}
        assert wanted.created_from is not None
        place = (after.created_at, after.id) if after else (wanted.created_from, "")
        found = sorted(
            (event for event in self.events if (event.created_at, event.id) > place),
            key=lambda event: (event.created_at, event.id),
        )
        return EventPage(tuple(found[:2]), found[1].cursor if len(found) > 2 else None)

    async def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        if not self.arrivals:
            raise StoreUnavailable("the end")
        self.events += self.arrivals.pop(0)


async def followed(inbox: Inbox) -> list[str]:
    found: list[str] = []
    try:
        async for event in follow(inbox, EventFilter(types=("T",)), START, inbox.sleep):
            found.append(event.id)  # noqa: PERF401 - kept when the end comes
    except StoreUnavailable as end:
        assert str(end) == "the end"  # noqa: PT017 - follow never ends by itself
    return found


async def test_each_event_comes_once_and_in_order() -> None:
    inbox = Inbox([stored(name, second) for second, name in enumerate("abcde")], [], [stored("f", 9)])
    assert await followed(inbox) == list("abcdef")
    assert inbox.waited == [POLL_SECONDS] * 4


async def test_one_whose_transaction_took_longer_is_not_lost() -> None:
    inbox = Inbox([stored("late", 20)], [stored("early", 2)], [stored("next", 21)])
    assert await followed(inbox) == ["late", "early", "next"]


async def test_what_was_before_is_not_shown() -> None:
    inbox = Inbox([stored("before", -1), stored("after", 1)], [stored("far", 500)], [stored("farther", 600)])
    assert await followed(inbox) == ["after", "far", "farther"]
