"""The page of reconciliations: the last runs, what differs still and what to do, and days that were never compared."""

import datetime as dt
from typing import Any

from starlette.responses import Response

from supatoss.ops.page import PageNotFound, PageRequest
from supatoss.store.findings import Finding


async def show_reconciliations(request: PageRequest) -> Response:
    """GET /ops/reconciliations?day=."""
    day = _read_day(request.http.query_params.get("day", ""))
    answer = await request.store.read_reconciliations(day)
    return request.render(
        "reconciliations.html",
        section="reconciliations",
        day=day,
        runs=answer["runs"],
        findings=[_shown(row) for row in answer["findings"]],
        open_findings=answer["open"],
        uncompared=answer["uncompared"],
    )


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """A finding for the template. advice: the code of what to do; command: what to type, if that is all."""
    finding = Finding.of(row)
    option = " --settlements" if row["scope"] == "settlements" else ""
    return {
        "finding": finding,
        "values": finding.differing(),
        "advice": finding.reason.value if finding.reason else "none",
        "command": "" if finding.reason else f"supatoss reconcile --day {finding.day}{option} --apply",
    }


def _read_day(text: str) -> dt.date | None:
    """A day in a URL, None if there is none. Raises PageNotFound."""
    if not text:
        return None
    try:
        return dt.datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 - a day in Korea has no time
    except ValueError:
        raise PageNotFound from None
