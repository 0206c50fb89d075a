"""The page of reconciliations: the last runs, what differs still and what to do, and days that were never compared."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import structlog
from starlette.responses import Response

from supatoss.ops.event import read_notice, read_reason, who
from supatoss.ops.formats import korean_time, money, parse_moment
from supatoss.ops.page import PageNotFound, PageRequest
from supatoss.reconcile.ignore import ignore_findings
from supatoss.store.findings import Finding
from supatoss.store.reviews import FindingFilter

_log = structlog.get_logger("supatoss.ops")


async def show_reconciliations(request: PageRequest) -> Response:
    """GET /ops/reconciliations?day=."""
    return await _render(request, _read_day(request.http.query_params.get("day", "")))


async def ignore_finding(request: PageRequest) -> Response:
    """POST /ops/reconciliations/{id}/ignore with a reason, and the day that is shown."""
    fields = await request.form()
    identity = str(request.http.path_params["id"])
    day = _read_day(fields.get("day", ""))
    reason, is_valid = read_reason(fields)
    if not is_valid:
        return await _render(request, day, 422, refused={"id": identity, "reason": reason})
    ignored = await ignore_findings(
        request.store, FindingFilter(ids=(identity,)), reason, **who(request), dry_run=False
    )
    outcome = "ignored" if ignored.findings else "not_open"
    _log.info("difference ignored", finding_id=identity, outcome=outcome, operator=request.signed_in.operator)
    request.set_flash(outcome)
    return request.redirect(f"/ops/reconciliations?day={day}" if day else "/ops/reconciliations")


async def _render(
    request: PageRequest, day: dt.date | None, status: int = 200, refused: Mapping[str, str] | None = None
) -> Response:
    """The page. refused: the form that lacked its reason."""
    answer = await request.store.read_reconciliations(day)
    return request.render(
        "reconciliations.html",
        status,
        section="reconciliations",
        day=day,
        runs=answer["runs"],
        findings=[_shown(row) for row in answer["findings"]],
        open_findings=answer["open"],
        set_aside=answer["set_aside"],
        uncompared=answer["uncompared"],
        refused=refused or {},
        notice=read_notice(request),
    )


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """A finding for the template. advice: the code of what to do; command: what to type, if that is all."""
    finding = Finding.of(row)
    option = " --settlements" if row["scope"] == "settlements" else ""
    return {
        "id": row["id"],
        "finding": finding,
        "values": [
            (name, _value(name, ours, finding.ours), _value(name, theirs, finding.theirs))
            for name, ours, theirs in finding.differing()
        ],
        "advice": finding.reason.value if finding.reason else "none",
        "command": "" if finding.reason else f"supatoss reconcile --day {finding.day}{option} --apply",
    }


def _value(name: str, value: Any, side: Mapping[str, Any]) -> str:
    """A field as people read it; empty if there is none."""
    if value in (None, [], ""):
        return ""
    if name in ("amount", "balance", "pay_out_amount"):
        return money(value, side.get("currency") or "KRW")
    moment = parse_moment(value) if name.endswith("_at") else None
    if moment:
        return korean_time(moment)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _read_day(text: str) -> dt.date | None:
    """A day in a URL, None if there is none. Raises PageNotFound."""
    if not text:
        return None
    try:
        return dt.datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 - a day in Korea has no time
    except ValueError:
        raise PageNotFound from None
