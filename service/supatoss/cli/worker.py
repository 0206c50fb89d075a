"""`supatoss worker`: the worker as a process of its own."""

import asyncio
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from supatoss.settings import Settings


def worker() -> None:
    """Finish events that wait for Toss, until SIGTERM or Ctrl-C; any number of these may run."""
    from prometheus_client import start_http_server

    from supatoss.app import load_settings
    from supatoss.telemetry import configure_logging

    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    if settings.metrics_port:
        start_http_server(settings.metrics_port, settings.host)
    asyncio.run(_work(settings))


async def _work(settings: "Settings") -> None:
    import structlog

    from supatoss import __version__
    from supatoss.app import make_timetable, open_store, open_toss, running, watching
    from supatoss.inbox.worker import Worker

    async with open_store(settings) as store, open_toss(settings) as toss:
        worker = Worker(store, toss)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, worker.stop)
        log = structlog.get_logger("supatoss")
        log.info("worker started", version=__version__, supabase_url=settings.supabase_url)
        # What is in hand when it is told to stop is settled; the process manager's own limit ends it otherwise.
        async with running(make_timetable(settings, store, toss), is_wanted=True), watching(store, settings):
            await worker.run()
        log.info("worker stopped")
