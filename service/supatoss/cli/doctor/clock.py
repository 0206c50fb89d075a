"""Whether this machine's clock agrees with those of the Data API and of Toss."""

import datetime as dt
from email.utils import parsedate_to_datetime

import httpx

from supatoss.cli.doctor.verdict import Verdict, failed, ok, warning
from supatoss.settings import Settings

WARNING_SECONDS = 5.0
"""A Date header is exact to a second, and the answer took a moment."""

FAILED_SECONDS = 60.0
"""An event without a time of its own counts as of its arrival here; a minute puts it before or after its neighbours."""

_MEND = "switch on the synchronisation of this machine's clock (NTP)"


async def check_clock(settings: Settings, http: httpx.AsyncClient) -> list[Verdict]:
    """A verdict for each of the two."""
    return [
        await _compare(http, "clock, Data API", f"{settings.supabase_url}/rest/v1/"),
        await _compare(http, "clock, Toss", f"{settings.toss_api_url}/"),
    ]


async def _compare(http: httpx.AsyncClient, check: str, url: str) -> Verdict:
    before = dt.datetime.now(dt.UTC)
    try:
        answer = await http.get(url)
    except httpx.HTTPError as error:
        return warning(check, f"cannot be compared: {type(error).__name__}", "see the other verdicts on this address")
    middle = before + (dt.datetime.now(dt.UTC) - before) / 2
    return judge(check, answer.headers.get("date", ""), middle)


def judge(check: str, date: str, now: dt.datetime) -> Verdict:
    """Compares an HTTP date, which drops the fraction of its second, with a time."""
    try:
        theirs = parsedate_to_datetime(date).astimezone(dt.UTC) + dt.timedelta(seconds=0.5)
    except ValueError:
        return warning(check, "cannot be compared: the answer has no Date", "compare the clock by hand: date -u")
    seconds = (now - theirs).total_seconds()
    if abs(seconds) <= WARNING_SECONDS:
        return ok(check, f"within {WARNING_SECONDS:g} s")
    message = f"this machine is {abs(seconds):.0f} s {'ahead' if seconds > 0 else 'behind'}"
    return failed(check, message, _MEND) if abs(seconds) > FAILED_SECONDS else warning(check, message, _MEND)
