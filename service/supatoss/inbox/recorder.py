"""Writes events in batches: those that arrive while a write is in flight go into the next one.

A lone event is written at once, and batches grow with the load. Each event is answered after its batch has committed,
with its own outcome; when a write fails, it fails for every event in it.

Slow events, which somebody may send on purpose, go in calls of their own, so that the others don't wait for them.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from supatoss import tracing
from supatoss.errors import StoreError, StoreUnavailable
from supatoss.inbox.event import NewEvent
from supatoss.store import Store
from supatoss.store.recording import RecordedEvent
from supatoss.telemetry import BATCH_EVENTS

MAX_BATCH_EVENTS = 100
"""Events in one call: an event costs a fifth less than in calls of 50; larger calls would delay the others."""

MAX_BATCH_CHARACTERS = 1024 * 1024
"""Payload text in one call, so that a few of the largest bodies don't make a request of many megabytes."""

MAX_IN_FLIGHT = 2
"""Concurrent calls: while one commits, the next is on its way. A third only makes the batches smaller."""

MIN_CONCURRENT_EVENTS = 16
"""Fewest events for a second concurrent call, or half of those in flight if that is less; fewer wait for the next call.

Answers go out together, so the senders' next deliveries arrive together. If the first of them took the free call for
itself, calls of one event would alternate with calls of all the others, and cost as much.
"""

MAX_HELD_SECONDS = 0.1
"""Longest wait for those few: a slower call waits for a lock or the database, and must not hold up others."""

MAX_WAITING = 2000
"""Events waiting for a call. At the slowest measured rate, 300 events/s, they are written within the deadline."""

MAX_WAITING_CHARACTERS = 32 * 1024 * 1024
"""Payload text waiting for a call: 2,000 of the largest bodies would fill a 256 MB machine twice."""

SLOW_CHARACTERS = 16 * 1024
"""Payload text of a slow event: four times the longest in Toss's documents. 256 KiB of cancels take 60 ms to record."""

SLOW_ORDER_EVENTS = 20
"""Events of one order within minutes that make further ones slow: each is folded with those before it. A normal order
has a few."""

REMEMBERED_ORDERS = 5000
"""Orders whose events are counted: those of some minutes under load. At most twice as many are in memory."""

MAX_SLOW_BATCH_EVENTS = 10
MAX_SLOW_WAITING = 100
"""Slow events waiting for a call, of which one is under way: 100 take 6 s at worst, which is within the deadline."""

MAX_SLOW_WAITING_CHARACTERS = 8 * 1024 * 1024


@dataclass(slots=True)
class _Waiting:
    """An event's record, the characters of its payload, the future of its outcome, and the span of its call."""

    record: dict[str, Any] = field(repr=False)
    length: int
    outcome: asyncio.Future[RecordedEvent]
    batch: str | None = None


@dataclass(slots=True)
class _Lane:
    """Events waiting for a call, oldest first, and the limits of a call and of all that wait."""

    max_batch_events: int
    max_waiting: int
    max_waiting_characters: int
    waiting: deque[_Waiting] = field(default_factory=deque)
    characters: int = 0

    def put(self, waiting: _Waiting) -> None:
        """Queues one. Raises StoreUnavailable when too many wait."""
        if len(self.waiting) >= self.max_waiting or self.characters >= self.max_waiting_characters:
            raise StoreUnavailable("too many events are waiting to be written")
        self.waiting.append(waiting)
        self.characters += waiting.length

    def take(self) -> list[_Waiting]:
        """The next batch. Events that were answered 503 meanwhile are left out."""
        batch: list[_Waiting] = []
        characters = 0
        while self.waiting and len(batch) < self.max_batch_events:
            if batch and characters + self.waiting[0].length > MAX_BATCH_CHARACTERS:
                break
            waiting = self.waiting.popleft()
            self.characters -= waiting.length
            if not waiting.outcome.done():
                batch.append(waiting)
                characters += waiting.length
        return batch


class _OrderCounts:
    """How many events of which order came lately. Bounded: the older half is forgotten at once."""

    def __init__(self) -> None:
        self._newer: dict[str, int] = {}
        self._older: dict[str, int] = {}

    def count(self, order_id: str) -> int:
        """Counts one more event of an order, and says how many those are."""
        if len(self._newer) >= REMEMBERED_ORDERS:
            self._newer, self._older = {}, self._newer
        newer = self._newer[order_id] = self._newer.get(order_id, 0) + 1
        return newer + self._older.get(order_id, 0)


