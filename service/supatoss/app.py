"""Puts the parts together: routes and lifespan. `uvicorn supatoss.app:app` serves it."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import structlog
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from supatoss import __version__
from supatoss.alerts.rules import Limits
from supatoss.alerts.target import ChatWebhook
from supatoss.alerts.watch import Watch, observer_name
from supatoss.errors import ConfigurationError
from supatoss.health import Backlog, Readiness, healthz
from supatoss.inbox.questions import Questions
from supatoss.inbox.recorder import Recorder
from supatoss.inbox.retention import Retention
from supatoss.inbox.verification import Verifier
from supatoss.inbox.worker import Worker
from supatoss.metrics import metrics_routes
from supatoss.ops import operators_page
from supatoss.reconcile.run import Reconciliation
from supatoss.reconcile.table import ReconciliationTable
from supatoss.reconcile.timetable import Timetable
from supatoss.settings import Settings
from supatoss.store import Store
from supatoss.telemetry import TOSS_CALLS, configure_logging, log_lines
from supatoss.toss.api import TossApi
from supatoss.toss.signature import Keys
from supatoss.webhook import Source, WebhookEndpoint

WORKER_GRACE_SECONDS = 5.0
"""Time for the worker to settle what it has in hand when the process is told to stop."""

WEBHOOK_PATHS = ("/webhooks/toss", "/functions/v1/webhook")
"""The second one is where Supabase's edge function stood: a drop-in needs only another host."""


def create_app(settings: Settings) -> Starlette:
    """The application. Connections are opened when it starts and closed when it stops."""
    configure_logging(settings.log_level, settings.log_format)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with open_store(settings) as store, open_toss(settings) as toss:
            worker = Worker(store, toss)
            timetable = make_timetable(settings, store, toss)
            verifier = Verifier(
                store,
                Keys(reveal(settings.toss_secret_key), reveal(settings.toss_security_key)),
                Questions(toss),
                accepts_unsigned=settings.toss_unsigned == "verify",
                ask_seconds=settings.toss_timeout_seconds,
            )
            app.state.webhook = WebhookEndpoint(
                verifier,
                Recorder(store),
                Source(settings.toss_allowed_ips, settings.client_ip_header),
                settings.max_body_bytes,
                settings.answer_deadline_seconds,
                on_pending=worker.wake,
            )
            app.state.readiness = Readiness(store)
            app.state.backlog = Backlog(store, settings.backlog_minutes)
            app.state.store, app.state.wake_worker = store, worker.wake
            structlog.get_logger("supatoss").info(
                "started", version=__version__, supabase_url=settings.supabase_url, worker=settings.worker
            )
            is_wanted = settings.worker == "in-process"
            async with (
                running(worker, is_wanted=is_wanted),
                running(timetable, is_wanted=is_wanted),
                watching(store, settings),
            ):
                with log_lines.in_background():
                    yield

    # Toss is not known to follow redirects, so a trailing slash is answered as it is.
    paths = [variant for path in WEBHOOK_PATHS for variant in (path, f"{path}/")]
    app = _App(
        routes=[
            *(Route(path, _Webhook(), methods=["POST"]) for path in paths),
            Route("/healthz", healthz, methods=["GET"]),
            Route("/readyz", _readyz, methods=["GET"]),
            Route("/backlogz", _backlogz, methods=["GET"]),
            *metrics_routes(settings.metrics_token),
            *operators_page(settings),
        ],
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return app


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[Store]:
    """The Supabase project of the settings."""
    key = settings.supabase_secret_key.get_secret_value()
    store = await Store.open(settings.supabase_url, key, settings.supabase_timeout_seconds)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def open_toss(settings: Settings) -> AsyncIterator[TossApi]:
    """Toss's API with the keys of the settings."""
    toss = TossApi(
        settings.toss_api_url,
        reveal(settings.toss_secret_key),
        on_call=lambda call, outcome, _seconds: TOSS_CALLS.labels(call, outcome).inc(),
    )
    try:
        yield toss
    finally:
        await toss.aclose()


def make_timetable(settings: Settings, store: Store, toss: TossApi) -> Timetable:
    """What is done by the clock, as the settings say."""
    days = settings.payload_retention_days
    return Timetable(
        Reconciliation(ReconciliationTable(store), toss),
        settings.reconcile_at,
        Retention(store, days) if days else None,
    )


@asynccontextmanager
async def running(worker: Worker | Timetable, *, is_wanted: bool) -> AsyncIterator[None]:
    """Runs a loop beside what is inside; at the end it settles what it has in hand, within its grace."""
    if not is_wanted:
        yield
        return
    task = asyncio.create_task(worker.run(), name=type(worker).__name__.lower())
    try:
        yield
    finally:
        worker.stop()
        _, unfinished = await asyncio.wait({task}, timeout=WORKER_GRACE_SECONDS)
        for late in unfinished:
            # Its leases run out by themselves, and another worker goes on.
            late.cancel()


@asynccontextmanager
async def watching(store: Store, settings: Settings) -> AsyncIterator[None]:
    """Looks after alerts beside what is inside; at the end it finishes a look under way, within the worker's grace."""
    url = settings.alert_webhook_url
    watch = Watch(
        store,
        Limits(settings.backlog_minutes, settings.alert_silence_hours),
        ChatWebhook(url.get_secret_value()) if url else None,
        settings.alert_interval_seconds,
        observer_name(),
    )
    task = asyncio.create_task(watch.run(), name="alerts")
    try:
        yield
    finally:
        watch.stop()
        _, unfinished = await asyncio.wait({task}, timeout=WORKER_GRACE_SECONDS)
        for late in unfinished:
            # Its leases run out by themselves, and another process tells.
            late.cancel()


def reveal(keys: Iterable[SecretStr]) -> tuple[str, ...]:
    """The text of keys."""
    return tuple(key.get_secret_value() for key in keys)


class _App(Starlette):
    """Starlette, past whose layers deliveries go: their endpoint answers every error itself, and layers cost time."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in WEBHOOK_PATHS:
            await self.state.webhook(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


class _Webhook:
    """The endpoint that the lifespan makes, as an ASGI application: Starlette wraps less around it than a function."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await scope["app"].state.webhook(scope, receive, send)


async def _readyz(request: Request) -> Response:
    response: Response = await request.app.state.readiness(request)
    return response


async def _backlogz(request: Request) -> Response:
    response: Response = await request.app.state.backlog(request)
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
