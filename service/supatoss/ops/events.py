"""The list of events and its search."""

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.responses import Response

from supatoss.inbox.event import EventStatus
from supatoss.ops.assets import query
from supatoss.ops.i18n import CATALOGUES
from supatoss.ops.page import PageRequest
from supatoss.store.events import Cursor, EventFilter, EventPage
from supatoss.toss.events import MAX_TYPE_LENGTH, TYPES
from supatoss.toss.fields import SEOUL

PAGE_EVENTS = 50
"""Enough to scan at once; the next page is a click away."""

EVENTS = "/ops/events"

MAX_SEARCH = 200
MAX_REASON = 100


@dataclass(frozen=True, slots=True)
class EventSearch:
    """A search as typed, parsed as far as possible. `problems` names the rest: filter.bad_… of the texts."""

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
        """Whether it matches every event."""
        return not (
            self.q or self.status or self.reason or self.type or self.since_text or self.until_text or self.after
        )

    @property
    def has_more_conditions(self) -> bool:
        """Whether one of the conditions is set that the form hides at first."""
        return bool(self.reason or self.type or self.since_text or self.until_text)

    @property
    def id(self) -> str | None:
        """The event's id, if that was searched for."""
        try:
            return str(uuid.UUID(self.q)) if len(self.q) == 36 else None
        except ValueError:
            return None

    def to_filter(self, *, by_payment: bool = False) -> EventFilter:
        """For the store. The search text is an order id, or else a payment key."""
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
        """The parameters of this search in a URL, without the page."""
        return {
            "q": self.q,
            "status": self.status,
            "reason": self.reason,
            "type": self.type,
            "from": self.since_text,
            "until": self.until_text,
        }


def read_search(query: Mapping[str, str]) -> EventSearch:
    """The search in a URL. Never raises: what can't be parsed is a problem."""
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
    return EventSearch(
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
    """A cursor for a URL."""
    return f"{cursor.created_at.astimezone(dt.UTC).isoformat()}~{cursor.id}"


def _moment(text: str) -> dt.datetime | None:
    """The value of a date and time field, in Korean time."""
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


async def show_events(request: PageRequest) -> Response:
    """GET /ops/events?q=&status=&reason=&type=&from=&until=&after=."""
    search = read_search(request.http.query_params)
    if search.id:
        return request.redirect(f"{EVENTS}/{search.id}")
    page, by = EventPage((), None), ""
    if not search.problems:
        page, by = await _find(request, search)
    texts = request.texts
    summary = ""
    if page.events:
        summary = texts.t("events.shown_more" if page.next else "events.shown", number=len(page.events))
    elif not search.problems:
        summary = texts.t("events.nothing_title")
    next_query = query(**search.to_query(), by=by, after=cursor_text(page.next)) if page.next else ""
    return request.render(
        "events.html",
        400 if search.problems else 200,
        section="events",
        search=search,
        problems=search.problems,
        page=page,
        summary=summary,
        next_page=f"{EVENTS}?{next_query}" if next_query else "",
        first_page=f"{EVENTS}?{query(**search.to_query())}",
        reasons=_with(
            [key.removeprefix("reason.") for key in CATALOGUES[texts.language] if key.startswith("reason.")],
            search.reason,
        ),
        types=_with(sorted(TYPES), search.type),
    )


async def _find(request: PageRequest, search: EventSearch) -> tuple[EventPage, str]:
    """The page, and "payment" if the search text turned out to be a payment key."""
    if search.by != "payment":
        page = await request.store.find_events(search.to_filter(), limit=PAGE_EVENTS, after=search.cursor)
        if page.events or not search.q or search.cursor:
            return page, ""
    page = await request.store.find_events(search.to_filter(by_payment=True), limit=PAGE_EVENTS, after=search.cursor)
    return page, "payment"


def _with(known: list[str], requested: str) -> list[str]:
    """The choices of a list, and the requested one if it is none of them."""
    known = [name for name in known if name != "none"]
    return known if not requested or requested in known else [requested, *known]