class Recorder:
    """Records verified events. When `record` returns, the event is stored durably."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lane = _Lane(MAX_BATCH_EVENTS, MAX_WAITING, MAX_WAITING_CHARACTERS)
        self._slow_lane = _Lane(MAX_SLOW_BATCH_EVENTS, MAX_SLOW_WAITING, MAX_SLOW_WAITING_CHARACTERS)
        self._slow_write: asyncio.Task[None] | None = None
        self._orders = _OrderCounts()
        self._writes: dict[asyncio.Task[None], int] = {}
        self._is_due = False
        self._held: asyncio.TimerHandle | None = None

    async def record(self, event: NewEvent) -> RecordedEvent:
        """Records one event. After a StoreError it may or may not be stored; recording it again is safe."""
        record = event.to_record()
        if (traceparent := tracing.traceparent()) is not None:
            record["traceparent"] = traceparent
        waiting = _Waiting(record, len(record["payload"]), asyncio.get_running_loop().create_future())
        if self._is_slow(waiting):
            self._slow_lane.put(waiting)
            self._write_slow()
        else:
            self._lane.put(waiting)
            self._write_soon()
        outcome = await waiting.outcome
        tracing.link(waiting.batch)
        return outcome

    def _is_slow(self, waiting: _Waiting) -> bool:
        order_id = waiting.record["order_id"]
        is_long = order_id is not None and self._orders.count(order_id) > SLOW_ORDER_EVENTS
        return is_long or waiting.length > SLOW_CHARACTERS

    def _write_slow(self) -> None:
        if self._slow_write is None and (batch := self._slow_lane.take()):
            self._slow_write = asyncio.create_task(self._write(batch))
            self._slow_write.add_done_callback(self._slow_written)

    def _slow_written(self, _write: asyncio.Task[None]) -> None:
        self._slow_write = None
        self._write_slow()

    def _write_soon(self) -> None:
        """Writes after the event loop's ready callbacks, so that deliveries read together are written together."""
        if not self._is_due and len(self._writes) < MAX_IN_FLIGHT:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._write_on)

    def _write_on(self, *, is_overdue: bool = False) -> None:
        self._is_due = False
        while self._lane.waiting and len(self._writes) < MAX_IN_FLIGHT:
            if not is_overdue and len(self._lane.waiting) < min(MIN_CONCURRENT_EVENTS, sum(self._writes.values()) / 2):
                if self._held is None:
                    self._held = asyncio.get_running_loop().call_later(MAX_HELD_SECONDS, self._write_held)
                return
            batch = self._lane.take()
            if not batch:
                return
            if self._held is not None:
                self._held.cancel()
                self._held = None
            write = asyncio.create_task(self._write(batch))
            self._writes[write] = len(batch)
            write.add_done_callback(self._written)

    def _write_held(self) -> None:
        self._held = None
        self._write_on(is_overdue=True)

    async def _write(self, batch: list[_Waiting]) -> None:
        BATCH_EVENTS.observe(len(batch))
        try:
            with tracing.batch("record", [waiting.record.get("traceparent") for waiting in batch]):
                span = tracing.traceparent()
                for waiting in batch:
                    waiting.batch = span
                outcomes = await self._store.record_webhook_events([waiting.record for waiting in batch])
        except Exception as error:  # noqa: BLE001 - whatever it is, every event in the batch fails with it
            _fail(batch, error)
        else:
            for waiting, outcome in zip(batch, outcomes, strict=True):
                if outcome.problem:
                    _fail([waiting], outcome.problem)
                elif not waiting.outcome.done():
                    waiting.outcome.set_result(outcome)

    def _written(self, write: asyncio.Task[None]) -> None:
        del self._writes[write]
        self._write_soon()


def _fail(batch: list[_Waiting], error: Exception) -> None:
    for waiting in batch:
        if not waiting.outcome.done():
            # An exception for each, if possible: one that is raised in several tasks would mix their tracebacks.
            own = type(error)(str(error)) if isinstance(error, StoreError) else error
            waiting.outcome.set_exception(own)
