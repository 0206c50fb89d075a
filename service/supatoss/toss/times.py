"""Points in time as Toss writes them."""

import datetime as dt

SEOUL = dt.timezone(dt.timedelta(hours=9), "Asia/Seoul")
"""Korea has had no daylight saving time since 1988, so a fixed offset is exact for every payment."""


def parse_time(text: object) -> dt.datetime | None:
    """A time of Toss in UTC, or None where there is none to read.

    With an offset or Z it is used; without one the time is Korean: `createdAt` of payment events has none, and differs
    from the offset-bearing approvedAt of the same body by less than a second (community payloads). Zero to nine digits
    of a second's fraction are seen; PostgreSQL and Python keep six.
    """
    if not isinstance(text, str) or "T" not in text:
        return None
    try:
        moment = dt.datetime.fromisoformat(text.strip())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=SEOUL)
        return moment.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None


def parse_date(text: object) -> dt.date | None:
    """A calendar day in Korea (`soldDate`, `paidOutDate`), or None where there is none to read."""
    if not isinstance(text, str):
        return None
    try:
        return dt.date.fromisoformat(text.strip()[:10])
    except ValueError:
        return None
