"""What somebody looks for among the events, as the form and the address say it. Pure."""

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.responses import Response

from supatoss.inbox.event import EventStatus
from supatoss.ops.assets import query
from supatoss.ops.i18n import CATALOGUES
from supatoss.ops.visits import Visit
from supatoss.store.events import Cursor, EventFilter, EventPage
from supatoss.toss.events import MAX_TYPE_LENGTH, TYPES
from supatoss.toss.fields import SEOUL

MAX_SEARCH = 200
MAX_REASON = 100


@dataclass(frozen=True, slots=True)
class Wanted:
    """A filter as it was typed, read as far as it can be. `problems` names what cannot: filter.bad_… of the texts."""

    q: str = ""
    status: str = ""
    reason: str = ""
    type: str = ""
    since_text: str = ""
    until_text: str = ""
    after: str = ""
    by: str = ""
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    cursor: Cursor | None = None
    problems: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it means every event."""
        return not (
            self.q or self.status or self.reason or self.type or self.since_text or self.until_text or self.after
        )

    @property
    def has_more_conditions(self) -> bool:
        """Whether one of the conditions is set that the form folds away."""
        return bool(self.reason or self.type or self.since_text or self.until_text)

    @property
    def id(self) -> str | None:
        """The event's id, where that is what is searched for."""
        try:
            return str(uuid.UUID(self.q)) if len(self.q) == 36 else None
        except ValueError:
            return None

    def to_filter(self, *, by_payment: bool = False) -> EventFilter:
        """For the store. What is searched for is an order, or else a payment key."""
        return EventFilter(
            statuses=(self.status,) if self.status else (),
            types=(self.type,) if self.type else (),
            reasons=(self.reason,) if self.reason else (),
            order_id=None if by_payment else self.q or None,
            payment_key=self.q or None if by_payment else None,
            created_from=self.since,
            created_until=self.until,
        )

    def to_query(self) -> dict[str, str]:
        """The parameters of the address that means this filter, without the page."""
        return {
            "q": self.q,
            "status": self.status,
            "reason": self.reason,
            "type": self.type,
            "from": self.since_text,
            "until": self.until_text,
        }


def read_wanted(query: Mapping[str, str]) -> Wanted:
    """The filter of an address. Total: what cannot be read is a problem, never an error."""
    texts = {name: query.get(name, "").strip() for name in ("q", "status", "reason", "type", "from", "until", "after")}
    problems = []
    if texts["status"] and texts["status"] not in list(EventStatus):
        problems.append("status")
    for name, problem, longest in (
        ("type", "type", MAX_TYPE_LENGTH),
        ("reason", "reason", MAX_REASON),
        ("q", "search", MAX_SEARCH),
    ):
        if len(texts[name]) > longest or "\x00" in texts[name]:
            problems.append(problem)
    since, until = _moment(texts["from"]), _moment(texts["until"])
    if (texts["from"] and not since) or (texts["until"] and not until):
        problems.append("time")
    elif since and until and since >= until:
        problems.append("order")
    cursor = _cursor(texts["after"])
    if texts["after"] and not cursor:
        problems.append("page")
    return Wanted(
        q=texts["q"],
        status=texts["status"],
        reason=texts["reason"],
        type=texts["type"],
        since_text=texts["from"],
        until_text=texts["until"],
        after=texts["after"],
        by="payment" if query.get("by") == "payment" else "",
        since=since,
        until=until,
        cursor=cursor,
        problems=tuple(problems),
    )


def cursor_text(cursor: Cursor) -> str:
    """A cursor for an address."""
    return f"{cursor.created_at.astimezone(dt.UTC).isoformat()}~{cursor.id}"


def _moment(text: str) -> dt.datetime | None:
    """What a field for date and time holds, meant in Korean time."""
    try:
        moment = dt.datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=SEOUL)).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None


def _cursor(text: str) -> Cursor | None:
    at, _, identity = text.partition("~")
    moment = _moment(at)
    try:
        return Cursor(moment, str(uuid.UUID(identity))) if moment else None
    except ValueError:
        return None


PAGE_EVENTS = 50
"""What one looks through without losing the thread; the next page is a click away."""

EVENTS = "/ops/events"


async def show_events(visit: Visit) -> Response:
    """GET /ops/events?q=&status=&reason=&type=&from=&until=&after=."""
    wanted = read_wanted(visit.request.query_params)
    if wanted.id:
        return visit.redirect(f"{EVENTS}/{wanted.id}")
    page, by = EventPage((), None), ""
    if not wanted.problems:
        page, by = await _find(visit, wanted)
    words = visit.words
    summary = ""
    if page.events:
        summary = words.t("events.shown_more" if page.next else "events.shown", number=len(page.events))
    elif not wanted.problems:
        summary = words.t("events.nothing_title")
    following = query(**wanted.to_query(), by=by, after=cursor_text(page.next)) if page.next else ""
    return visit.render(
        "events.html",
        400 if wanted.problems else 200,
        section="events",
        filter=wanted,
        problems=wanted.problems,
        page=page,
        summary=summary,
        next_page=f"{EVENTS}?{following}" if following else "",
        first_page=f"{EVENTS}?{query(**wanted.to_query())}",
        reasons=_with(
            [key.removeprefix("reason.") for key in CATALOGUES[words.language] if key.startswith("reason.")],
            wanted.reason,
        ),
        types=_with(sorted(TYPES), wanted.type),
    )


async def _find(visit: Visit, wanted: Wanted) -> tuple[EventPage, str]:
    """The page, and what the search turned out to be about: an order, else a payment."""
    if wanted.by != "payment":
        page = await visit.store.find_events(wanted.to_filter(), limit=PAGE_EVENTS, after=wanted.cursor)
        if page.events or not wanted.q or wanted.cursor:
            return page, ""
    page = await visit.store.find_events(wanted.to_filter(by_payment=True), limit=PAGE_EVENTS, after=wanted.cursor)
    return page, "payment"


def _with(known: list[str], asked: str) -> list[str]:
    """The choices of a list, and the one that was asked for although it is none of them."""
    known = [name for name in known if name != "none"]
    return known if not asked or asked in known else [asked, *known]
