"""Settings and store, for commands that use the database."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from supatoss.settings import Settings
    from supatoss.store import Store

T = TypeVar("T")


def load_settings() -> "Settings":
    """The settings from the environment and `.env`. Raises ConfigurationError."""
    from supatoss.cli.dotenv import load_dotenv
    from supatoss.settings import Settings

    load_dotenv()
    return Settings.load()


@asynccontextmanager
async def open_session() -> AsyncIterator[tuple["Settings", "Store"]]:
    """The settings and a store, for the length of a block. Raises ConfigurationError; sends nothing yet."""
    from supatoss.app import open_store

    settings = load_settings()
    log_to_stderr()
    async with open_store(settings) as store:
        yield settings, store


def run_session(work: Callable[["Settings", "Store"], Awaitable[T]]) -> T:
    """Runs a command's work. Ctrl-C cancels it; its `finally` blocks still run."""

    async def inside() -> T:
        async with open_session() as (settings, store):
            return await work(settings, store)

    return asyncio.run(inside())


def log_to_stderr() -> None:
    """Sends warnings to standard error: standard output is for the command's answer."""
    import structlog

    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
