"""Paces guesses at passwords, and locks nobody out."""

import asyncio
import random
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from supatoss.addresses import network_of, parse_address

WINDOW_SECONDS = 300.0
"""A wrong password counts for five minutes."""

GUESSES_IN_TOTAL = 60
"""While guessing continues, one guess is checked every five seconds, 720 an hour: hopeless against 12 characters."""

LONGEST_PAUSE_SECONDS = WINDOW_SECONDS / GUESSES_IN_TOTAL

GUESSES_PER_DEVICE = 10
"""More than a person mistypes. After that, a known device waits in the queue like a stranger."""

MAX_WAITING = 16
"""Attempts that wait for their turn. Each holds a connection."""

MAX_WAIT_SECONDS = 10.0
"""Longer than the longest pause, so whoever comes first in a queue of strangers gets a turn."""

RETRY_AFTER_SECONDS = 10
"""After that, the queue has other attempts in it."""

MAX_KEYS = 1000
"""Remembered addresses and devices; the pause lets fewer than this fail in one window."""


class Handle(Protocol):
    """A scheduled call."""

    def cancel(self) -> None:
        """Cancels it."""


@dataclass(slots=True)
class Attempt:
    """One password. is_sent_away: it is not checked, because there are too many. The caller sets is_right."""

    is_sent_away: bool = False
    is_right: bool = False


@dataclass(eq=False, slots=True)
class _Waiting:
    """An attempt in the queue. turn: resolves to whether it is checked."""

    address: str
    turn: asyncio.Future[bool]


class Throttle:
    """Lets attempts through, in one process. Times in seconds.

    A device from which its operator has signed in before goes first, and no stranger can delay it. All others take
    turns, one at a time, with a pause after each that grows with the strangers' wrong passwords. The next turn goes to
    the address with the fewest wrong passwords, so that guessers wait behind everybody else, however many addresses
    they use. Names don't count: guessers could make up new ones, and the wait would reveal which names exist.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        later: Callable[[float, Callable[[], None]], Handle] | None = None,
    ) -> None:
        self._clock = clock
        self._later = later or (lambda seconds, call: asyncio.get_running_loop().call_later(seconds, call))
        self._devices = _Recent(clock, GUESSES_PER_DEVICE)
        self._addresses = _Recent(clock, GUESSES_IN_TOTAL)
        self._strangers: deque[float] = deque(maxlen=GUESSES_IN_TOTAL)
        self._queue: list[_Waiting] = []
        self._is_taken = False
        self._free_at = clock()
        self._timer: Handle | None = None

    @asynccontextmanager
    async def attempt(self, address: str, device: str = "") -> AsyncIterator[Attempt]:
        """Waits until a password may be checked inside the block. device: one that its operator is known to use.

        It counts before it is checked, so that simultaneous attempts don't slip through.
        """
        attempt = Attempt()
        if device and self._devices.count(device) < GUESSES_PER_DEVICE:
            self._devices.add(device)
            yield attempt
            if attempt.is_right:
                self._devices.forget(device)
            return
        network = _network(address)
        if not await self._wait_for_turn(network):
            yield Attempt(is_sent_away=True)
            return
        self._addresses.add(network)
        self._strangers.append(self._clock())
        try:
            yield attempt
        finally:
            if attempt.is_right:
                self._addresses.forget(network)
                self._strangers.pop()
            self._end_turn()

    async def _wait_for_turn(self, address: str) -> bool:
        """Whether it came, in time."""
        waiting = _Waiting(address, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        if len(self._queue) > MAX_WAITING and (crowded_out := self._pick(max)):
            self._send_away(crowded_out)
        expiry = self._later(MAX_WAIT_SECONDS, lambda: self._send_away(waiting))
        self._call_next()
        try:
            return await waiting.turn
        except asyncio.CancelledError:
            if waiting in self._queue:
                self._queue.remove(waiting)
            elif waiting.turn.done() and not waiting.turn.cancelled() and waiting.turn.result():
                self._end_turn()
            raise
        finally:
            expiry.cancel()

    def _call_next(self) -> None:
        if self._is_taken or self._timer:
            return
        if (pause := self._free_at - self._clock()) > 0:
            self._timer = self._later(pause, self._end_pause)
        elif waiting := self._pick(min):
            self._queue.remove(waiting)
            self._is_taken = True
            waiting.turn.set_result(True)

    def _end_pause(self) -> None:
        self._timer = None
        self._call_next()

    def _pick(self, extreme: Callable[[list[int]], int]) -> _Waiting | None:
        """One of those with the fewest or the most wrong passwords from their address; None where nobody waits."""
        self._queue = [waiting for waiting in self._queue if not waiting.turn.done()]  # a browser may have left
        counts = [self._addresses.count(waiting.address) for waiting in self._queue]
        if not counts:
            return None
        wanted = extreme(counts)
        # At random: behind one proxy all have the same address, and frequent attempts must not crowd out the others.
        return random.choice(  # noqa: S311 - no secret depends on it
            [waiting for waiting, count in zip(self._queue, counts, strict=True) if count == wanted]
        )

    def _send_away(self, waiting: _Waiting) -> None:
        if waiting in self._queue:
            self._queue.remove(waiting)
            waiting.turn.set_result(False)

    def _end_turn(self) -> None:
        self._is_taken = False
        _drop_old(self._strangers, self._clock())
        self._free_at = self._clock() + LONGEST_PAUSE_SECONDS * len(self._strangers) / GUESSES_IN_TOTAL
        self._call_next()


class _Recent:
    """Wrong passwords of the last minutes, by address or device."""

    def __init__(self, clock: Callable[[], float], most: int) -> None:
        self._clock = clock
        self._most = most
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def count(self, key: str) -> int:
        times = self._times.get(key)
        return _drop_old(times, self._clock()) if times else 0

    def add(self, key: str) -> None:
        self._times.setdefault(key, deque(maxlen=self._most)).append(self._clock())
        self._times.move_to_end(key)
        if len(self._times) > MAX_KEYS:
            self._times.popitem(last=False)

    def forget(self, key: str) -> None:
        self._times.pop(key, None)


def _drop_old(times: deque[float], now: float) -> int:
    while times and times[0] <= now - WINDOW_SECONDS:
        times.popleft()
    return len(times)


def _network(text: str) -> str:
    address = parse_address(text)
    return network_of(address) if address else "unknown"
