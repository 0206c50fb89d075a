"""Slows down whoever guesses the password: a few attempts an address, and a limit for all addresses together."""

import ipaddress
import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable

WINDOW_SECONDS = 300.0
"""An attempt counts for five minutes: a person who mistypes waits no longer than that."""

ATTEMPTS_OF_ADDRESS = 5
"""60 guesses an hour: with 12 characters there is no end to them."""

ATTEMPTS_OF_ALL = 60
"""A guesser with many addresses gets 720 guesses an hour in all. Who is signed in already notices nothing."""

MAX_ADDRESSES = 1000
"""Addresses that are remembered; the limit for all keeps fewer than this in one window."""


class Throttle:
    """Counts attempts at signing in, within the memory of one process. Times in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._all: deque[float] = deque(maxlen=ATTEMPTS_OF_ALL)
        self._addresses: OrderedDict[str, deque[float]] = OrderedDict()

    def take(self, address: str) -> int:
        """Counts one attempt. 0 when it may go on, else the seconds after which the next one may.

        It is counted before the password is looked at, so that attempts made at the same time do not slip through.
        """
        now = self._clock()
        name = _network(address)
        own = self._addresses.get(name) or deque(maxlen=ATTEMPTS_OF_ADDRESS)
        wait = max(self._wait(own, now), self._wait(self._all, now))
        if wait > 0:
            return math.ceil(wait)
        own.append(now)
        self._all.append(now)
        self._addresses[name] = own
        self._addresses.move_to_end(name)
        if len(self._addresses) > MAX_ADDRESSES:
            self._addresses.popitem(last=False)
        return 0

    def forgive(self, address: str) -> None:
        """The attempt was right: this address starts afresh."""
        own = self._addresses.pop(_network(address), None)
        if own and self._all:
            self._all.pop()

    @staticmethod
    def _wait(attempts: deque[float], now: float) -> float:
        """Seconds until the oldest attempt counts no more; 0 where there is room."""
        while attempts and attempts[0] <= now - WINDOW_SECONDS:
            attempts.popleft()
        return attempts[0] + WINDOW_SECONDS - now if len(attempts) == attempts.maxlen else 0.0


def _network(address: str) -> str:
    """An IPv6 customer has a whole /64, so its addresses count as one."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
