"""Points in time and numbers as Toss writes them."""

import datetime as dt
import json
from decimal import Decimal
from typing import Any

SEOUL = dt.timezone(dt.timedelta(hours=9), "Asia/Seoul")


def now() -> dt.datetime:
    """The time in Korea."""
    return dt.datetime.now(SEOUL)


def with_offset(moment: dt.datetime | None) -> str | None:
    """Seconds with an offset: requestedAt, approvedAt, canceledAt and the transmission time."""
    return None if moment is None else moment.astimezone(SEOUL).isoformat(timespec="seconds")


def without_offset(moment: dt.datetime) -> str:
    """Microseconds without an offset and without trailing zeros: createdAt of payment events and deposits."""
    text = moment.astimezone(SEOUL).replace(tzinfo=None).isoformat(timespec="microseconds")
    return text.rstrip("0").rstrip(".")


def read_moment(text: str) -> dt.datetime | None:
    """A time of a query: no offset, Korean time; a date alone is its midnight. None where it cannot be read."""
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=SEOUL) if moment.tzinfo is None else None


def to_json(value: object) -> bytes:
    """The bytes that go over the wire: compact, Korean text as it is, amounts as numbers."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_number).encode()


def from_json(raw: bytes) -> Any:
    """The value of a JSON text; numbers with a fraction stay exact. Raises ValueError."""
    return json.loads(raw, parse_float=Decimal)


def _number(value: object) -> int | float:
    if not isinstance(value, Decimal):
        raise TypeError(f"{type(value).__name__} has no JSON form")
    return int(value) if value == value.to_integral_value() else float(value)
