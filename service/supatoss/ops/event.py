"""The page of one event: its problem, payload, deliveries and effect, and the actions of an operator."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

import structlog
from starlette.responses import Response

from supatoss.inbox.actions import MAX_REASON_CHARACTERS, UNFINISHED, ignore, unignore
from supatoss.inbox.event import EventStatus
from supatoss.inbox.replay import replay
from supatoss.masking import mask_json
from supatoss.ops.formats import DASHBOARD, korean_time, links_to_toss, money, parse_moment
from supatoss.ops.json_view import read_json
from supatoss.ops.page import PageNotFound, PageRequest
from supatoss.ops.problems import Advised, attempts, describe_problem
from supatoss.store.events import EventFilter, EventOutcome

_TONES = {
    **dict.fromkeys(("replayed", "ignored", "unignored", "repaired"), "good"),
    **dict.fromkeys(("dry_run", "unchanged", "not_open", "bulk_none", "bulk_unticked"), "wait"),
}
_AMOUNTS = ("amount", "balance", "pay_out_amount", "fee")

_log = structlog.get_logger("supatoss.ops")


def leave_notice(request: PageRequest, outcome: EventOutcome, *, dry_run: bool) -> None:
    """Passes the outcome of an action to the next page."""
    code = "dry_run" if dry_run and outcome.outcome == "replayed" else outcome.outcome
    request.set_flash(code, status=outcome.status or "", reason=outcome.reason or "")


def read_notice(request: PageRequest) -> dict[str, str] | None:
    """The notice of the action before this page: tone, title and text; or None."""
    flash = request.take_flash()
    if flash is None:
        return None
    code, details = flash
    texts = request.texts
    text = ""
    if code in ("replayed", "dry_run", "unignored"):
        reason = texts.named("reason", details["reason"]) if details["reason"] else ""
        text = texts.t("done_text.becomes", status=texts.named("status", details["status"]), reason=reason).strip()
        if code == "replayed" and details["status"] == EventStatus.PENDING:
            text = f"{text} {texts.t('done_text.pending')}"
    elif code == "refused":
        text = texts.named("refusal", details["reason"])
    elif code == "repaired":
        text = texts.t("done_text.repaired", repaired=details["repaired"], left=details["left"])
    elif code in ("in_hand", "changed"):
        text = texts.t(f"done_text.{code}")
    has_failed = code == "replayed" and details["status"] == EventStatus.FAILED
    tone = "bad" if has_failed else _TONES.get(code, "bad")
    return {
        "tone": tone,
        "title": texts.named("done", code),
        "text": text,
        "code": code,
        "status": details.get("status", ""),
    }


@dataclass(frozen=True, slots=True)
class DisplayValue:
    """A value of a change. is_code: shown in a monospaced font."""

    text: str
    is_code: bool = False


async def show_event(request: PageRequest) -> Response:
    """GET /ops/events/{id}."""
    return await render_event(request)


async def render_event(
    request: PageRequest, status: int = 200, reason_text: str = "", *, reason_error: bool = False
) -> Response:
    """The page of the event in the URL. Raises PageNotFound or StoreError."""
    identity = str(request.http.path_params["id"])
    page, rows = await asyncio.gather(
        request.store.find_events(EventFilter(ids=(identity,)), limit=1, with_payload=True),
        request.store.read_event_rows(identity),
    )
    if not page.events or not rows:
        raise PageNotFound
    (event,) = page.events
    notice = read_notice(request)
    change = mask_json(event.change)
    change = change if isinstance(change, dict) else {}
    problem = describe_problem(event, change, rows, request.texts)
    advised = problem.advised if problem else Advised.NONE
    if notice and notice["code"] == "dry_run" and notice["status"] != EventStatus.FAILED:
        advised = Advised.REPLAY
    return request.render(
        "event.html",
        status,
        section="events",
        event=event,
        transmission=rows["transmission"],
        deliveries=rows["deliveries"][::-1],
        change=_change(change, request),
        rows=rows,
        payload=read_json(event.payload),
        problem=problem,
        advised=advised,
        attempts=attempts(event, request.texts),
        actions=event.actions[::-1],
        is_open=event.status in UNFINISHED,
        is_ignored=(event.status, event.reason) == (EventStatus.IGNORED, "operator"),
        reason_text=reason_text,
        reason_error=reason_error,
        dashboard=DASHBOARD,
        links=links_to_toss(rows["payment"], change.get("receipt_url")),
        notice=notice,
    )


def _change(change: Mapping[str, Any], request: PageRequest) -> list[tuple[str, DisplayValue]]:
    return [(name, _display(name, value, change.get("currency"), request)) for name, value in change.items()]


def _display(name: str, value: Any, currency: object, request: PageRequest) -> DisplayValue:
    if name in _AMOUNTS:
        return DisplayValue(money(value, currency))
    if name == "status":
        named = request.texts.named("payment", str(value))
        return DisplayValue(named if named == value else f"{named} ({value})", is_code=named == value)
    if name.endswith("_at") and (moment := parse_moment(value)):
        return DisplayValue(f"{korean_time(moment)} KST")
    return DisplayValue(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), is_code=True)


async def replay_event(request: PageRequest) -> Response:
    """POST /ops/events/{id}/replay with mode=apply | dry_run."""
    fields = await request.form()
    identity = str(request.http.path_params["id"])
    dry_run = fields.get("mode") != "apply"
    (outcome,) = await replay(request.store, [identity], **who(request), dry_run=dry_run)
    _log.info(
        "event replayed",
        event_id=identity,
        outcome=outcome.outcome,
        status=outcome.status,
        dry_run=dry_run,
        operator=request.signed_in.operator,
    )
    if not dry_run and (outcome.outcome, outcome.status) == ("replayed", EventStatus.PENDING):
        request.context.wake_worker()
    leave_notice(request, outcome, dry_run=dry_run)
    return request.redirect(f"/ops/events/{identity}")


async def ignore_event(request: PageRequest) -> Response:
    """POST /ops/events/{id}/ignore with a reason."""
    fields = await request.form()
    identity = str(request.http.path_params["id"])
    reason, is_valid = read_reason(fields)
    if not is_valid:
        return await render_event(request, 422, reason, reason_error=True)
    (outcome,) = await ignore(request.store, [identity], reason, **who(request), dry_run=False)
    _log.info(
        "event ignored",
        event_id=identity,
        outcome=outcome.outcome,
        status=outcome.status,
        operator=request.signed_in.operator,
    )
    leave_notice(request, outcome, dry_run=False)
    return request.redirect(f"/ops/events/{identity}")


async def unignore_event(request: PageRequest) -> Response:
    """POST /ops/events/{id}/unignore."""
    await request.form()
    identity = str(request.http.path_params["id"])
    (outcome,) = await unignore(request.store, [identity], **who(request), dry_run=False)
    _log.info(
        "event unignored",
        event_id=identity,
        outcome=outcome.outcome,
        status=outcome.status,
        operator=request.signed_in.operator,
    )
    if outcome.status == EventStatus.PENDING:
        request.context.wake_worker()
    leave_notice(request, outcome, dry_run=False)
    return request.redirect(f"/ops/events/{identity}")


def read_reason(fields: Mapping[str, str]) -> tuple[str, bool]:
    """Why something is ignored, and whether that can be stored."""
    # Browsers send a line break as two characters but count it as one against maxlength.
    reason = fields.get("reason", "").replace("\r\n", "\n").replace("\x00", "").strip()
    return reason, 1 <= len(reason) <= MAX_REASON_CHARACTERS


class Who(TypedDict):
    """Who acts, for the audit trail."""

    actor: str
    address: str | None


def who(request: PageRequest) -> Who:
    """The operator and where their browser is."""
    return {"actor": request.signed_in.operator, "address": request.address or None}
