"""The routes of the page, and what they have in common: signing in, errors, security headers."""

import datetime as dt
from collections.abc import Awaitable, Callable

import structlog
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from supatoss.errors import StoreError, TossError
from supatoss.ops.assets import Assets, make_templates, query
from supatoss.ops.bulk import apply_batch, open_batch_of_events, show_batch
from supatoss.ops.cookies import Cookies
from supatoss.ops.event import ignore_event, replay_event, show_event, unignore_event
from supatoss.ops.events import show_events
from supatoss.ops.health import show_health
from supatoss.ops.key_checks import KeyChecks
from supatoss.ops.listings import LISTINGS
from supatoss.ops.lists import export_list, show_list
from supatoss.ops.open_sessions import end_sessions, show_sessions
from supatoss.ops.operators import Operators
from supatoss.ops.order import show_order
from supatoss.ops.overview import show_overview
from supatoss.ops.page import HOME, SIGN_IN, InvalidForm, OpsContext, PageNotFound, PageRequest
from supatoss.ops.reconciliations import ignore_finding, repair_findings, show_reconciliations
from supatoss.ops.refused import show_refused_delivery
from supatoss.ops.runbook import show_runbook
from supatoss.ops.sessions import Sessions
from supatoss.ops.sign_in import show_sign_in, sign_in, sign_out, switch_language
from supatoss.ops.throttle import Throttle
from supatoss.settings import Settings
from supatoss.store import Store
from supatoss.telemetry import describe
from supatoss.toss.client import TossClient

_SOURCES = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}
CONTENT_SECURITY_POLICY = "; ".join(f"{directive} {source}" for directive, source in _SOURCES.items())

HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "referrer-policy": "no-referrer",  # URLs contain order ids and payment keys
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "x-robots-tag": "noindex, nofollow",
}


HSTS = {"strict-transport-security": "max-age=31536000"}
"""A year, for this host only: subdomains are the project's decision."""


class SecurityHeaders:
    """Adds the headers, and `no-store` to responses without a cache-control."""

    def __init__(self, app: ASGIApp, *, is_https: bool) -> None:
        self.app = app
        self.headers = HEADERS | HSTS if is_https else HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(self.headers)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self.app(scope, receive, send_with_headers)


Page = Callable[[PageRequest], Awaitable[Response]]

_log = structlog.get_logger("supatoss.ops")


def operators_page(
    settings: Settings, store: Store, toss: TossClient, wake_worker: Callable[[], None]
) -> list[BaseRoute]:
    """The routes of /ops; none without OPS_USERS or OPS_PASSWORD."""
    if not settings.has_ops_page:
        return []
    context = _make_context(settings, store, toss, wake_worker)

    def page(path: str, render: Page, method: str = "GET", *, is_open: bool = False) -> Route:
        async def endpoint(http: Request) -> Response:
            try:
                request = await PageRequest.of(http, context)
            except StoreError as error:
                return _without_database(PageRequest.anonymous(http, context), error)
            return await _answer(request, render, is_open=is_open)

        return Route(path, endpoint, methods=[method])

    routes = [
        page("/", show_overview),
        page("/events", show_events),
        page("/events/{id:uuid}", show_event),
        page("/events/{id:uuid}/replay", replay_event, "POST"),
        page("/events/{id:uuid}/ignore", ignore_event, "POST"),
        page("/events/{id:uuid}/unignore", unignore_event, "POST"),
        page("/events/bulk", open_batch_of_events, "POST"),
        page("/events/bulk/{id:uuid}", show_batch),
        page("/events/bulk/{id:uuid}/apply", apply_batch, "POST"),
        page("/payment", show_order),
        page("/reconciliations", show_reconciliations),
        page("/reconciliations/repair", repair_findings, "POST"),
        page("/reconciliations/{id:uuid}/ignore", ignore_finding, "POST"),
        *(page(f"/{listing.name}", show_list(listing)) for listing in LISTINGS),
        *(page(f"/{listing.name}.csv", export_list(listing)) for listing in LISTINGS if listing.exported),
        page("/refused/{id}", show_refused_delivery),
        page("/runbook", show_runbook),
        page("/health", show_health),
        page("/sessions", show_sessions),
        page("/sessions/end", end_sessions, "POST"),
        page("/sign-in", show_sign_in, is_open=True),
        page("/sign-in", sign_in, "POST", is_open=True),
        page("/sign-out", sign_out, "POST"),
        page("/language", switch_language, "POST", is_open=True),
        Mount("/static", Assets()),
        page("/{path:path}", _not_found, is_open=True),
    ]
    return [
        Route("/ops", _home, methods=["GET"]),
        Mount("/ops", routes=routes, middleware=[Middleware(SecurityHeaders, is_https=context.is_https)]),
    ]


def _make_context(settings: Settings, store: Store, toss: TossClient, wake_worker: Callable[[], None]) -> OpsContext:
    operators = Operators.of(settings)
    if operators.are_named and settings.ops_password:
        _log.warning("OPS_PASSWORD opens nothing because OPS_USERS is set; remove it")
    cookies = Cookies(operators, settings.supabase_secret_key.get_secret_value())
    keys = [key.get_secret_value() for key in settings.toss_secret_key]
    return OpsContext(
        settings,
        store,
        toss,
        KeyChecks(toss),
        wake_worker,
        operators,
        cookies,
        Sessions(cookies, store),
        Throttle(),
        make_templates(),
        settings.client_ip_header,
        # Never by the Host header, which the sender of a request chooses. Plain http is for this machine only.
        not settings.public_url.startswith("http://"),
        "live" if any(key.startswith("live_") for key in keys) else "test",
        dt.datetime.now(dt.UTC),
    )


async def _answer(request: PageRequest, render: Page, *, is_open: bool) -> Response:
    if not request.session and not is_open:
        return _sign_in_first(request)
    try:
        return await render(request)
    except PageNotFound:
        return request.problem(404, "missing")
    except InvalidForm:
        return request.problem(403, "form")
    except StoreError as error:
        return _without_database(request, error)
    except TossError as error:
        _log.warning("page without Toss", path=request.http.url.path, error=str(error))
        return request.problem(503, "toss", str(error))
    except Exception as error:  # noqa: BLE001 - a defect in one page is an error page, without details
        _log.error("page failed", path=request.http.url.path, **describe(error))
        return request.problem(500, "internal")


def _without_database(request: PageRequest, error: StoreError) -> Response:
    _log.warning("page without the database", path=request.http.url.path, error=str(error))
    response = request.problem(503, "store", str(error), request.here if _is_read(request) else HOME, "again")
    response.headers["retry-after"] = "10"
    return response


def _is_read(request: PageRequest) -> bool:
    return request.http.method in ("GET", "HEAD")


def _sign_in_first(request: PageRequest) -> Response:
    path = f"{SIGN_IN}?{query(next=request.here)}" if _is_read(request) and request.here != HOME else SIGN_IN
    if request.http.headers.get("hx-request"):
        # htmx would put the sign-in form into a part of the page, so it is redirected as a whole.
        return Response(status_code=401, headers={"HX-Redirect": SIGN_IN})
    return request.redirect(path)


async def _not_found(_request: PageRequest) -> Response:
    raise PageNotFound


async def _home(_request: Request) -> Response:
    return RedirectResponse(HOME, 308)
