"""The two things that an operator can do to an event. Both leave a line in operator_actions."""

import structlog
from starlette.responses import Response

from supatoss.inbox.meaning import Intent
from supatoss.inbox.replay import MAX_REASON_CHARACTERS, ignore, replay
from supatoss.ops.event import render_event
from supatoss.ops.notices import leave_notice
from supatoss.ops.visits import Visit

_log = structlog.get_logger("supatoss.ops")


async def replay_event(visit: Visit) -> Response:
    """POST /ops/events/{id}/replay with mode=apply | dry_run."""
    fields = await visit.form()
    identity = str(visit.request.path_params["id"])
    dry_run = fields.get("mode") != "apply"
    (outcome,) = await replay(visit.store, [identity], actor=_actor(visit), dry_run=dry_run)
    _log.info("event replayed", event_id=identity, outcome=outcome.outcome, status=outcome.status, dry_run=dry_run)
    if not dry_run and (outcome.outcome, outcome.status) == ("replayed", Intent.PENDING):
        visit.request.app.state.wake_worker()
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
