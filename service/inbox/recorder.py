"""Writes events through the store, coalesced: those that arrive while a write is in flight ride in the next one.

No timer and no added wait: a lone event goes at once, batches grow with the load. Each event is answered after the
commit of its own batch, and has an outcome of its own; when a write fails, everybody in it is told so.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from service.errors import StoreError, StoreUnavailable
from service.inbox.meaning import NewEvent
from service.store import RecordedEvent, Store
from service.telemetry import BATCH_EVENTS

MAX_BATCH_EVENTS = 100
"""Events in one call: an event costs a fifth less than in calls of 50, and more would make neighbours wait."""

MAX_BATCH_CHARACTERS = 1024 * 1024
"""Payload text in one call, so that a few bodies of the longest kind do not make one request of many megabytes."""

MAX_IN_FLIGHT = 2
"""Calls at once: while one commits, the next one is on its way. A third only makes the batches smaller."""

MAX_WAITING = 2000
"""Events that wait for a call. At the slowest measured rate, 300 events/s, they are written within the deadline."""

MAX_WAITING_CHARACTERS = 32 * 1024 * 1024
"""Payload text that waits for a call: 2,000 bodies of the longest kind would fill a machine of 256 MB twice."""


@dataclass(slots=True)
class _Waiting:
    """An event's record, and where its outcome is awaited."""

    record: dict[str, Any] = field(repr=False)
    outcome: asyncio.Future[RecordedEvent]

    @property
    def length(self) -> int:
        """Characters of its payload."""
        return len(self.record["payload"])


class Recorder:
    """Records authenticated events. When `record` returns, the event is stored durably."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: deque[_Waiting] = deque()
        self._waiting_characters = 0
        self._writes: set[asyncio.Task[None]] = set()

    async def record(self, event: NewEvent) -> RecordedEvent:
        """Records one event. Raises StoreError; then it is not known to be stored, and recording again is safe."""
        if len(self._waiting) >= MAX_WAITING or self._waiting_characters >= MAX_WAITING_CHARACTERS:
            raise StoreUnavailable("too many events wait to be written")
        waiting = _Waiting(event.to_record(), asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._waiting_characters += waiting.length
        self._write_on()
        return await waiting.outcome

    def _write_on(self) -> None:
        while self._waiting and len(self._writes) < MAX_IN_FLIGHT:
            batch = self._take()
            if not batch:
                return
            write = asyncio.create_task(self._write(batch))
            self._writes.add(write)
            write.add_done_callback(self._written)

    def _take(self) -> list[_Waiting]:
        """The next batch: the longest-waiting first. Who gave up waiting meanwhile was answered 503 and is left out."""
        batch: list[_Waiting] = []
        characters = 0
        while self._waiting and len(batch) < MAX_BATCH_EVENTS:
            if batch and characters + self._waiting[0].length > MAX_BATCH_CHARACTERS:
                break
            waiting = self._waiting.popleft()
            self._waiting_characters -= waiting.length
            if not waiting.outcome.done():
                batch.append(waiting)
                characters += waiting.length
        return batch

    async def _write(self, batch: list[_Waiting]) -> None:
        BATCH_EVENTS.observe(len(batch))
        try:
            outcomes = await self._store.record_webhook_events([waiting.record for waiting in batch])
        except Exception as error:  # noqa: BLE001 - whatever it is, everybody in the batch has to hear of it
            _fail(batch, error)
        else:
            for waiting, outcome in zip(batch, outcomes, strict=True):
                if not waiting.outcome.done():
                    waiting.outcome.set_result(outcome)

    def _written(self, write: asyncio.Task[None]) -> None:
        self._writes.discard(write)
        self._write_on()


def _fail(batch: list[_Waiting], error: Exception) -> None:
    for waiting in batch:
        if not waiting.outcome.done():
            # One exception each, where it can be made again: raising one in several tasks would mix their tracebacks.
            own = type(error)(str(error)) if isinstance(error, StoreError) else error
            waiting.outcome.set_exception(own)
