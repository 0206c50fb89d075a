"""One request to the page: its session, its form, and the answers that it can get."""

import datetime as dt
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from supatoss.inbox.event import EventStatus
from supatoss.ops.cookies import ANONYMOUS_SECONDS, DEVICE_SECONDS, FLASH_SECONDS, SESSION_SECONDS, Cookies
from supatoss.ops.i18n import Translator, choose_language
from supatoss.ops.key_checks import KeyChecks
from supatoss.ops.operators import Operators
from supatoss.ops.sessions import Session, Sessions
from supatoss.ops.throttle import Throttle
from supatoss.settings import Settings
from supatoss.store import Store
from supatoss.toss.client import TossClient

MAX_FORM_BYTES = 16 * 1024
"""The longest form is a reason of 500 Korean characters, percent-encoded: 4,500 bytes."""

MAX_FIELDS = 80
"""The ticked events of a page of the list, and its filter."""

FORM_TYPE = "application/x-www-form-urlencoded"

SESSION_COOKIE = "supatoss_ops"
DEVICE_COOKIE = "supatoss_ops_device"
ANONYMOUS_COOKIE = "supatoss_ops_anonymous"
FLASH_COOKIE = "supatoss_ops_flash"
LANGUAGE_COOKIE = "supatoss_ops_language"
LANGUAGE_SECONDS = 365 * 86_400

HOME = "/ops/"
SIGN_IN = "/ops/sign-in"
ACTIONS = ("/replay", "/ignore", "/unignore", "/bulk", "/apply", "/repair", "/end")
"""Endings of the paths that change something."""


class InvalidForm(Exception):
    """The body is not one of our forms, or lacks the token of its session."""


class PageNotFound(Exception):
    """No such page, event or order."""


@dataclass(frozen=True, slots=True)
class OpsContext:
    """What every page needs, made once per process.

    environment: test or live, by the kind of secret key. is_https: whether browsers reach the page that way.
    """

    settings: Settings
    store: Store
    toss: TossClient
    key_checks: KeyChecks
    wake_worker: Callable[[], None]
    operators: Operators
    cookies: Cookies
    sessions: Sessions
    throttle: Throttle
    templates: Environment
    client_ip_header: str
    is_https: bool
    environment: str
    started_at: dt.datetime


