"""The list of events and its search."""

import datetime as dt
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from starlette.responses import Response

from supatoss.inbox.actions import UNFINISHED
from supatoss.inbox.bulk import MAX_BATCH_EVENTS
from supatoss.inbox.event import EventStatus
from supatoss.ops.assets import query
from supatoss.ops.event import read_notice
from supatoss.ops.i18n import CATALOGUES
from supatoss.ops.page import PageRequest
from supatoss.store.events import Cursor, EventFilter, EventPage, Search
from supatoss.toss.events import MAX_TYPE_LENGTH, TYPES
from supatoss.toss.fields import SEOUL

PAGE_EVENTS = 50
"""Enough to scan at once; the next page is a click away."""

EVENTS = "/ops/events"

MAX_SEARCH = 200
MAX_REASON = 100

CONTENT = "content"
"""Search for amounts and names; see supatoss.store.events.Search."""

MIN_ID_CHARACTERS = 4
"""Shortest part of an event's id that opens the event."""

LIST_SECONDS = 10
SEARCH_SECONDS = 30
"""Between two refreshes of the list; a search can take the database a third of a second."""

MAX_AMOUNT_CHARACTERS = 20
_AMOUNT = re.compile(
    r"(?:₩|KRW|US\$|\$|USD)?\s*(?P<number>[0-9][0-9,]*(?:\.[0-9]{1,4})?)\s*(?:원|KRW|USD)?", re.IGNORECASE
)


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
        """Whether a filter is set that the form hides at first."""
        return bool(self.reason or self.type or self.since_text or self.until_text)

    @property
    def has_conditions(self) -> bool:
        """Whether a filter besides the text is set."""
        return bool(self.status or self.has_more_conditions)

    @property
    def amount(self) -> str | None:
        """The text as an amount, in plain digits."""
        found = _AMOUNT.fullmatch(self.q)
        if not found or len(found["number"]) > MAX_AMOUNT_CHARACTERS:
            return None
        return format(Decimal(found["number"].replace(",", "")).normalize(), "f")

    @property
    def is_surely_an_amount(self) -> bool:
        """Whether it is written as one: 9,900 or ₩9900."""
        return self.amount is not None and not self.q.isdecimal()

    @property
    def id(self) -> str | None:
        """The event's id, if that was searched for."""
        try:
            return str(uuid.UUID(self.q)) if len(self.q) == 36 else None
        except ValueError:
            return None

    def to_filter(self, statuses: Sequence[str] = ()) -> EventFilter:
        """For the store. statuses: in the place of its own."""
        by = CONTENT if self.by == CONTENT or self.is_surely_an_amount else "key"
        return EventFilter(
            statuses=statuses or ((self.status,) if self.status else ()),
            types=(self.type,) if self.type else (),
            reasons=(self.reason,) if self.reason else (),
            created_from=self.since,
            created_until=self.until,
            search=Search(self.q, by, self.amount) if self.q else None,
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
        by=CONTENT if query.get("by") == CONTENT else "",
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
    """GET /ops/events?q=&status=&reason=&type=&from=&until=&by=&after=."""
    search = read_search(request.http.query_params)
    if search.id:
        return request.redirect_page(f"{EVENTS}/{search.id}")
    page, by = EventPage((), None), ""
    if not search.problems:
        page, by = await _find(request, search)
    if only := _named_by_id(search, page):
        return request.redirect_page(f"{EVENTS}/{only}")
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
        by=by,
        problems=search.problems,
        page=page,
        summary=summary,
        next_page=f"{EVENTS}?{next_query}" if next_query else "",
        first_page=f"{EVENTS}?{query(**search.to_query())}",
        conditions=_conditions(search, request),
        only_text=f"{EVENTS}?{query(q=search.q)}" if search.q and search.has_conditions else "",
        as_amount=f"{EVENTS}?{query(**search.to_query(), by=CONTENT)}" if search.amount and by != CONTENT else "",
        live_seconds=0 if search.after or search.problems else (SEARCH_SECONDS if search.q else LIST_SECONDS),
        has_open=any(event.status in UNFINISHED for event in page.events),
        max_batch=MAX_BATCH_EVENTS,
        reasons=_with(
            [key.removeprefix("reason.") for key in CATALOGUES[texts.language] if key.startswith("reason.")],
            search.reason,
        ),
        types=_with(sorted(TYPES), search.type),
        notice=read_notice(request),
    )


async def _find(request: PageRequest, search: EventSearch) -> tuple[EventPage, str]:
    """The page, and how the text was searched for: in keys first, then in amounts and names."""
    page = await request.store.find_events(search.to_filter(), limit=PAGE_EVENTS, after=search.cursor)
    is_whole = search.by == CONTENT or search.is_surely_an_amount
    if page.events or page.next or not search.q or search.cursor or is_whole:
        return page, search.by
    by_content = replace(search, by=CONTENT)
    return await request.store.find_events(by_content.to_filter(), limit=PAGE_EVENTS), CONTENT


def _named_by_id(search: EventSearch, page: EventPage) -> str | None:
    """The only event found, if what was typed is (part of) its id and not its order or key."""
    if len(page.events) != 1 or search.cursor or len(search.q) < MIN_ID_CHARACTERS:
        return None
    (event,) = page.events
    typed = search.q.lower()
    is_id = event.id.startswith(typed) or event.id.replace("-", "").startswith(typed)
    return event.id if is_id and search.q not in (event.order_id or "") else None


def _conditions(search: EventSearch, request: PageRequest) -> list[str]:
    """The filters of a search besides its text, as people read them."""
    texts = request.texts
    named = (
        texts.named("status", search.status) if search.status else "",
        texts.named("reason", search.reason) if search.reason else "",
        search.type,
        f"{texts.t('filter.from')} {search.since_text}" if search.since_text else "",
        f"{texts.t('filter.until')} {search.until_text}" if search.until_text else "",
    )
    return [text for text in named if text]


def _with(known: list[str], requested: str) -> list[str]:
    """The choices of a list, and the requested one if it is none of them."""
    known = [name for name in known if name != "none"]
    return known if not requested or requested in known else [requested, *known]
