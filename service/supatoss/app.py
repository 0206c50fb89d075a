"""Puts the parts together: what answers requests, and what runs beside it. `uvicorn supatoss.app:app` serves it."""

import asyncio
import datetime as dt
import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Protocol
from urllib.parse import urlsplit

import structlog
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from supatoss import __version__, tracing
from supatoss.addresses import LOOPBACK
from supatoss.alerts.rules import Limits
from supatoss.alerts.targets import Target, open_target
from supatoss.alerts.watch import Role, Watch, observer_name
from supatoss.errors import ConfigurationError
from supatoss.health import Backlog, Readiness, healthz, metrics_routes
from supatoss.inbox.budget import LookupBudget
from supatoss.inbox.lookups import Lookups
from supatoss.inbox.recorder import Recorder
from supatoss.inbox.refused import RefusedLog
from supatoss.inbox.verify import Verifier
from supatoss.inbox.worker import Worker
from supatoss.ops import operators_page
from supatoss.receiving import SourceFilter
from supatoss.reconcile.records import TossRecords
from supatoss.reconcile.run import Reconciliation
from supatoss.reconcile.schedule import Retention, Schedule
from supatoss.settings import Settings
from supatoss.store import Store
from supatoss.telemetry import (
    BACKLOG_LIMIT,
    PROCESS_INFO,
    STORE_CALLS,
    TOSS_CALLS,
    configure_logging,
    log_output,
)
from supatoss.tls import tls_context
from supatoss.toss.client import TossClient
from supatoss.toss.ratelimit import MAX_CALLS_IN_FLIGHT, RECONCILE, WORKER
from supatoss.toss.signature import Keys
from supatoss.urls import is_loopback
from supatoss.webhook import WebhookEndpoint

LOOP_GRACE_SECONDS = 5.0
"""Time for the loops beside the answers to finish what they have in hand when the process is told to stop."""

WEBHOOK_PATHS = ("/webhooks/toss", "/functions/v1/webhook")
"""The second one is where Supabase's edge function stood: a drop-in needs only another host."""


class Loop(Protocol):
    """Work that goes on beside the answers, until it is told to stop."""

    async def run(self) -> None:
        """Works until `stop`."""

    def stop(self) -> None:
        """Ends `run` once what it has in hand is finished."""