@dataclass(slots=True)
class PageRequest:
    """One request. form_session is the session of its forms: an anonymous one until the operator signs in."""

    http: Request
    context: OpsContext
    session: Session | None
    form_session: str
    texts: Translator
    new_anonymous: str | None = None
    _cookies: list[tuple[str, str, int]] = field(default_factory=list)

    @classmethod
    async def of(cls, http: Request, context: OpsContext) -> "PageRequest":
        """A request with its session, if there is one. Raises StoreError."""
        request = cls.anonymous(http, context)
        if session := await context.sessions.read(http.cookies.get(SESSION_COOKIE)):
            request.session, request.form_session, request.new_anonymous = session, session.id, None
        return request

    @classmethod
    def anonymous(cls, http: Request, context: OpsContext) -> "PageRequest":
        """A request whose session is not looked at. It gets an anonymous one, so that forms have a token."""
        cookies = http.cookies
        texts = Translator(choose_language(cookies.get(LANGUAGE_COOKIE), http.headers.get("accept-language", "")))
        known = context.cookies.read_anonymous(cookies.get(ANONYMOUS_COOKIE))
        opened = None if known else context.cookies.open_anonymous()
        return cls(http, context, None, known or context.cookies.read_anonymous(opened) or "", texts, opened)

    @property
    def signed_in(self) -> Session:
        """The session, on pages that need one."""
        if self.session is None:
            raise AssertionError("a page for operators is shown to nobody else")
        return self.session

    @property
    def store(self) -> Store:
        """The Supabase project."""
        return self.context.store

    @property
    def here(self) -> str:
        """Path and query of this page."""
        url = self.http.url
        return f"{url.path}?{url.query}" if url.query else url.path

    @property
    def address(self) -> str:
        """The client's address: from the trusted proxy's header, else of the connection."""
        header = self.context.client_ip_header
        forwarded = self.http.headers.getlist(header) if header else []
        peer = self.http.client.host if self.http.client else ""
        return forwarded[0] if len(forwarded) == 1 else peer

    async def form(self) -> dict[str, str]:
        """The fields of the submitted form, the last of each name. Raises InvalidForm."""
        return dict(await self.form_items())

    async def form_items(self) -> list[tuple[str, str]]:
        """Every field of the submitted form. Raises InvalidForm."""
        items = await _read_form(self.http)
        token = dict(items).get("csrf", "")
        if not self.form_session or not self.context.cookies.is_form_token(self.form_session, token):
            raise InvalidForm
        return items

    def render(self, template: str, status: int = 200, section: str = "", **values: Any) -> Response:
        """A page."""
        variables = {
            **self.texts.for_templates(),
            "form_token": self.context.cookies.form_token(self.form_session),
            "session": self.session,
            "environment": self.context.environment if self.session else "",
            "section": section,
            "here": self.here if self.http.method == "GET" else HOME,
            "notice": None,
            "statuses": [status.value for status in EventStatus],
            **values,
        }
        html = self.context.templates.get_template(template).render(variables)
        return self._with_cookies(HTMLResponse(html, status))

    def redirect(self, path: str) -> Response:
        """To another page, by GET."""
        return self._with_cookies(RedirectResponse(path, 303))

    def redirect_page(self, path: str) -> Response:
        """To another page, where htmx asks for a part of this one: the browser loads it as a whole."""
        if self.http.headers.get("hx-request"):
            return self._with_cookies(Response(headers={"HX-Redirect": path}))
        return self.redirect(path)

    def download(self, name: str, chunks: AsyncIterator[bytes]) -> Response:
        """A CSV file, sent as it is made."""
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return self._with_cookies(StreamingResponse(chunks, media_type="text/csv; charset=utf-8", headers=headers))

    def problem(self, status: int, kind: str, detail: str = "", link: str = HOME, link_text: str = "back") -> Response:
        """A page that explains an error."""
        problem = {
            "title": self.texts.t(f"problem.{kind}_title"),
            "text": self.texts.t(f"problem.{kind}_text"),
            "detail": detail,
            "link": link,
            "link_text": self.texts.t(f"problem.{link_text}"),
        }
        return self.render("problem.html", status, problem=problem)

    def set_cookie(self, name: str, value: str, seconds: int) -> None:
        """Sets a cookie with the response; 0 seconds deletes it."""
        self._cookies.append((name, value, seconds))

    async def open_session(self, operator: str) -> None:
        """Signs in with a new session id, so that an id planted before signing in is worthless. Raises StoreError."""
        self.set_cookie(SESSION_COOKIE, await self.context.sessions.open(operator, self.address), SESSION_SECONDS)
        self.set_cookie(DEVICE_COOKIE, self.context.cookies.sign_device(operator), DEVICE_SECONDS)
        self.set_cookie(ANONYMOUS_COOKIE, "", 0)
        self.new_anonymous = None

    def known_device(self, operator: str | None) -> str:
        """The id of this browser, if this operator has signed in here before; else empty."""
        device = self.context.cookies.read_device(self.http.cookies.get(DEVICE_COOKIE))
        return device.id if device and device.operator == operator else ""

    def set_flash(self, code: str, **details: str) -> None:
        """Passes the result of an action to the next page."""
        flash = self.context.cookies.sign_flash(self.form_session, code, **details)
        self.set_cookie(FLASH_COOKIE, flash, FLASH_SECONDS)

    def take_flash(self) -> tuple[str, dict[str, str]] | None:
        """The result of the action before this page, once."""
        flash = self.context.cookies.read_flash(self.form_session, self.http.cookies.get(FLASH_COOKIE))
        if flash:
            self.set_cookie(FLASH_COOKIE, "", 0)
        return flash

    def _with_cookies(self, response: Response) -> Response:
        if self.new_anonymous:
            self._cookies.append((ANONYMOUS_COOKIE, self.new_anonymous, ANONYMOUS_SECONDS))
        for name, value, seconds in self._cookies:
            response.set_cookie(
                name, value, max_age=seconds, path="/ops", secure=self.context.is_https, httponly=True, samesite="lax"
            )
        return response


def safe_path(text: str) -> str:
    """A page of ours to continue to, else the overview: never another host, and never a page that acts."""
    try:
        url = urlsplit(text)
    except ValueError:
        return HOME
    is_ours = not url.scheme and not url.netloc and (url.path == "/ops" or url.path.startswith("/ops/"))
    is_plain = text.isascii() and text.isprintable() and "\\" not in text and "//" not in url.path
    acts = url.path.startswith((SIGN_IN, "/ops/sign-out", "/ops/language")) or url.path.endswith(ACTIONS)
    return text if is_ours and is_plain and not acts else HOME


async def _read_form(http: Request) -> list[tuple[str, str]]:
    if http.headers.get("content-type", "").split(";")[0].strip().lower() != FORM_TYPE:
        raise InvalidForm
    body = bytearray()
    async for chunk in http.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            raise InvalidForm
    try:
        return parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="replace", max_num_fields=MAX_FIELDS)
    except ValueError:
        raise InvalidForm from None
