"""Reads the small forms of the page."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from supatoss.inbox.event import EventStatus
from supatoss.ops.i18n import Words, choose
from supatoss.ops.sessions import NOTE_SECONDS, SESSION_SECONDS, VISIT_SECONDS, Throttle, Tickets
from supatoss.store import Store
from supatoss.urls import is_loopback

MAX_FORM_BYTES = 16 * 1024
"""The longest form is a reason of 500 Korean characters, percent-encoded: 4,500 bytes."""

MAX_FIELDS = 20
FORM_TYPE = "application/x-www-form-urlencoded"


class NotAForm(Exception):
    """What was sent is not one of our forms."""


async def read_form(request: Request) -> dict[str, str]:
    """Fields of a form, the last of each name. Raises NotAForm."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != FORM_TYPE:
        raise NotAForm
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            raise NotAForm
    try:
        return dict(
            parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="replace", max_num_fields=MAX_FIELDS)
        )
    except ValueError:
        raise NotAForm from None


SESSION, VISIT, NOTE, LANGUAGE = "supatoss_ops", "supatoss_ops_visit", "supatoss_ops_note", "supatoss_ops_language"
LANGUAGE_SECONDS = 365 * 86_400
HOME = "/ops/"
SIGN_IN = "/ops/sign-in"


@dataclass(frozen=True, slots=True)
class Desk:
    """What every page works with, made once a process. environment: test or live, by the kind of Toss's key."""

    store: Store
    wake_worker: Callable[[], None]
    tickets: Tickets
    throttle: Throttle
    templates: Environment
    client_ip_header: str
    environment: str
    started_at: dt.datetime


class Forged(Exception):
    """A form without the token of its session."""


class Missing(Exception):
    """There is no such page, event or order."""


@dataclass(slots=True)
class Visit:
    """One request. `session` is None for somebody who is not signed in."""

    request: Request
    desk: Desk
    session: str | None
    ticket: str
    words: Words
    new_visit: str | None = None
    _cookies: list[tuple[str, str, int]] = field(default_factory=list)

    @classmethod
    def of(cls, request: Request, desk: Desk) -> "Visit":
        """Reads the cookies of a request. Who is not signed in gets a visit, so that forms have a token."""
        cookies, tickets = request.cookies, desk.tickets
        session = tickets.session(cookies.get(SESSION))
        words = Words(choose(cookies.get(LANGUAGE), request.headers.get("accept-language", "")))
        if session:
            return cls(request, desk, session, session, words)
        known = tickets.visit(cookies.get(VISIT))
        opened = None if known else tickets.open_visit()
        ticket = known or tickets.visit(opened) or ""
        return cls(request, desk, None, ticket, words, new_visit=opened)

    @property
    def store(self) -> Store:
        """The Supabase project."""
        return self.desk.store

    @property
    def here(self) -> str:
        """The address of this page, where it can be asked for again."""
        url = self.request.url
        return f"{url.path}?{url.query}" if url.query else url.path

    @property
    def address(self) -> str:
        """The sender's address: the one that a trusted proxy tells, else the peer's own."""
        told = self.request.headers.getlist(self.desk.client_ip_header) if self.desk.client_ip_header else []
        peer = self.request.client.host if self.request.client else ""
        return told[0] if len(told) == 1 else peer

    async def form(self) -> dict[str, str]:
        """The fields of the form that was sent. Raises Forged, also for what is no form."""
        try:
            fields = await read_form(self.request)
        except NotAForm:
            raise Forged from None
        if not self.ticket or not self.desk.tickets.is_form_token(self.ticket, fields.get("csrf", "")):
            raise Forged
        return fields

    def render(self, template: str, status: int = 200, section: str = "", **values: Any) -> Response:
        """A page."""
        context = {
            **self.words.for_templates(),
            "form_token": self.desk.tickets.form_token(self.ticket),
            "is_signed_in": self.session is not None,
            "environment": self.desk.environment if self.session else "",
            "section": section,
            "here": self.here if self.request.method == "GET" else HOME,
            "notice": None,
            "statuses": [status.value for status in EventStatus],
            **values,
        }
        return self._with_cookies(HTMLResponse(self.desk.templates.get_template(template).render(context), status))

    def redirect(self, path: str) -> Response:
        """To another page, which is asked for with GET."""
        return self._with_cookies(RedirectResponse(path, 303))

    def problem(self, status: int, kind: str, detail: str = "", link: str = HOME, link_text: str = "back") -> Response:
        """A page that says what is wrong."""
        words = self.words
        shown = {
            "title": words.t(f"problem.{kind}_title"),
            "text": words.t(f"problem.{kind}_text"),
            "detail": detail,
            "link": link,
            "link_text": words.t(f"problem.{link_text}"),
        }
        return self.render("problem.html", status, problem=shown)

    def set_cookie(self, name: str, value: str, seconds: int) -> None:
        """Sets a cookie with the answer; 0 seconds deletes it."""
        self._cookies.append((name, value, seconds))

    def open_session(self) -> None:
        """Signs in. The ticket changes, so nothing that was known before signing in is worth anything after it."""
        self.new_visit = None
        self.set_cookie(SESSION, self.desk.tickets.open_session(), SESSION_SECONDS)
        self.set_cookie(VISIT, "", 0)

    def note(self, code: str, **details: str) -> None:
        """Hands what an action answered to the next page."""
        self.set_cookie(NOTE, self.desk.tickets.note(self.ticket, code, **details), NOTE_SECONDS)

    def take_note(self) -> tuple[str, dict[str, str]] | None:
        """What the action before this page answered, once."""
        note = self.desk.tickets.read_note(self.ticket, self.request.cookies.get(NOTE))
        if note:
            self.set_cookie(NOTE, "", 0)
        return note

    def _with_cookies(self, response: Response) -> Response:
        if self.new_visit:
            self._cookies.append((VISIT, self.new_visit, VISIT_SECONDS))
        # The address that the browser itself asked for decides: plain http is for this machine only.
        is_secure = not is_loopback(self.request.url.hostname or "")
        for name, value, seconds in self._cookies:
            response.set_cookie(
                name, value, max_age=seconds, path="/ops", secure=is_secure, httponly=True, samesite="lax"
            )
        return response


def safe_path(text: str) -> str:
    """A page of ours to go on to, or the overview: never another host, and never a page that acts."""
    try:
        url = urlsplit(text)
    except ValueError:
        return HOME
    is_ours = not url.scheme and not url.netloc and (url.path == "/ops" or url.path.startswith("/ops/"))
    is_plain = text.isascii() and text.isprintable() and "\\" not in text and "//" not in url.path
    acts = url.path.startswith((SIGN_IN, "/ops/sign-out", "/ops/language")) or url.path.endswith(("/replay", "/ignore"))
    return text if is_ours and is_plain and not acts else HOME
