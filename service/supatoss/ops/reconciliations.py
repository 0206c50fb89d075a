"""The reconciliation page: the last runs, open differences and what to do, and days that were never compared."""

import datetime as dt
import uuid
from collections.abc import Mapping
from typing import Any

import structlog
from starlette.responses import Response

from supatoss.ops.event import read_notice, read_reason, who
from supatoss.ops.formats import korean_time, money, parse_moment
from supatoss.ops.i18n import CATALOGUES, Language
from supatoss.ops.page import PageNotFound, PageRequest
from supatoss.ops.sign_in import confirm
from supatoss.reconcile.ignore import ignore_findings
from supatoss.reconcile.repair import MAX_REPAIRS, FindingRepairer, Repairs
from supatoss.store.findings import Finding, FindingOutcome, Repair
from supatoss.store.reviews import FindingFilter, OpenFinding

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


async def repair_findings(request: PageRequest) -> Response:
    """POST /ops/reconciliations/repair with mode=dry_run | apply, and ids or a day; apply needs the password again."""
    fields = await request.form()
    day = _read_day(fields.get("day", ""))
    ids = _read_ids(fields.get("ids", ""))
    dry_run = fields.get("mode") != "apply"
    if not dry_run and not ids:
        raise PageNotFound  # Only what was shown is repaired.
    refused = None if dry_run else await confirm(request, fields)
    repairer = FindingRepairer(request.store, request.context.toss)
    wanted = FindingFilter(ids=ids, day=None if ids else day)
    done = await repairer.repair(wanted, **who(request), dry_run=dry_run or refused is not None)
    if dry_run or refused:
        status, error = refused or (200, "")
        return _render_repairs(request, done, day, status, error)
    left = len(done.repairs) - done.repaired
    _log.info("differences repaired", repaired=done.repaired, left=left, operator=request.signed_in.operator)
    if done.problem:
        _log.warning("repair stopped", error=str(done.problem))
    request.set_flash("repaired", repaired=str(done.repaired), left=str(left))
    return request.redirect(f"/ops/reconciliations?day={day}" if day else "/ops/reconciliations")


def _render_repairs(request: PageRequest, done: Repairs, day: dt.date | None, status: int, error: str) -> Response:
    """What a repair would do."""
    return request.render(
        "repairs.html",
        status,
        section="reconciliations",
        day=day,
        repairs=[_shown_repair(item, repair) for item, repair in done.repairs],
        ids=",".join(item.id for item, _ in done.repairs),
        repaired=done.repaired,
        has_more=done.has_more,
        problem=str(done.problem) if done.problem else "",
        error=error,
    )


def _shown_repair(item: OpenFinding, repair: Repair) -> dict[str, Any]:
    """One line of the preview. changes: name, before and after of every field that would change."""
    finding = repair.finding
    names = dict.fromkeys((*repair.before, *repair.after))
    is_repaired = finding.outcome is FindingOutcome.REPAIRED
    changes = [
        (name, before, after)
        for name in names
        if f"finding_field.{name}" in CATALOGUES[Language.EN]
        and (before := _value(name, repair.before.get(name), repair.before))
        != (after := _value(name, repair.after.get(name), repair.after))
    ]
    return {
        "finding": finding,
        "scope": item.scope.value,
        "is_repaired": is_repaired,
        "changes": changes if is_repaired else [],
        "advice": finding.reason.value if finding.reason else "",
    }


def _read_ids(text: str) -> tuple[str, ...]:
    """Ids with commas between. Raises PageNotFound."""
    try:
        return tuple(str(uuid.UUID(item)) for item in text.split(",") if item)
    except ValueError:
        raise PageNotFound from None


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
        max_repairs=MAX_REPAIRS,
        refused=refused or {},
        notice=read_notice(request),
    )


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """A finding for the template. advice: the code of what to do."""
    finding = Finding.of(row)
    return {
        "id": row["id"],
        "finding": finding,
        "values": [
            (name, _value(name, ours, finding.ours), _value(name, theirs, finding.theirs))
            for name, ours, theirs in finding.differing()
        ],
        "advice": finding.reason.value if finding.reason else "none",
    }


def _value(name: str, value: Any, side: Mapping[str, Any]) -> str:
    """A field as people read it; empty if there is none."""
    if value in (None, [], ""):
        return ""
    if name in ("amount", "balance", "pay_out_amount", "fee"):
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
