"""Limits on calls of Toss's API: calls a minute, calls in flight, and a pause after a 429, for each purpose by itself.

Whoever sends deliveries decides how often they make us call Toss. So deliveries have slots, a share of the minute and a
pause of their own, and don't hold up the worker, approvals and reconciliation.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from supatoss.errors import TossThrottled

WINDOW_SECONDS = 61.0
"""Toss counts by the minute; one second more, because a request arrives later than it was sent."""


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a call is made for.

    in_flight: calls at once. share: it may call while all purposes together have used no more than this share of the
    minute's calls. kept: calls a minute that are reserved for it. waits: whether it waits for a free call, or for the
    end of a pause.
    """

    name: str
    in_flight: int
    share: float = 1.0
    kept: float = 0.0
    waits: bool = True


ALONE = Purpose("alone", in_flight=8)
"""A command: nothing else in its process calls Toss."""

STRANGER = Purpose("stranger", in_flight=4, share=0.3, waits=False)
KNOWN = Purpose("known", in_flight=8, share=0.7)
TOSS = Purpose("toss", in_flight=48, share=0.8)
"""Deliveries by who sends them: anybody; about an order that the tables know; from Toss. Each leaves room for the next
one, and all of them for the worker and reconciliation. Toss decides itself how many of its own come at once: if an
answer takes 0.2 s, 48 places carry 240 a second, 8 only 40, and in a sale the rest would get 503."""

WORKER = Purpose("worker", in_flight=8, share=0.8, kept=0.1)
CONFIRM = Purpose("confirm", in_flight=4)
"""An approval takes up to 30 s. Toss counts approvals and records apart, each as an API of its own."""

RECONCILE = Purpose("reconcile", in_flight=8, share=0.6, kept=0.1)

MAX_CALLS_IN_FLIGHT = sum(each.in_flight for each in (STRANGER, KNOWN, TOSS, WORKER, CONFIRM, RECONCILE))


def loop_time() -> float:
    """Seconds on the clock of the running event loop."""
    return asyncio.get_running_loop().time()


class TokenBucket:
    """A fixed number of tokens, each of which comes back one window after its use.

    Refilling at a steady rate would let a full bucket pass twice the limit in its first minute, and Toss would answer
    429 to the excess. Here no window of `window_seconds` ever holds more than `tokens` uses. Nothing is reserved ahead:
    whoever has time to wait must not take what others need now.
    """

    def __init__(
        self, tokens: int, window_seconds: float = WINDOW_SECONDS, clock: Callable[[], float] = loop_time
    ) -> None:
        self._tokens = tokens
        self._window_seconds = window_seconds
        self._clock = clock
        self._used: deque[tuple[float, Purpose]] = deque()

    def take(self, purpose: Purpose = ALONE) -> float:
        """Takes a token and returns 0, or takes none and returns the seconds until there may be one."""
        now = self._clock()
        while self._used and self._used[0][0] + self._window_seconds <= now:
            self._used.popleft()
        shared = [at for at, _ in self._used]
        own = [at for at, user in self._used if user == purpose]
        waits = [self._wait(shared, max(int(self._tokens * purpose.share), 1), now)]
        if kept := int(self._tokens * purpose.kept):
            waits.append(self._wait(own, kept, now))
        if (wait := min(waits)) == 0:
            self._used.append((now, purpose))
        return wait

    def _wait(self, used_at: list[float], limit: int, now: float) -> float:
        return 0.0 if len(used_at) < limit else used_at[-limit] + self._window_seconds - now


class RateLimiter:
    """The limits of one purpose. A call that can't be sent before its deadline fails at once."""

    def __init__(self, purpose: Purpose, max_in_flight: int | None = None) -> None:
        self._purpose = purpose
        self._slots = asyncio.Semaphore(max_in_flight or purpose.in_flight)
        self._turns: dict[str, asyncio.Lock] = {}
        self._paused_until: dict[str, float] = {}

    def pause(self, key: str, seconds: float) -> None:
        """Holds back a key's calls that are not sent yet. A shorter pause never cuts a longer one short."""
        self._paused_until[key] = max(self._until(key), loop_time() + seconds)

    @asynccontextmanager
    async def slot(self, call: str, key: str, bucket: TokenBucket | None, deadline: float) -> AsyncIterator[None]:
        """A slot for one call in flight. Raises TossThrottled if none is free before the deadline."""
        self._pause_left(call, key, deadline)
        if bucket is not None:
            async with self._turns.setdefault(call, asyncio.Lock()):
                await self._take(call, bucket, deadline)
        async with self._slots:
            while (wait := self._pause_left(call, key, deadline)) > 0:  # noqa: ASYNC110 - a pause can grow while it lasts
                await asyncio.sleep(wait)
            yield

    async def _take(self, call: str, bucket: TokenBucket, deadline: float) -> None:
        while (wait := bucket.take(self._purpose)) > 0:
            if not self._purpose.waits or loop_time() + wait > deadline:
                raise TossThrottled(call, "rate limit", retry_after_seconds=wait)
            await asyncio.sleep(wait)

    def _pause_left(self, call: str, key: str, deadline: float) -> float:
        left = self._until(key) - loop_time()
        if self._until(key) > deadline or (left > 0 and not self._purpose.waits):
            raise TossThrottled(call, "rate limit", retry_after_seconds=left)
        return left

    def _until(self, key: str) -> float:
        return self._paused_until.get(key, float("-inf"))
