"""Counts uses a minute by name, and remembers for a while: both bounded, whatever names outsiders make up."""

import time
from collections import OrderedDict
from collections.abc import Callable

MAX_NAMES = 10_000
"""Names that are counted; of more than these, those that are used up are few."""

MINUTE_SECONDS = 60.0


class Allowance:
    """A number of uses a minute for each name, all at once if need be; each comes back after a minute."""

    def __init__(
        self, per_minute: int, clock: Callable[[], float] = time.monotonic, max_names: int = MAX_NAMES
    ) -> None:
        self._seconds_each = MINUTE_SECONDS / per_minute
        self._clock = clock
        self._max_names = max_names
        self._whole_at: OrderedDict[str, float] = OrderedDict()
        """When each name has all its uses again; the name that was used longest ago first."""

    def has(self, name: str) -> bool:
        """Whether there is a use left."""
        left_until_whole = self._whole_at.get(name, 0.0) - self._clock()
        return left_until_whole + self._seconds_each <= MINUTE_SECONDS + 1e-6

    def take(self, name: str) -> None:
        """One use."""
        now = self._clock()
        self._whole_at[name] = max(self._whole_at.get(name, now), now) + self._seconds_each
        self._whole_at.move_to_end(name)
        while self._whole_at:
            oldest, whole_at = next(iter(self._whole_at.items()))
            if whole_at > now and len(self._whole_at) <= self._max_names:
                return
            del self._whole_at[oldest]


class Recent:
    """Names that were noted within some seconds; if they are too many, the newest."""

    def __init__(self, seconds: float, max_names: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._max_names = max_names
        self._clock = clock
        self._noted_at: OrderedDict[str, float] = OrderedDict()

    def note(self, name: str) -> None:
        """Remembers a name from now on."""
        self._noted_at[name] = self._clock()
        self._noted_at.move_to_end(name)
        if len(self._noted_at) > self._max_names:
            self._noted_at.popitem(last=False)

    def forget(self, name: str) -> None:
        """Forgets a name."""
        self._noted_at.pop(name, None)

    def holds(self, name: str) -> bool:
        """Whether it was noted lately."""
        return self._clock() - self._noted_at.get(name, float("-inf")) < self._seconds
