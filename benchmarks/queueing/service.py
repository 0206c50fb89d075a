"""One process of the service: reads, batches as the recorder does (with its numbers), answers."""

import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from benchmarks.queueing.costs import Costs
from benchmarks.queueing.machine import Action, Clock, Cores, EventLoop, Pool
from supatoss.inbox.budget import QUEUE_PER_PLACE
from supatoss.inbox.recorder import (
    MAX_BATCH_EVENTS,
    MAX_HELD_SECONDS,
    MAX_IN_FLIGHT,
    MAX_WAITING,
    MIN_CONCURRENT_EVENTS,
)
from supatoss.server import MAX_REQUESTS
from supatoss.toss.ratelimit import TOSS

ANSWER_DEADLINE_SECONDS = 8.0
"""The service's default: later than that the answer is 503, whether or not the event is stored."""

Call = Callable[[int, Action], None]
"""Makes a call with so many events, and says when it has been answered."""


@dataclass(frozen=True, slots=True)
class Batching:
    """The recorder's rules."""

    max_events: int = MAX_BATCH_EVENTS
    max_in_flight: int = MAX_IN_FLIGHT
    min_concurrent: int = MIN_CONCURRENT_EVENTS
    max_held_seconds: float = MAX_HELD_SECONDS
    max_waiting: int = MAX_WAITING


@dataclass(slots=True)
class Delivery:
    """One attempt of a delivery, and who is told its answer."""

    answered: Callable[[int], None]
    is_answered: bool = False

    def answer(self, status: int) -> None:
        """Its only answer."""
        self.is_answered = True
        self.answered(status)


class Process:
    """One process of the service: reads, batches as the recorder does, answers."""

    def __init__(
        self, clock: Clock, cores: Cores, costs: Costs, rules: Batching, call: Call, toss: float | None
    ) -> None:
        """`toss`: seconds in which Toss answers a look-up; None for signed deliveries, which need none."""
        self._clock, self._costs, self._rules, self._call, self._toss = clock, costs, rules, call, toss
        self._loop = EventLoop(clock, cores)
        self._lookups, self._looked_up = Pool(TOSS.in_flight), 0
        self._waiting: deque[Delivery] = deque()
        self._in_flight: dict[int, int] = {}
        self._requests = 0
        self._is_due = False
        self._hold: int | None = None
        self._numbers = itertools.count()

    def receive(self, delivery: Delivery) -> None:
        """A delivery has arrived."""
        if self._requests >= MAX_REQUESTS:
            delivery.answer(503)
            return
        self._requests += 1
        self._clock.after(ANSWER_DEADLINE_SECONDS, partial(self._answer, delivery, 503))
        self._loop.arrive(self._costs.receive, partial(self._verify, delivery))

    def _answer(self, delivery: Delivery, status: int) -> None:
        """The first answer counts: the deadline's, or that of its event."""
        if not delivery.is_answered:
            self._requests -= 1
            delivery.answer(status)

    def _verify(self, delivery: Delivery) -> None:
        """An unsigned delivery is looked up at Toss; the CPU of a look-up is taken as that of any call."""
        if self._toss is None:
            self._record(delivery)
            return
        seconds = self._toss

        def look_up(release: Action) -> None:
            def answered() -> None:
                release()
                self._looked_up -= 1
                self._record(delivery)

            self._loop.call_soon(self._costs.call, lambda: self._clock.after(seconds, answered))

        if self._looked_up >= TOSS.in_flight * QUEUE_PER_PLACE:
            self._answer(delivery, 503)
            return
        self._looked_up += 1
        self._lookups.submit(look_up)

    def _record(self, delivery: Delivery) -> None:
        if delivery.is_answered:
            return
        if len(self._waiting) >= self._rules.max_waiting:
            self._answer(delivery, 503)
            return
        self._waiting.append(delivery)
        self._write_soon()

    def _write_soon(self) -> None:
        if not self._is_due and len(self._in_flight) < self._rules.max_in_flight:
            self._is_due = True
            self._loop.call_soon(0.0, self._write_on)

    def _write_on(self, *, is_overdue: bool = False) -> None:
        self._is_due = False
        while self._waiting and len(self._in_flight) < self._rules.max_in_flight:
            fewest = min(self._rules.min_concurrent, sum(self._in_flight.values()) / 2)
            if not is_overdue and len(self._waiting) < fewest:
                if self._hold is None:
                    self._hold = next(self._numbers)
                    self._clock.after(self._rules.max_held_seconds, partial(self._write_held, self._hold))
                return
            batch = self._take()
            if not batch:
                return
            self._hold = None
            write = next(self._numbers)
            self._in_flight[write] = len(batch)
            self._loop.call_soon(
                self._costs.call / 2, partial(self._call, len(batch), partial(self._commit, write, batch))
            )

    def _write_held(self, hold: int) -> None:
        if hold == self._hold:
            self._hold = None
            self._write_on(is_overdue=True)

    def _take(self) -> list[Delivery]:
        batch: list[Delivery] = []
        while self._waiting and len(batch) < self._rules.max_events:
            delivery = self._waiting.popleft()
            if not delivery.is_answered:
                batch.append(delivery)
        return batch

    def _commit(self, write: int, batch: list[Delivery]) -> None:
        self._loop.arrive(self._costs.call / 2, partial(self._answer_all, write, batch))

    def _answer_all(self, write: int, batch: list[Delivery]) -> None:
        for delivery in batch:
            self._loop.call_soon(self._costs.answer, partial(self._answer, delivery, 200))
        self._loop.call_soon(0.0, partial(self._written, write))

    def _written(self, write: int) -> None:
        del self._in_flight[write]
        self._write_soon()
