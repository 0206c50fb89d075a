"""One refused delivery, with its body."""

import json

from starlette.responses import Response

from supatoss.inbox.refused import shown_body
from supatoss.ops.page import PageNotFound, PageRequest

_MAX_DIGITS = 18
"""Longest id that is looked for: it fits into a bigint."""


async def show_refused_delivery(request: PageRequest) -> Response:
    """GET /ops/refused/{id}."""
    wanted = _read_id(request.http.path_params["id"])
    found = await request.store.read_refused(1, wanted + 1)
    if not found or found[0].id != wanted:
        raise PageNotFound
    shown = shown_body(found[0].body)
    return request.render(
        "refused_delivery.html",
        section="refused",
        delivery=found[0],
        body=shown if isinstance(shown, str) else shown and json.dumps(shown, ensure_ascii=False, indent=2),
    )


def _read_id(text: str) -> int:
    """An id in a URL. Raises PageNotFound."""
    if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS):
        raise PageNotFound
    return int(text)
