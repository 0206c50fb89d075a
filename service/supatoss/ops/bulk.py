"""Replays or ignores many events at once: first a dry run, then the password, then the result for each."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from starlette.responses import Response

from supatoss.errors import NotAllowed
from supatoss.inbox.actions import UNFINISHED
from supatoss.inbox.bulk import MAX_BATCH_EVENTS, BatchAction, open_batch, run_batch
from supatoss.inbox.event import EventStatus
from supatoss.ops.assets import query
from supatoss.ops.event import read_notice, read_reason, who
from supatoss.ops.events import EVENTS, read_search
from supatoss.ops.i18n import Translator
from supatoss.ops.page import InvalidForm, PageNotFound, PageRequest
from supatoss.ops.sign_in import confirm
from supatoss.store.batches import Batch, TriedEvent
from supatoss.store.events import EventFilter, EventOutcome

_FILTER = ("q", "status", "reason", "type", "from", "until", "by")

_log = structlog.get_logger("supatoss.ops")


async def open_batch_of_events(request: PageRequest) -> Response:
    """POST /ops/events/bulk with action, scope=ticked | all, the ticked ids, and the filter of the list."""
    items = await request.form_items()
    fields = dict(items)
    if fields.get("action") not in list(BatchAction):
        raise InvalidForm
    action = BatchAction(fields["action"])
    chosen = {name: fields[name] for name in _FILTER if fields.get(name)}
    back = f"{EVENTS}?{query(**chosen)}"
    if fields.get("scope") == "all":
        search = read_search(chosen)
        if search.problems:
            return request.redirect(back)
        statuses = [status for status in UNFINISHED if search.status in ("", status)]
        wanted = search.to_filter(statuses=statuses) if statuses else None
    else:
        chosen = {}
        ids = [value for name, value in items if name == "id"]
        wanted = EventFilter(ids=ids) if ids else None
        if wanted is None:
            request.set_flash("bulk_unticked", status="", reason="")
            return request.redirect(back)
    try:
        actor = request.signed_in.operator
        batch = await open_batch(request.store, wanted, action, actor=actor, chosen=chosen) if wanted else None
    except NotAllowed:  # an id that is none
        raise InvalidForm from None
    if batch is None:
        request.set_flash("bulk_none", status="", reason="")
        return request.redirect(back)
    return request.redirect(f"{EVENTS}/bulk/{batch}")


async def show_batch(request: PageRequest) -> Response:
    """GET /ops/events/bulk/{id}."""
    return await _render(request)


async def apply_batch(request: PageRequest) -> Response:
    """POST /ops/events/bulk/{id}/apply with the password, and to ignore events a reason.

    If it is sent twice, it is applied once; the second response shows the results.
    """
    fields = await request.form()
    identity = str(request.http.path_params["id"])
    batch = await _read(request)
    if refused := await confirm(request, fields):
        status, error = refused
        return await _render(request, status, password_error=error, reason=fields.get("reason", ""))
    reason, is_valid = read_reason(fields)
    if batch.action == BatchAction.IGNORE and batch.confirmed_at is None and not is_valid:
        return await _render(request, 422, reason=reason, reason_error=True)
    done = await run_batch(request.store, identity, **who(request), reason=reason or None)
    if done:
        counts = Counter(outcome.outcome for outcome in done.outcomes)
        _log.info("batch done", batch_id=identity, action=done.action, operator=request.signed_in.operator, **counts)
        if any(outcome.status == EventStatus.PENDING for outcome in done.outcomes):
            request.context.wake_worker()
    return request.redirect(f"{EVENTS}/bulk/{identity}")


@dataclass(frozen=True, slots=True)
class Line:
    """An event of a batch: the dry run's result, and the actual one, which is None until the event is done."""

    tried: TriedEvent
    outcome: EventOutcome | None
    text: str
    is_trouble: bool


async def _read(request: PageRequest) -> Batch:
    batch = await request.store.read_batch(str(request.http.path_params["id"]))
    if batch is None:
        raise PageNotFound
    return batch


async def _render(request: PageRequest, status: int = 200, **form: Any) -> Response:
    batch = await _read(request)
    lines = _lines(batch, request.texts)
    return request.render(
        "bulk.html",
        status,
        section="events",
        batch=batch,
        state=_state(batch),
        lines=lines,
        groups=_groups(lines),
        max_batch=MAX_BATCH_EVENTS,
        back=f"{EVENTS}?{query(**batch.chosen)}",
        notice=read_notice(request),
        **{"password_error": "", "reason": "", "reason_error": False, **form},
    )


def _state(batch: Batch) -> str:
    """Of the batch: tried, running, interrupted or finished."""
    if batch.finished_at:
        return "finished"
    if batch.is_leased:
        return "running"
    return "interrupted" if batch.confirmed_at else "tried"


def _lines(batch: Batch, texts: Translator) -> list[Line]:
    done = {outcome.event: outcome for outcome in batch.outcomes}
    lines = []
    for tried in batch.tried:
        outcome = done.get(tried.outcome.event) if batch.confirmed_at else tried.outcome
        lines.append(Line(tried, outcome, _text(outcome, texts), _is_trouble(outcome)))
    # What needs a look comes first.
    return sorted(lines, key=lambda line: not line.is_trouble)


def _text(outcome: EventOutcome | None, texts: Translator) -> str:
    """The text beside the status."""
    if outcome is None:
        return texts.t("bulk.waits")
    match outcome.outcome:
        case "replayed" | "ignored":
            return texts.named("reason", outcome.reason) if outcome.reason else ""
        case "refused":
            return texts.named("refusal", outcome.reason)
        case other:
            return texts.named("done", other)


def _is_trouble(outcome: EventOutcome | None) -> bool:
    if outcome is None:
        return False
    return outcome.outcome not in ("replayed", "ignored", "unchanged") or outcome.status == EventStatus.FAILED


def _groups(lines: Sequence[Line]) -> list[tuple[str, str, int]]:
    """Status, text and number of events of each outcome, the most frequent first."""
    counts = Counter((line.outcome.status or "" if line.outcome else "", line.text) for line in lines)
    return [(status, text, number) for (status, text), number in counts.most_common()]
