"""Calendar days in Korea, which is what Toss's days are."""

import datetime as dt
from dataclasses import dataclass

from supatoss.toss.fields import SEOUL

_DAY = dt.timedelta(days=1)


def today(now: dt.datetime) -> dt.date:
    """The day in Korea."""
    return now.astimezone(SEOUL).date()


def start_of(day: dt.date) -> dt.datetime:
    """Midnight in Korea, at which the day begins."""
    return dt.datetime.combine(day, dt.time(), SEOUL)


@dataclass(frozen=True, slots=True)
class Days:
    """Some days in a row, both ends included."""

    first: dt.date
    last: dt.date

    def closes_at(self, now: dt.datetime) -> dt.datetime:
        """The end of the last day, or now while it still runs: Toss is never paged over an end that moves."""
        return min(start_of(self.last + _DAY), now)

    def after(self, day: dt.date) -> dt.date | None:
        """The next of these days."""
        return day + _DAY if day < self.last else None


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time, its end not included, so that what happens at midnight belongs to one day alone."""

    start: dt.datetime
    end: dt.datetime

    @classmethod
    def of(cls, day: dt.date, closes_at: dt.datetime) -> "Window":
        """What of a day lies before the end of the run."""
        return cls(start_of(day), min(start_of(day + _DAY), closes_at))

    def has(self, moment: dt.datetime | None) -> bool:
        """Whether a point in time is in it."""
        return moment is not None and self.start <= moment < self.end
