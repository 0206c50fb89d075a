"""Signing in and out, and switching languages."""

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

import structlog
from starlette.responses import Response

from supatoss.ops.assets import query
from supatoss.ops.i18n import Language
from supatoss.ops.page import (
    HOME,
    LANGUAGE_COOKIE,
    LANGUAGE_SECONDS,
    SESSION_COOKIE,
    SIGN_IN,
    InvalidForm,
    PageRequest,
    safe_path,
)
from supatoss.ops.throttle import RETRY_AFTER_SECONDS
from supatoss.telemetry import OPS_SIGN_INS

_log = structlog.get_logger("supatoss.ops")


async def show_sign_in(request: PageRequest) -> Response:
    """The form; operators who are signed in continue to their page."""
    target = safe_path(request.http.query_params.get("next", ""))
    if request.session:
        return request.redirect(target)
    return _form(request, target)


async def sign_in(request: PageRequest) -> Response:
    """Checks name and password, within the pace for guesses."""
    if request.session:
        return request.redirect(HOME)
    try:
        fields = await request.form()
    except InvalidForm:
        return _form(request, HOME, 403, request.texts.t("sign_in.expired"))
    target = safe_path(fields.get("next", ""))
    typed = fields.get("username", "")
    name = request.context.operators.find(typed)
    refused = await _check(request, name, fields.get("password", ""), request.known_device(name))
    if refused or name is None:
        status, error = refused or (403, "")
        return _form(request, target, status, error, typed)
    await request.open_session(name)
    OPS_SIGN_INS.labels("accepted").inc()
    _log.info("operator signed in", operator=name, address=request.address)
    return request.redirect(target)


async def confirm(request: PageRequest, fields: Mapping[str, str]) -> tuple[int, str] | None:
    """For actions on many rows or people: checks the password, unless it was entered in the last ten minutes.

    Returns None if the action may proceed, else the response's status and message.
    """
    session, password = request.signed_in, fields.get("password", "")
    if session.is_confirmed:
        return None
    if not password:
        return 403, request.texts.t("confirm.needed")
    refused = await _check(request, session.operator, password, f"session {session.id}")
    if refused is None:
        await request.context.sessions.confirm(session)
        _log.info("operator confirmed", operator=session.operator, address=request.address)
    return refused


async def _check(request: PageRequest, name: str | None, password: str, device: str) -> tuple[int, str] | None:
    """None if it is the operator's password. device: one that is known to be the operator's."""
    operators, texts = request.context.operators, request.texts
    async with request.context.throttle.attempt(request.address, device) as attempt:
        if attempt.is_sent_away:
            OPS_SIGN_INS.labels("throttled").inc()
            _log.warning("sign-in throttled", address=request.address)
            return 429, texts.t("sign_in.throttled", span=texts.duration(RETRY_AFTER_SECONDS))
        attempt.is_right = await operators.check(name, password)
    if attempt.is_right:
        return None
    OPS_SIGN_INS.labels("refused").inc()
    # A name that nobody has may be a password in the wrong field.
    _log.warning("sign-in refused", operator=name or "unknown", address=request.address)
    return 403, texts.t("sign_in.wrong_name" if operators.are_named else "sign_in.wrong")


async def sign_out(request: PageRequest) -> Response:
    """Ends the session, on every machine."""
    await request.form()
    session = request.signed_in
    await request.context.sessions.end(session)
    _log.info("operator signed out", operator=session.operator, address=request.address)
    return forget_session(request)


def forget_session(request: PageRequest) -> Response:
    """To the sign-in page, in a browser whose session has ended."""
    request.set_cookie(SESSION_COOKIE, "", 0)
    return request.redirect(f"{SIGN_IN}?signed=out")


async def switch_language(request: PageRequest) -> Response:
    """Remembers a language in this browser."""
    fields = await request.form()
    if fields.get("language") in list(Language):
        request.set_cookie(LANGUAGE_COOKIE, fields["language"], LANGUAGE_SECONDS)
    target = fields.get("next", "")
    if not request.session:
        # Keep the page that they wanted before they had to sign in.
        target = dict(parse_qsl(urlsplit(target).query)).get("next", "") if target.startswith(SIGN_IN) else ""
        return request.redirect(f"{SIGN_IN}?{query(next=safe_path(target))}")
    return request.redirect(safe_path(target))


def _form(request: PageRequest, target: str, status: int = 200, error: str = "", username: str = "") -> Response:
    notice = None
    if request.http.query_params.get("signed") == "out" and not error:
        notice = {"tone": "good", "title": request.texts.t("notice.signed_out"), "text": ""}
    are_named = request.context.operators.are_named
    response = request.render(
        "sign_in.html", status, next=target, error=error, notice=notice, username=username, are_named=are_named
    )
    if status == 429:
        response.headers["retry-after"] = str(RETRY_AFTER_SECONDS)
    return response
