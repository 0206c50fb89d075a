"""Limits on calls of Toss's API: calls a minute, calls in flight, a pause after a 429; and look-ups that are shared."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from supatoss.errors import TossUnavailable

WINDOW_SECONDS = 61.0
"""Toss counts by the minute; one second more, because a request arrives later than it was sent."""


def loop_time() -> float:
    """Seconds on the clock of the running event loop."""
    return asyncio.get_running_loop().time()


class TokenBucket:
    """A fixed number of tokens, each of which comes back one window after its use.

    Refilling at a steady rate would let a full bucket pass twice the limit in its first minute, and Toss would answer
    429 to the excess. Here no window of `window_seconds` ever holds more than `tokens` uses.
    """

    def __init__(
        self, tokens: int, window_seconds: float = WINDOW_SECONDS, clock: Callable[[], float] = loop_time
    ) -> None:
        self._window_seconds = window_seconds
        self._clock = clock
        self._used_at: deque[float] = deque(maxlen=tokens)

    def take(self, within_seconds: float) -> float:
        """Takes a token and returns the seconds to wait before its use.

        If that is more than within_seconds, no token was taken.
        """
        now = self._clock()
        usable_at = now
        if len(self._used_at) == self._used_at.maxlen:
            usable_at = max(now, self._used_at[0] + self._window_seconds)
        if usable_at - now <= within_seconds:
            self._used_at.append(usable_at)
        return usable_at - now


class RateLimiter:
    """The limits of one client. A call that can't be sent before its deadline fails at once."""

    def __init__(self, max_in_flight: int) -> None:
        self._slots = asyncio.Semaphore(max_in_flight)
        self._paused_until: dict[str, float] = {}

    def pause(self, key: str, seconds: float) -> None:
        """Holds back a key's calls that are not sent yet. A shorter pause never cuts a longer one short."""
        self._paused_until[key] = max(self._until(key), loop_time() + seconds)

    @asynccontextmanager
    async def slot(self, call: str, key: str, bucket: TokenBucket | None, deadline: float) -> AsyncIterator[None]:
        """A slot for one call in flight. Raises TossUnavailable if none is free before the deadline."""
        self._pause_left(call, key, deadline)
        if bucket is not None:
            left = deadline - loop_time()
            wait = bucket.take(left)
            if wait > left:
                raise TossUnavailable(call, "rate limit", retry_after_seconds=wait)
            await asyncio.sleep(wait)
        async with self._slots:
            while (wait := self._pause_left(call, key, deadline)) > 0:  # noqa: ASYNC110 - a pause can grow while it lasts
                await asyncio.sleep(wait)
            yield

    def _pause_left(self, call: str, key: str, deadline: float) -> float:
        left = self._until(key) - loop_time()
        if self._until(key) > deadline:
            raise TossUnavailable(call, "rate limit", retry_after_seconds=left)
        return left

    def _until(self, key: str) -> float:
        return self._paused_until.get(key, float("-inf"))
