"""The addresses of the page, and what every one of them has in common."""

import datetime as dt
from collections.abc import Awaitable, Callable

import structlog
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from supatoss.errors import StoreError
from supatoss.ops.assets import Files, make_templates, query
from supatoss.ops.event import ignore_event, replay_event, show_event
from supatoss.ops.events import show_events
from supatoss.ops.overview import show_overview
from supatoss.ops.sessions import Throttle, Tickets
from supatoss.ops.sign_in import ask_to_sign_in, sign_in, sign_out, switch_language
from supatoss.ops.timeline import show_payment
from supatoss.ops.visits import HOME, SIGN_IN, Desk, Forged, Missing, Visit
from supatoss.settings import Settings
from supatoss.store import Store
from supatoss.telemetry import describe

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
    "referrer-policy": "no-referrer",  # addresses hold order ids and payment keys
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "x-robots-tag": "noindex, nofollow",
}


class SecurityHeaders:
    """Adds the headers; an answer that says nothing about keeping it is not kept."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes one request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self.app(scope, receive, send_with_headers)


Page = Callable[[Visit], Awaitable[Response]]

_log = structlog.get_logger("supatoss.ops")


def operators_page(settings: Settings, store: Store, wake_worker: Callable[[], None]) -> list[BaseRoute]:
    """Routes of /ops. None where the settings have no password."""
    if settings.ops_password is None:
        return []
    keys = [key.get_secret_value() for key in settings.toss_secret_key]
    desk = Desk(
        store,
        wake_worker,
        Tickets(settings.ops_password.get_secret_value(), settings.supabase_secret_key.get_secret_value()),
        Throttle(),
        make_templates(),
        settings.client_ip_header,
        "live" if any(key.startswith("live_") for key in keys) else "test",
        dt.datetime.now(dt.UTC),
    )

    def page(path: str, make: Page, method: str = "GET", *, is_open: bool = False) -> Route:
        async def endpoint(request: Request) -> Response:
            return await _answer(Visit.of(request, desk), make, is_open=is_open)

        return Route(path, endpoint, methods=[method])

    routes = [
        page("/", show_overview),
        page("/events", show_events),
        page("/events/{id:uuid}", show_event),
        page("/events/{id:uuid}/replay", replay_event, "POST"),
        page("/events/{id:uuid}/ignore", ignore_event, "POST"),
        page("/payment", show_payment),
        page("/sign-in", ask_to_sign_in, is_open=True),
        page("/sign-in", sign_in, "POST", is_open=True),
        page("/sign-out", sign_out, "POST"),
        page("/language", switch_language, "POST", is_open=True),
        Mount("/static", Files()),
        page("/{path:path}", _nothing, is_open=True),
    ]
    return [
        Route("/ops", _home, methods=["GET"]),
        Mount("/ops", routes=routes, middleware=[Middleware(SecurityHeaders)]),
    ]


async def _answer(visit: Visit, make: Page, *, is_open: bool) -> Response:
    if visit.session is None and not is_open:
        return _sign_in_first(visit)
    try:
        return await make(visit)
    except Missing:
        return visit.problem(404, "missing")
    except Forged:
        return visit.problem(403, "form")
    except StoreError as error:
        _log.warning("page without the store", path=visit.request.url.path, error=str(error))
        response = visit.problem(503, "store", str(error), visit.here if _is_read(visit) else HOME, "again")
        response.headers["retry-after"] = "10"
        return response
    except Exception as error:  # noqa: BLE001 - a defect of one page is told, without what it was about
        _log.error("page failed", path=visit.request.url.path, **describe(error))
        return visit.problem(500, "internal")


def _is_read(visit: Visit) -> bool:
    return visit.request.method in ("GET", "HEAD")


def _sign_in_first(visit: Visit) -> Response:
    path = f"{SIGN_IN}?{query(next=visit.here)}" if _is_read(visit) and visit.here != HOME else SIGN_IN
    if visit.request.headers.get("hx-request"):
        # htmx would put the sign-in form into a corner of the page; so it is told to go there.
        return Response(status_code=401, headers={"HX-Redirect": SIGN_IN})
    return visit.redirect(path)


async def _nothing(_visit: Visit) -> Response:
    raise Missing


async def _home(_request: Request) -> Response:
    return RedirectResponse(HOME, 308)
