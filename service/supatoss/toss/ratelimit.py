"""How often Toss is asked: so many a minute, so many at once, and not at all for a while after a 429."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

from supatoss.errors import TossUnavailable

WINDOW_SECONDS = 61.0
"""A minute, in which Toss counts, and one second because a request arrives later than it was sent."""

T = TypeVar("T")


def loop_time() -> float:
    """Seconds on the clock of the running event loop."""
    return asyncio.get_running_loop().time()


class TokenBucket:
    """A fixed number of tokens, each of which comes back a while after its use.

    Tokens that drip in at a steady rate would let a full bucket pass twice the limit in its first minute, and Toss
    would answer 429 to all of it. Here no window of `window_seconds` ever holds more than `tokens` uses.
    """

    def __init__(
        self, tokens: int, window_seconds: float = WINDOW_SECONDS, clock: Callable[[], float] = loop_time
    ) -> None:
        self._window_seconds = window_seconds
        self._clock = clock
        self._used_at: deque[float] = deque(maxlen=tokens)

    def take(self, within_seconds: float) -> float:
        """Takes a token and returns the seconds to wait before its use.

        More than within_seconds means that there is none in time, and none was taken.
        """
        now = self._clock()
        usable_at = now
        if len(self._used_at) == self._used_at.maxlen:
            usable_at = max(now, self._used_at[0] + self._window_seconds)
        if usable_at - now <= within_seconds:
            self._used_at.append(usable_at)
        return usable_at - now


class Pace:
    """The limits of one client. A call that cannot have its turn before its deadline fails at once."""

    def __init__(self, max_in_flight: int) -> None:
        self._slots = asyncio.Semaphore(max_in_flight)
        self._paused_until = float("-inf")

    def pause(self, seconds: float) -> None:
        """Holds all calls back that are not yet sent. A pause never shortens one that runs."""
        self._paused_until = max(self._paused_until, loop_time() + seconds)

    @asynccontextmanager
    async def turn(self, call: str, bucket: TokenBucket | None, deadline: float) -> AsyncIterator[None]:
        """One of the places in flight. Raises TossUnavailable where none can be had before the deadline."""
        self._pause_left(call, deadline)
        if bucket is not None:
            left = deadline - loop_time()
            wait = bucket.take(left)
            if wait > left:
                raise TossUnavailable(call, "rate limit", retry_after_seconds=wait)
            await asyncio.sleep(wait)
        async with self._slots:
            while (wait := self._pause_left(call, deadline)) > 0:  # noqa: ASYNC110 - a pause can grow while it lasts
                await asyncio.sleep(wait)
            yield

    def _pause_left(self, call: str, deadline: float) -> float:
        left = self._paused_until - loop_time()
        if self._paused_until > deadline:
            raise TossUnavailable(call, "rate limit", retry_after_seconds=left)
        return left


class SingleFlight(Generic[T]):
    """Callers that ask the same at the same time share one piece of work."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, asyncio.Task[T]] = {}
        self._waiting: dict[asyncio.Task[T], int] = {}

    async def join(self, key: Hashable, start: Callable[[], Coroutine[Any, Any, T]], timeout_seconds: float) -> T:
        """The result of the work under this key: of that in flight, else of what `start` makes.

        A caller that goes away leaves the others their work; the last one to go ends it. Raises what the work raises,
        and TimeoutError where work that another caller started takes longer than timeout_seconds.
        """
        task = self._tasks.get(key)
        is_mine = task is None
        if task is None:
            task = asyncio.create_task(start())
            task.add_done_callback(lambda done: self._land(key, done))
            self._tasks[key] = task
            self._waiting[task] = 0
        self._waiting[task] += 1
        try:
            # Unlike `await task`, waiting for it does not cancel it when the waiter is cancelled.
            finished, _ = await asyncio.wait((task,), timeout=None if is_mine else timeout_seconds)
            if not finished:
                raise TimeoutError
            return task.result()
        finally:
            self._leave(key, task)

    def _leave(self, key: Hashable, task: asyncio.Task[T]) -> None:
        self._waiting[task] -= 1
        if self._waiting[task]:
            return
        del self._waiting[task]
        self._forget(key, task)
        task.cancel()

    def _land(self, key: Hashable, task: asyncio.Task[T]) -> None:
        self._forget(key, task)
        if not task.cancelled():
            task.exception()  # so that nobody is warned of an error whose waiters have all gone

    def _forget(self, key: Hashable, task: asyncio.Task[T]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
