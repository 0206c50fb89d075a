"""The inbox, page by page."""

from starlette.responses import Response

from supatoss.eventlog import EventPage
from supatoss.ops.assets import query
from supatoss.ops.filters import Wanted, cursor_text, read_wanted
from supatoss.ops.texts import CATALOGUES
from supatoss.ops.visits import Visit
from supatoss.toss.events import TYPES

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
