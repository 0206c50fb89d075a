"""Signing in and out, and the switch of languages."""

from urllib.parse import parse_qsl, urlsplit

import structlog
from starlette.responses import Response

from supatoss.ops.assets import query
from supatoss.ops.i18n import Language
from supatoss.ops.visits import HOME, LANGUAGE, LANGUAGE_SECONDS, SESSION, SIGN_IN, Forged, Visit, safe_path
from supatoss.telemetry import OPS_SIGN_INS

_log = structlog.get_logger("supatoss.ops")


async def ask_to_sign_in(visit: Visit) -> Response:
    """The form. Who is signed in goes on."""
    wanted = safe_path(visit.request.query_params.get("next", ""))
    if visit.session:
        return visit.redirect(wanted)
    return _form(visit, wanted)


async def sign_in(visit: Visit) -> Response:
    """Checks the password, within the limits of the throttle."""
    if visit.session:
        return visit.redirect(HOME)
    try:
        fields = await visit.form()
    except Forged:
        return _form(visit, HOME, 403, visit.words.t("sign_in.expired"))
    wanted = safe_path(fields.get("next", ""))
    wait_seconds = visit.desk.throttle.take(visit.address)
    if wait_seconds:
        OPS_SIGN_INS.labels("throttled").inc()
        _log.warning("sign-in throttled", address=visit.address, wait_seconds=wait_seconds)
        text = visit.words.t("sign_in.throttled", span=visit.words.lasting(wait_seconds))
        response = _form(visit, wanted, 429, text)
        response.headers["retry-after"] = str(wait_seconds)
        return response
    if not visit.desk.tickets.is_password(fields.get("password", "")):
        OPS_SIGN_INS.labels("refused").inc()
        _log.warning("sign-in refused", address=visit.address)
        return _form(visit, wanted, 403, visit.words.t("sign_in.wrong"))
    visit.desk.throttle.forgive(visit.address)
    OPS_SIGN_INS.labels("accepted").inc()
    _log.info("operator signed in", address=visit.address)
    visit.open_session()
    return visit.redirect(wanted)


async def sign_out(visit: Visit) -> Response:
    """Forgets the session in this browser."""
    await visit.form()
    visit.set_cookie(SESSION, "", 0)
    _log.info("operator signed out", address=visit.address)
    return visit.redirect(f"{SIGN_IN}?signed=out")


async def switch_language(visit: Visit) -> Response:
    """Remembers a language in this browser."""
    fields = await visit.form()
    if fields.get("language") in list(Language):
        visit.set_cookie(LANGUAGE, fields["language"], LANGUAGE_SECONDS)
    wanted = fields.get("next", "")
    if visit.session is None:
        # Where they were going when they were asked to sign in.
        target = dict(parse_qsl(urlsplit(wanted).query)).get("next", "") if wanted.startswith(SIGN_IN) else ""
        return visit.redirect(f"{SIGN_IN}?{query(next=safe_path(target))}")
    return visit.redirect(safe_path(wanted))


def _form(visit: Visit, wanted: str, status: int = 200, error: str = "") -> Response:
    notice = None
    if visit.request.query_params.get("signed") == "out" and not error:
        notice = {"tone": "good", "title": visit.words.t("notice.signed_out"), "text": ""}
    return visit.render("sign_in.html", status, next=wanted, error=error, notice=notice)
