"""Lists of rows: one page with a filter, keyset paging and a CSV file, for every list of supatoss_ops_list_v1."""

import datetime as dt
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

import structlog
from starlette.responses import Response

from supatoss.ops.assets import query
from supatoss.ops.exports import MAX_ROWS, cell, csv_chunks
from supatoss.ops.formats import count, korean_time, parse_moment
from supatoss.ops.i18n import Translator
from supatoss.ops.page import PageRequest
from supatoss.store.lists import MAX_PAGE_ROWS, ListCursor, ListFilter, ListPage
from supatoss.toss.fields import SEOUL

PAGE_ROWS = 50
"""Enough to scan at once; the next page is a click away."""

MAX_SEARCH = 200
MAX_STATUS = 100

_AMOUNT = re.compile(r"(?:₩|US\$|\$)?\s*([0-9]{1,12}|[0-9]{1,3}(?:,[0-9]{3}){1,3})(\.[0-9]{1,4})?\s*원?")
_DAY = dt.timedelta(days=1)
_log = structlog.get_logger("supatoss.ops")


class Cell(StrEnum):
    """How a value is shown."""

    TEXT = "text"
    CODE = "code"
    MOMENT = "moment"
    DAY = "day"
    MONEY = "money"
    STATUS = "status"
    ORDER = "order"


@dataclass(frozen=True, slots=True)
class Column:
    """A field of a row, with the heading column.<name>. detail: another field, shown below it.

    codes: the prefix of the texts for its codes. link: the field with the URL to link to.
    """

    name: str
    cell: Cell = Cell.TEXT
    detail: str = ""
    codes: str = ""
    link: str = ""


def _as_it_is(row: dict[str, Any], _texts: Translator) -> dict[str, Any]:
    return row


@dataclass(frozen=True, slots=True)
class Listing:
    """One list. tones: how a status looks, by its code; exported: the fields of its CSV file, none for no file."""

    name: str
    columns: Sequence[Column]
    statuses: Sequence[str]
    codes: str
    tones: Mapping[str, str]
    exported: Sequence[str] = ()
    first_status: str = ""
    present: Callable[[dict[str, Any], Translator], dict[str, Any]] = _as_it_is

    @property
    def path(self) -> str:
        """Its address."""
        return f"/ops/{self.name}"


@dataclass(frozen=True, slots=True)
class Search:
    """A search as typed, and parsed as far as possible. problems: filter.bad_… of the texts."""

    texts: Mapping[str, str]
    wanted: ListFilter
    cursor: ListCursor | None
    problems: tuple[str, ...] = ()

    def is_narrowed(self, first_status: str) -> bool:
        """Whether a filter is set besides the default status."""
        return any(self.texts[name] for name in ("q", "from", "until")) or self.texts["status"] not in (
            "",
            first_status,
        )

    def to_query(self) -> dict[str, str]:
        """The parameters of a URL, without the page. "All" is an empty status if another one is the default."""
        return {name: text for name, text in self.texts.items() if name != "after"}


def read_search(parameters: Mapping[str, str], first_status: str = "") -> Search:
    """The search of a URL. Never raises."""
    texts = {name: parameters.get(name, "").strip() for name in ("q", "from", "until", "after")}
    texts["status"] = parameters.get("status", first_status).strip()
    problems = []
    for name, problem, longest in (("q", "search", MAX_SEARCH), ("status", "status", MAX_STATUS)):
        if len(texts[name]) > longest or "\x00" in texts[name]:
            problems.append(problem)
    since, until = _day(texts["from"]), _day(texts["until"])
    if (texts["from"] and not since) or (texts["until"] and not until):
        problems.append("day")
    elif since and until and since > until:
        problems.append("order")
    cursor = _cursor(texts["after"])
    if texts["after"] and not cursor:
        problems.append("page")
    wanted = ListFilter(texts["status"], texts["q"], _amount(texts["q"]), since, until + _DAY if until else None)
    return Search(texts, wanted, cursor, tuple(problems))


def cursor_text(cursor: ListCursor) -> str:
    """A cursor for a URL."""
    return f"{cursor.at}~{cursor.id}"


