"""Puts the parts together: routes and lifespan. `uvicorn service.app:app` serves it."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service import __version__
from service.errors import ConfigurationError
from service.health import Readiness, healthz
from service.inbox.recorder import Recorder
from service.settings import Settings
from service.store import Store
from service.telemetry import configure_logging
from service.toss.signature import Keys
from service.webhook import WebhookEndpoint

WEBHOOK_PATHS = ("/webhooks/toss", "/functions/v1/webhook")
"""The second one is where Supabase's edge function stood: a drop-in needs only another host."""


def create_app(settings: Settings) -> Starlette:
    """The application. Connections are opened when it starts and closed when it stops."""
    configure_logging(settings.log_level, settings.log_format)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        store = await Store.open(
            settings.supabase_url,
            settings.supabase_secret_key.get_secret_value(),
            settings.supabase_timeout_seconds,
        )
        app.state.webhook = WebhookEndpoint(
            Recorder(store),
            Keys(
                tuple(key.get_secret_value() for key in settings.toss_secret_key),
                tuple(key.get_secret_value() for key in settings.toss_security_key),
            ),
            settings.max_body_bytes,
            settings.answer_deadline_seconds,
        )
        app.state.readiness = Readiness(store)
        structlog.get_logger("supatoss").info("started", version=__version__, supabase_url=settings.supabase_url)
        try:
            yield
        finally:
            await store.close()

    # Toss is not known to follow redirects, so a trailing slash is answered as it is.
    paths = [variant for path in WEBHOOK_PATHS for variant in (path, f"{path}/")]
    app = Starlette(
        routes=[
            *(Route(path, _webhook, methods=["POST"]) for path in paths),
            Route("/healthz", healthz, methods=["GET"]),
            Route("/readyz", _readyz, methods=["GET"]),
        ],
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return app


async def _webhook(request: Request) -> Response:
    response: Response = await request.app.state.webhook(request)
    return response


async def _readyz(request: Request) -> Response:
    response: Response = await request.app.state.readiness(request)
    return response


def load_settings() -> Settings:
    """The settings of the environment; where they do not allow a start, says why and ends the process with status 2."""
    try:
        return Settings.load()
    except ConfigurationError as error:
        print("supatoss cannot start:", *error.problems, sep="\n  ", file=sys.stderr)
        raise SystemExit(2) from None


def __getattr__(name: str) -> Starlette:
    """Makes `app` when it is asked for, so that importing this module needs no settings."""
    if name == "app":
        return create_app(load_settings())
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
