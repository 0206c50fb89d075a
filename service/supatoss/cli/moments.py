"""Points in time as people type and read them: Korean time, or how long ago."""

import datetime as dt
import re

from supatoss.errors import NotAllowed

SEOUL = dt.timezone(dt.timedelta(hours=9), "KST")

_AGO = re.compile(r"([0-9]{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def read_moment(text: str, now: dt.datetime) -> dt.datetime:
    """A time in UTC: `2h` ago, a day, or an ISO 8601 time; without an offset it is Korean. Raises NotAllowed."""
    ago = _AGO.fullmatch(text.strip())
    try:
        if ago:
            return now - dt.timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        moment = dt.datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=SEOUL)).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise NotAllowed(
            f"{text[:40]!r} is not a time: 30m, 2h, 7d (ago), 2026-03-14 or 2026-03-14T09:00 (KST, or with an offset)"
        ) from None


def show_moment(moment: dt.datetime | None) -> str:
    """Korean time to the second."""
    return "" if moment is None else f"{moment.astimezone(SEOUL):%Y-%m-%d %H:%M:%S}"