def _day(text: str) -> dt.datetime | None:
    """The beginning of a day in Korea."""
    try:
        day = dt.datetime.strptime(text, "%Y-%m-%d")  # noqa: DTZ007 - the next line gives it its zone
        return day.replace(tzinfo=SEOUL).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None


def _cursor(text: str) -> ListCursor | None:
    at, _, identity = text.partition("~")
    is_id = re.fullmatch(r"[0-9a-f-]{36}|[0-9]{1,18}", identity) is not None
    try:
        return ListCursor(dt.datetime.fromisoformat(at).isoformat(), identity) if is_id else None
    except ValueError:
        return None


def _amount(text: str) -> Decimal | None:
    found = _AMOUNT.fullmatch(text)
    return Decimal(found[1].replace(",", "") + (found[2] or "")) if found else None


def show_list(listing: Listing) -> Callable[[PageRequest], Awaitable[Response]]:
    """GET /ops/<list>?q=&status=&from=&until=&after=."""

    async def show(request: PageRequest) -> Response:
        texts = request.texts
        search = read_search(request.http.query_params, listing.first_status)
        page = ListPage([])
        if not search.problems:
            page = await request.store.read_list(listing.name, search.wanted, limit=PAGE_ROWS, after=search.cursor)
        return request.render(
            "list.html",
            400 if search.problems else 200,
            section=listing.name,
            listing=listing,
            search=search,
            is_narrowed=search.is_narrowed(listing.first_status),
            rows=[listing.present(row, texts) for row in page.rows],
            summary=_summary(search, page, texts),
            searched_until=_searched(page, texts),
            next_page=_address(listing, search, page.next) if page.next else "",
            first_page=_address(listing, search),
            csv=f"{listing.path}.csv?{query(**search.to_query())}" if listing.exported else "",
            max_exported=MAX_ROWS,
        )

    return show


def _summary(search: Search, page: ListPage, texts: Translator) -> str:
    if search.problems:
        return ""
    if not page.rows:
        return texts.t("list.nothing_title")
    return texts.t("list.shown_more" if page.next else "list.shown", number=len(page.rows))


def _searched(page: ListPage, texts: Translator) -> str:
    moment = parse_moment(page.searched_until) if page.searched_until else None
    return texts.t("list.searched_until", time=korean_time(moment)) if moment else ""


def _address(listing: Listing, search: Search, after: ListCursor | None = None) -> str:
    parameters = search.to_query()
    text = query(**parameters, after=cursor_text(after) if after else "")
    if listing.first_status and not parameters["status"]:
        text = f"status=&{text}"  # all of them, where one status comes first
    return f"{listing.path}?{text}" if text else listing.path


def export_list(listing: Listing) -> Callable[[PageRequest], Awaitable[Response]]:
    """GET /ops/<list>.csv, with the conditions of the page."""

    async def export(request: PageRequest) -> Response:
        search = read_search(request.http.query_params, listing.first_status)
        if search.problems:
            return request.redirect(_address(listing, search))
        first = await request.store.read_list(listing.name, search.wanted, limit=MAX_PAGE_ROWS)
        texts = request.texts
        header = [texts.t(f"column.{name}") for name in listing.exported]
        cut = texts.t("list.csv_cut", number=count(MAX_ROWS))
        _log.info("list exported", list=listing.name, operator=request.signed_in.operator, address=request.address)
        today = dt.datetime.now(SEOUL).date()
        return request.download(
            f"supatoss-{listing.name}-{today}.csv", csv_chunks(header, _pages(request, listing, search, first), cut)
        )

    return export


async def _pages(
    request: PageRequest, listing: Listing, search: Search, page: ListPage
) -> AsyncIterator[tuple[list[list[str]], bool]]:
    """Every page of a list. The first has been read already."""
    while True:
        rows = [[cell(row.get(name), name) for name in listing.exported] for row in page.rows]
        yield rows, page.next is not None
        if page.next is None:
            return
        page = await request.store.read_list(listing.name, search.wanted, limit=MAX_PAGE_ROWS, after=page.next)
