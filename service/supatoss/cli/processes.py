"""`supatoss serve` and `supatoss worker`: the long-running processes."""

import asyncio
import gc
import signal
from functools import partial
from typing import TYPE_CHECKING, cast

from supatoss.cli.session import run_async

if TYPE_CHECKING:
    from supatoss.settings import Settings

KEEP_ALIVE_SECONDS = 65
"""Longer than the proxy in front keeps its connections, so that it never sends into a closing one."""

GC_THRESHOLD = 10_000
"""New objects between two collections, instead of 700: a burst keeps thousands alive and makes no cycles."""


def serve() -> None:
    """Receive webhooks until SIGTERM or Ctrl-C.

    A second signal stops at once. All settings come from the environment.

    Example: supatoss serve
    """
    import uvicorn
    from prometheus_client import start_http_server

    from supatoss.app import create_app, load_settings
    from supatoss.connections import Connections, Limits
    from supatoss.protocol import BoundedProtocol
    from supatoss.server import BACKLOG, CLOSE_SECONDS, Admission, Server, open_sockets

    settings = load_settings()
    limits = Limits.of_machine(
        settings.max_connections, settings.max_bodies_bytes, is_behind_proxy=bool(settings.client_ip_header)
    )
    admission = Admission(create_app(settings))
    limits.log(settings.max_connections)
    # Imported modules stay for good: exempt them from every later collection.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    if settings.metrics_port:
        start_http_server(settings.metrics_port, settings.host)
    config = uvicorn.Config(
        admission,
        host=settings.host,
        port=settings.port,
        loop="uvloop",  # named: with "auto", one that is missing would only make the service slower
        http=cast("type[asyncio.Protocol]", partial(BoundedProtocol, connections=Connections(limits))),
        ws="none",  # there are none, and a library for them would log the cookies of a handshake
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # CLIENT_IP_HEADER names the header to trust
        timeout_graceful_shutdown=CLOSE_SECONDS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        backlog=BACKLOG,
    )
    Server(config, admission).run(open_sockets(config))


def worker() -> None:
    """Finish pending events until SIGTERM or Ctrl-C.

    Any number of workers may run. All settings come from the environment.

    Example: supatoss worker
    """
    from prometheus_client import start_http_server

    from supatoss.app import load_settings
    from supatoss.telemetry import configure_logging

    settings = load_settings()
    gc.set_threshold(GC_THRESHOLD)
    configure_logging(settings.log_level, settings.log_format)
    if settings.metrics_port:
        start_http_server(settings.metrics_port, settings.host)
    run_async(_work(settings))


async def _work(settings: "Settings") -> None:
    import structlog

    from supatoss import __version__, tracing
    from supatoss.app import make_schedule, make_watch, make_worker, open_store, open_toss, running

    async with open_store(settings) as store, open_toss(settings) as toss:
        worker = make_worker(store, toss)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, worker.stop)
        log = structlog.get_logger("supatoss")
        log.info("worker started", version=__version__, supabase_url=settings.supabase_url)
        # A claimed event is finished before it stops; the process manager's kill timeout is the limit.
        with tracing.exporting(settings.otel_exporter_otlp_endpoint, __version__):
            async with running(make_schedule(settings, store, toss), make_watch(settings, store, toss, "worker")):
                await worker.run()
        log.info("worker stopped")