def create_app(
    settings: Settings,
    *,
    store: Store | None = None,
    toss: TossClient | None = None,
    worker: Worker | None = None,
    refused: RefusedLog | None = None,
) -> Starlette:
    """The application. Nothing is sent before it starts; its connections are closed when it stops."""
    configure_logging(settings.log_level, settings.log_format)
    store = store or open_store(settings)
    toss = toss or open_toss(settings)
    worker = worker or make_worker(store, toss)
    refused = refused or RefusedLog(store)
    loops: list[Loop] = [make_watch(settings, store, toss, "web"), refused]
    if settings.worker == "in-process":
        loops += [worker, make_schedule(settings, store, toss)]
    webhook = WebhookEndpoint(
        Verifier(
            store,
            Keys(reveal(settings.toss_secret_key), reveal(settings.toss_security_key)),
            make_budget(settings, store, toss),
            accepts_unsigned=settings.toss_unsigned == "verify",
            look_up_seconds=settings.toss_timeout_seconds,
            max_age=dt.timedelta(hours=settings.signature_max_age_hours),
        ),
        Recorder(store),
        SourceFilter(settings.toss_allowed_ips, settings.client_ip_header),
        settings.max_body_bytes,
        settings.answer_deadline_seconds,
        on_pending=worker.wake,
        refused=refused,
    )

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        structlog.get_logger("supatoss").info(
            "started", version=__version__, supabase_url=settings.supabase_url, worker=settings.worker
        )
        try:
            with tracing.exporting(settings.otel_exporter_otlp_endpoint, __version__):
                async with running(*loops):
                    with log_output.in_background():
                        yield
        finally:
            await toss.aclose()
            await store.close()

    # Toss is not known to follow redirects, so a trailing slash is answered as it is.
    paths = [variant for path in WEBHOOK_PATHS for variant in (path, f"{path}/")]
    app = _App(
        webhook,
        routes=[
            *(Route(path, webhook, methods=["POST"]) for path in paths),
            Route("/healthz", healthz, methods=["GET"]),
            Route("/readyz", Readiness(store).answer, methods=["GET"]),
            Route("/backlogz", Backlog(store, settings.backlog_minutes).answer, methods=["GET"]),
            *metrics_routes(settings.metrics_token),
            *operators_page(settings, store, toss, worker.wake),
        ],
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return app


def open_store(settings: Settings) -> Store:
    """The Supabase project of the settings. Nothing is sent."""
    publishable_key = settings.supabase_publishable_key
    return Store.open(
        settings.supabase_url,
        settings.supabase_secret_key.get_secret_value(),
        settings.supabase_timeout_seconds,
        publishable_key.get_secret_value() if publishable_key else None,
        on_call=lambda call, outcome: STORE_CALLS.labels(call, outcome).inc(),
    )


def open_toss(settings: Settings) -> TossClient:
    """Toss's API with the keys of the settings. Nothing is sent."""
    from supatoss.transport import AiohttpTransport  # noqa: PLC0415 - commands import this module, and must start quickly

    return TossClient(
        settings.toss_api_url,
        reveal(settings.toss_secret_key),
        transport=AiohttpTransport(tls_context(settings.toss_api_url), MAX_CALLS_IN_FLIGHT),
        on_call=_note_call,
    )


def _note_call(call: str, outcome: str, seconds: float) -> None:
    TOSS_CALLS.labels(call, outcome).inc()
    tracing.call(f"Toss {call}", "toss", time.time_ns() - round(seconds * 1e9), outcome)


def make_budget(settings: Settings, store: Store, toss: TossClient) -> LookupBudget:
    """Whose deliveries may have Toss asked how often; an emulator on this machine delivers from this machine."""
    has_emulator = is_loopback(urlsplit(settings.toss_api_url).hostname or "")
    return LookupBudget(
        store,
        toss,
        strangers_per_minute=settings.unsigned_lookups_per_minute,
        toss_addresses=(*settings.toss_allowed_ips, *(LOOPBACK if has_emulator else ())),
    )


def make_worker(store: Store, toss: TossClient) -> Worker:
    """What finishes pending events, whatever deliveries have Toss asked meanwhile."""
    return Worker(store, toss, Lookups(toss, WORKER))


def make_schedule(settings: Settings, store: Store, toss: TossClient) -> Schedule:
    """What is done by the clock, as the settings say."""
    days = settings.payload_retention_days
    reconciliation = Reconciliation(store, toss, records=TossRecords(toss, lookups=Lookups(toss, RECONCILE)))
    return Schedule(reconciliation, settings.reconcile_at, Retention(store, days) if days else None)


def make_watch(settings: Settings, store: Store, toss: TossClient, role: Role) -> Watch:
    """What looks after alerts, as the settings say; what rules of Prometheus must know of these is in the metrics."""
    PROCESS_INFO.labels(role, __version__).set(1)
    BACKLOG_LIMIT.set(settings.backlog_minutes * 60)
    return Watch(
        store,
        Limits(settings.backlog_minutes, settings.alert_silence_hours, settings.reconcile_at is not None),
        open_alert_target(settings),
        settings.alert_interval_seconds,
        observer_name(role),
        toss,
    )


def open_alert_target(settings: Settings) -> Target | None:
    """Where alerts are sent, as the settings say; None: nowhere. Nothing is sent."""
    if settings.alert_webhook_url is None:
        return None
    secret = settings.alert_webhook_secret
    return open_target(
        settings.alert_webhook_url.get_secret_value(),
        settings.alert_language,
        f"{settings.public_url}/ops" if settings.public_url and settings.has_ops_page else "",
        secret.get_secret_value() if secret else None,
    )


@asynccontextmanager
async def running(*loops: Loop) -> AsyncIterator[None]:
    """Runs loops beside what is inside; at the end all of them finish what they have in hand, within one grace."""
    tasks = {asyncio.create_task(loop.run(), name=type(loop).__name__.lower()) for loop in loops}
    try:
        yield
    finally:
        for loop in loops:
            loop.stop()
        _, unfinished = await asyncio.wait(tasks, timeout=LOOP_GRACE_SECONDS) if tasks else ((), ())
        for late in unfinished:
            # Its leases run out by themselves, and another process goes on.
            late.cancel()


def reveal(keys: Iterable[SecretStr]) -> tuple[str, ...]:
    """The text of keys."""
    return tuple(key.get_secret_value() for key in keys)


class _App(Starlette):
    """Starlette, past whose layers deliveries go: their endpoint answers every error itself, and layers cost time."""

    def __init__(self, webhook: WebhookEndpoint, **options: Any) -> None:
        super().__init__(**options)
        self._webhook = webhook

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in WEBHOOK_PATHS:
            await self._webhook(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


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
