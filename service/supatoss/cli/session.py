"""Settings and store, for commands that use the database."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from supatoss.errors import StoreError, SupatossError, TossError

if TYPE_CHECKING:
    from supatoss.data_api import DataApi
    from supatoss.settings import Settings
    from supatoss.store import Store
    from supatoss.store.client import Connection
    from supatoss.toss.client import TossClient

C = TypeVar("C", bound="Connection")
T = TypeVar("T")


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """As asyncio.run: Ctrl-C cancels the work, `finally` blocks run, and KeyboardInterrupt is raised.

    asyncio.run forgets a Ctrl-C that comes in its first microseconds, and then raises CancelledError.
    """
    try:
        return asyncio.run(work)
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def ask(calls: type[C], work: Callable[[C], Awaitable[T]]) -> T:
    """Runs a command's calls of the Data API, for one subject. Ctrl-C cancels them; `finally` blocks run.

    Raises ConfigurationError about Supabase's settings; the others are not needed.
    """
    from supatoss.cli.dotenv import load_dotenv, load_local_stack
    from supatoss.data_api import DataApi

    load_dotenv()
    load_local_stack()
    data_api = DataApi.read(os.environ)

    async def inside() -> T:
        async with open_calls(calls, data_api) as store:
            with naming("SUPABASE_URL", data_api.supabase_url):
                return await work(store)

    return run_async(inside())


_SENDERS: Mapping[str, type[SupatossError]] = MappingProxyType({"SUPABASE_URL": StoreError, "TOSS_API_URL": TossError})


@contextmanager
def naming(setting: str, address: str) -> Iterator[None]:
    """Errors of what is called inside name its setting with its address."""
    try:
        yield
    except _SENDERS[setting] as error:
        error.add_note(f"{setting} is {address}")
        raise


def load_settings() -> "Settings":
    """All settings, from the environment, `.env`, or the running local stack. Raises ConfigurationError."""
    from supatoss.cli.dotenv import load_dotenv, load_local_stack
    from supatoss.settings import Settings

    load_dotenv()
    load_local_stack()
    return Settings.load()


@asynccontextmanager
async def open_session() -> AsyncIterator[tuple["Settings", "Store"]]:
    """All settings and a store, for the length of a block. Raises ConfigurationError; sends nothing yet."""
    settings = load_settings()
    log_to_stderr()
    async with open_store(settings.data_api) as store:
        with naming("SUPABASE_URL", settings.supabase_url), naming("TOSS_API_URL", settings.toss_api_url):
            yield settings, store


def run_session(work: Callable[["Settings", "Store"], Awaitable[T]]) -> T:
    """As ask, for work that needs other settings too."""

    async def inside() -> T:
        async with open_session() as (settings, store):
            return await work(settings, store)

    return run_async(inside())


def open_store(data_api: "DataApi") -> "Store":
    """The project, for a command. Nothing is sent."""
    from supatoss.store import Store

    return open_calls(Store, data_api)


def open_calls(calls: type[C], data_api: "DataApi") -> C:
    """The project, for the calls of one subject. Nothing is sent."""
    with _without("h2"):  # HTTP/2, for one call
        return calls.open(
            data_api.supabase_url,
            data_api.supabase_secret_key,
            data_api.supabase_timeout_seconds,
            data_api.supabase_publishable_key,
            is_brief=True,
        )


@contextmanager
def _without(name: str) -> Iterator[None]:
    """Inside, imports do without this package, because it takes long to import."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # so that importing it fails
    try:
        yield
    finally:
        del sys.modules[name]


def open_toss(settings: "Settings") -> "TossClient":
    """Toss's API with the keys of the settings. Nothing is sent."""
    from supatoss.toss.client import TossClient

    return TossClient(settings.toss_api_url, [key.get_secret_value() for key in settings.toss_secret_key])


def log_to_stderr() -> None:
    """Sends warnings to standard error: standard output is for results."""
    import logging

    import structlog

    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
