"""One event: what it said, why it was believed, what it did; and what an operator can do to it."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import structlog
from starlette.responses import Response

from supatoss.inbox.event import EventStatus
from supatoss.inbox.replay import MAX_REASON_CHARACTERS, UNFINISHED, ignore, replay
from supatoss.masking import mask_json
from supatoss.ops.formats import korean_time, links_to_toss, money, parse_moment
from supatoss.ops.visits import Missing, Visit
from supatoss.store.events import EventFilter, EventOutcome, StoredEvent

_TONES = {"replayed": "good", "ignored": "good", "dry_run": "wait", "unchanged": "wait"}


def leave_notice(visit: Visit, outcome: EventOutcome, *, dry_run: bool) -> None:
    """Hands an outcome to the next page."""
    code = "dry_run" if dry_run and outcome.outcome == "replayed" else outcome.outcome
    visit.note(code, status=outcome.status or "", reason=outcome.reason or "")


def read_notice(visit: Visit) -> dict[str, str] | None:
    """The notice that the action before this page left, or None: tone, title and text."""
    note = visit.take_note()
    if note is None:
        return None
    code, details = note
    words = visit.words
    text = ""
    if code in ("replayed", "dry_run"):
        reason = words.named("reason", details["reason"]) if details["reason"] else ""
        text = words.t("done_text.becomes", status=words.named("status", details["status"]), reason=reason).strip()
        if code == "replayed" and details["status"] == EventStatus.PENDING:
            text = f"{text} {words.t('done_text.pending')}"
    elif code == "refused":
        text = words.named("refusal", details["reason"])
    elif code in ("in_hand", "changed"):
        text = words.t(f"done_text.{code}")
    is_good = code == "replayed" and details["status"] != EventStatus.FAILED
    tone = _TONES.get(code, "bad") if code != "replayed" or is_good else "bad"
    return {"tone": tone, "title": words.named("done", code), "text": text}


_AMOUNTS = ("amount", "balance", "pay_out_amount", "fee")


@dataclass(frozen=True, slots=True)
class Shown:
    """A value of a change. is_code: set in a fixed-width type."""

    text: str
    is_code: bool = False


async def show_event(visit: Visit) -> Response:
    """GET /ops/events/{id}."""
    return await render_event(visit)


async def render_event(
    visit: Visit, status: int = 200, reason_text: str = "", *, reason_error: bool = False
) -> Response:
    """The page of the event that the address names. Raises Missing or StoreError."""
    identity = str(visit.request.path_params["id"])
    page, rows = await asyncio.gather(
        visit.store.find_events(EventFilter(ids=(identity,)), limit=1, with_payload=True),
        visit.store.read_event_rows(identity),
    )
    if not page.events or not rows:
        raise Missing
    (event,) = page.events
    return visit.render(
        "event.html",
        status,
        section="events",
        event=event,
        transmission=rows["transmission"],
        change=_change(event, visit),
        rows=rows,
        payload=_payload(event) or visit.words.t("event.emptied"),
        actions=event.actions[::-1],
        is_open=event.status in UNFINISHED,
        reason_text=reason_text,
        reason_error=reason_error,
        links=links_to_toss(rows["payment"]),
        notice=read_notice(visit),
    )


def _payload(event: StoredEvent) -> str:
    """The body, masked and indented; empty where retention has emptied it."""
    masked = mask_json(event.payload)
    return json.dumps(masked, ensure_ascii=False, indent=2) if masked else ""


def _change(event: StoredEvent, visit: Visit) -> list[tuple[str, Shown]]:
    change = mask_json(event.change)
    if not isinstance(change, dict):
        return []
    return [(name, _shown(name, value, change.get("currency"), visit)) for name, value in change.items()]


def _shown(name: str, value: Any, currency: object, visit: Visit) -> Shown:
    if name in _AMOUNTS:
        return Shown(money(value, currency))
    if name == "status":
        return Shown(f"{visit.words.named('payment', str(value))} ({value})")
    if name.endswith("_at") and (moment := parse_moment(value)):
        return Shown(f"{korean_time(moment)} KST")
    return Shown(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), is_code=True)


_log = structlog.get_logger("supatoss.ops")


async def replay_event(visit: Visit) -> Response:
    """POST /ops/events/{id}/replay with mode=apply | dry_run."""
    fields = await visit.form()
    identity = str(visit.request.path_params["id"])
    dry_run = fields.get("mode") != "apply"
    (outcome,) = await replay(visit.store, [identity], actor=_actor(visit), dry_run=dry_run)
    _log.info("event replayed", event_id=identity, outcome=outcome.outcome, status=outcome.status, dry_run=dry_run)
    if not dry_run and (outcome.outcome, outcome.status) == ("replayed", EventStatus.PENDING):
        visit.desk.wake_worker()
    leave_notice(visit, outcome, dry_run=dry_run)
    return visit.redirect(f"/ops/events/{identity}")


async def ignore_event(visit: Visit) -> Response:
    """POST /ops/events/{id}/ignore with a reason."""
    fields = await visit.form()
    identity = str(visit.request.path_params["id"])
    # A browser sends line ends as two characters, which would make a reason too long that its own limit let pass.
    reason = fields.get("reason", "").replace("\r\n", "\n").replace("\x00", "").strip()
    if not 1 <= len(reason) <= MAX_REASON_CHARACTERS:
        return await render_event(visit, 422, reason, reason_error=True)
    (outcome,) = await ignore(visit.store, [identity], reason, actor=_actor(visit), dry_run=False)
    _log.info("event ignored", event_id=identity, outcome=outcome.outcome, status=outcome.status)
    leave_notice(visit, outcome, dry_run=False)
    return visit.redirect(f"/ops/events/{identity}")


def _actor(visit: Visit) -> str:
    return f"operators' page, {visit.address or 'unknown address'}"
