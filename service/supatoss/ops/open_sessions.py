"""Who is signed in, and signing out everywhere."""

import structlog
from starlette.responses import Response

from supatoss.ops.page import PageRequest
from supatoss.ops.sign_in import confirm, forget_session

_log = structlog.get_logger("supatoss.ops")


async def show_sessions(request: PageRequest) -> Response:
    """GET /ops/sessions."""
    return await _render(request)


async def end_sessions(request: PageRequest) -> Response:
    """POST /ops/sessions/end with of=me | everybody; for everybody the password is needed again."""
    fields = await request.form()
    session, sessions = request.signed_in, request.context.sessions
    of_everybody = fields.get("of") == "everybody"
    if of_everybody and (refused := await confirm(request, fields)):
        return await _render(request, *refused)
    ended = await (sessions.end_all(session) if of_everybody else sessions.end_own(session))
    _log.info("sessions ended", operator=session.operator, of_everybody=of_everybody, sessions=ended)
    return forget_session(request)


async def _render(request: PageRequest, status: int = 200, error: str = "") -> Response:
    return request.render(
        "sessions.html", status, section="sessions", sessions=await request.store.list_sessions(), error=error
    )
