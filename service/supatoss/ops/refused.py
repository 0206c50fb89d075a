"""The log of deliveries that were not believed: its list, and one of them with its body."""

import json

from starlette.responses import Response

from supatoss.inbox.refused import shown_body
from supatoss.ops.assets import query
from supatoss.ops.page import PageNotFound, PageRequest

PAGE_DELIVERIES = 50

REFUSED = "/ops/refused"

_MAX_DIGITS = 18
"""Longest id that is looked for: it fits into a bigint."""


async def show_refused(request: PageRequest) -> Response:
    """GET /ops/refused?before=."""
    before = _read_id(request.http.query_params.get("before", ""))
    deliveries = await request.store.read_refused(PAGE_DELIVERIES, before)
    has_more = len(deliveries) == PAGE_DELIVERIES
    return request.render(
        "refused.html",
        section="refused",
        deliveries=deliveries,
        is_first=before is None,
        next_page=f"{REFUSED}?{query(before=deliveries[-1].id)}" if has_more else "",
    )


async def show_refused_delivery(request: PageRequest) -> Response:
    """GET /ops/refused/{id}."""
    wanted = _read_id(request.http.path_params["id"])
    found = await request.store.read_refused(1, (wanted or 0) + 1)
    if not found or found[0].id != wanted:
        raise PageNotFound
    shown = shown_body(found[0].body)
    return request.render(
        "refused_delivery.html",
        section="refused",
        delivery=found[0],
        body=shown if isinstance(shown, str) else shown and json.dumps(shown, ensure_ascii=False, indent=2),
    )


def _read_id(text: str) -> int | None:
    """An id in a URL, None if there is none. Raises PageNotFound."""
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS):
        raise PageNotFound
    return int(text)
