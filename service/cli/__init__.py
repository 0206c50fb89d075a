"""The `supatoss` command: `serve` answers deliveries, `worker` finishes events that wait for Toss."""

import argparse
import asyncio
import signal
from collections.abc import Sequence

import structlog

from service import __version__
from service.app import load_settings, open_store, open_toss
from service.cli.serve import serve
from service.inbox.worker import Worker
from service.settings import Settings
from service.telemetry import configure_logging


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 ended as told, 2 wrong arguments or settings."""
    parser = argparse.ArgumentParser(prog="supatoss", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("serve", help="answer deliveries, like python -m service")
    commands.add_parser("worker", help="finish events that wait for Toss; any number of these may run")
    command = parser.parse_args(arguments).command
    if command == "serve":
        serve()
        return 0
    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    asyncio.run(_work(settings))
    return 0


async def _work(settings: Settings) -> None:
    async with open_store(settings) as store, open_toss(settings) as toss:
        worker = Worker(store, toss)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, worker.stop)
        log = structlog.get_logger("supatoss")
        log.info("worker started", version=__version__, supabase_url=settings.supabase_url)
        # What is in hand when it is told to stop is settled; the process manager's own limit ends it otherwise.
        await worker.run()
        log.info("worker stopped")
