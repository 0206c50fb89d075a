"""Times, amounts, numbers and links as people read them. Pure."""

import datetime as dt
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from markupsafe import Markup, escape

from supatoss import readable
from supatoss.store.events import SHORT_DIGITS
from supatoss.toss.fields import SEOUL

MAX_COUNTED = 1000
"""supatoss_ops_overview_v1 counts unfinished events up to this."""

DEVELOPERS = "https://developers.tosspayments.com/"
DASHBOARD = "https://app.tosspayments.com/"

money = readable.money


def breakable(name: str) -> Markup:
    """A name of Toss or of ours, which a narrow column may break after an underscore."""
    return Markup("_<wbr>").join(map(escape, name.split("_")))


def refunded(amount: str | None, balance: str | None) -> Decimal | None:
    """How much of a paid amount has been cancelled, None if nothing was. Amounts are decimal text."""
    return Decimal(amount) - Decimal(balance) or None if amount is not None and balance is not None else None


def parse_moment(value: object) -> dt.datetime | None:
    """A time from the Data API or from a payload; None if it can't be read."""
    if isinstance(value, dt.datetime):
        return value
    try:
        moment = dt.datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=SEOUL)


def korean_time(moment: dt.datetime) -> str:
    """2026-11-25 12:37:06, Korean time."""
    return f"{moment.astimezone(SEOUL):%Y-%m-%d %H:%M:%S}"


def iso(moment: dt.datetime) -> str:
    """For machines, with Korea's offset."""
    return moment.astimezone(SEOUL).isoformat(timespec="seconds")


def short_id(identity: str) -> str:
    """The end of an event's id, as the command line shows it; the search takes it."""
    return identity[-SHORT_DIGITS:]


def count(value: int) -> str:
    """12,345."""
    return f"{value:,}"


def capped_count(value: int) -> str:
    """A number that is counted up to a limit: 12, 1,000+."""
    return f"{count(value)}+" if value >= MAX_COUNTED else count(value)


def span(seconds: float) -> tuple[str, int]:
    """A length of time as the largest unit that fits: (seconds | minutes | hours | days, how many)."""
    whole = max(int(seconds), 0)
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if whole >= 2 * length:
            return unit, whole // length
    return "seconds", whole


def links_to_toss(payment: dict[str, Any] | None, own_receipt: object = None) -> list[dict[str, str]]:
    """Name and URL of each. Toss documents no URL of a single payment, so only receipts are linked directly.

    own_receipt: of the payment that the event is about, which may be another one than its order's row.
    """
    links = [{"name": "developers", "url": DEVELOPERS}, {"name": "dashboard", "url": DASHBOARD}]
    receipt, own = str((payment or {}).get("receipt_url") or ""), str(own_receipt or "")
    if is_toss_url(receipt):
        links = [{"name": "receipt_of_order" if own and own != receipt else "receipt", "url": receipt}, *links]
    return [{"name": "receipt", "url": own}, *links] if is_toss_url(own) and own != receipt else links


def is_toss_url(url: str) -> bool:
    """Whether a URL from data is one of Toss's own pages."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    return parts.scheme == "https" and (host == "tosspayments.com" or host.endswith(".tosspayments.com"))
