"""Signing in and out, and switching languages."""

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
from supatoss.telemetry import OPS_SIGN_INS

_log = structlog.get_logger("supatoss.ops")


async def show_sign_in(request: PageRequest) -> Response:
    """The form; operators who are signed in continue to their page."""
    target = safe_path(request.http.query_params.get("next", ""))
    if request.is_signed_in:
        return request.redirect(target)
    return _form(request, target)


async def sign_in(request: PageRequest) -> Response:
    """Checks the password, within the limit for guesses."""
    if request.is_signed_in:
        return request.redirect(HOME)
    try:
        fields = await request.form()
    except InvalidForm:
        return _form(request, HOME, 403, request.texts.t("sign_in.expired"))
    target = safe_path(fields.get("next", ""))
    wait_seconds = request.context.throttle.take(request.address)
    if wait_seconds:
        OPS_SIGN_INS.labels("throttled").inc()
        _log.warning("sign-in throttled", address=request.address, wait_seconds=wait_seconds)
        text = request.texts.t("sign_in.throttled", span=request.texts.duration(wait_seconds))
        response = _form(request, target, 429, text)
        response.headers["retry-after"] = str(wait_seconds)
        return response
    if not request.context.sessions.is_password(fields.get("password", "")):
        OPS_SIGN_INS.labels("refused").inc()
        _log.warning("sign-in refused", address=request.address)
        return _form(request, target, 403, request.texts.t("sign_in.wrong"))
    request.context.throttle.forgive(request.address)
    OPS_SIGN_INS.labels("accepted").inc()
    _log.info("operator signed in", address=request.address)
    request.open_session()
    return request.redirect(target)


async def sign_out(request: PageRequest) -> Response:
    """Deletes the session cookie of this browser."""
    await request.form()
    request.set_cookie(SESSION_COOKIE, "", 0)
    _log.info("operator signed out", address=request.address)
    return request.redirect(f"{SIGN_IN}?signed=out")


async def switch_language(request: PageRequest) -> Response:
    """Remembers a language in this browser."""
    fields = await request.form()
    if fields.get("language") in list(Language):
        request.set_cookie(LANGUAGE_COOKIE, fields["language"], LANGUAGE_SECONDS)
    target = fields.get("next", "")
    if not request.is_signed_in:
        # Keep the page that they wanted before they had to sign in.
        target = dict(parse_qsl(urlsplit(target).query)).get("next", "") if target.startswith(SIGN_IN) else ""
        return request.redirect(f"{SIGN_IN}?{query(next=safe_path(target))}")
    return request.redirect(safe_path(target))


def _form(request: PageRequest, target: str, status: int = 200, error: str = "") -> Response:
    notice = None
    if request.http.query_params.get("signed") == "out" and not error:
        notice = {"tone": "good", "title": request.texts.t("notice.signed_out"), "text": ""}
    return request.render("sign_in.html", status, next=target, error=error, notice=notice)
