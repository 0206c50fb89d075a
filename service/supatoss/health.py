"""Endpoints for probes and monitoring: /healthz, /readyz, /backlogz and /metrics."""

import asyncio
import hmac
import time

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from supatoss.errors import StoreError
from supatoss.store import Store
from supatoss.store.schema import SCHEMA_VERSION, sentence

READY_SECONDS = 2.0
"""Time for the database to answer; a health check of Fly gives up after 5 s."""

CACHE_SECONDS = 1.0
"""Checks within this time share one answer: /readyz is public and must not load the database."""


WRITE_SECONDS = 5.0
"""Between two writes: what only reads still answers while nothing can be stored, but a write costs more."""

_log = structlog.get_logger("supatoss.health")


async def healthz(_request: Request) -> Response:
    """200 as long as the process serves requests."""
    return JSONResponse({"status": "ok"})


class Readiness:
    """200 when events can be stored, else 503 with the reason: away, read-only, disk full, wrong key, old schema."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = asyncio.Lock()
        self._checked_at = float("-inf")
        self._problem: str | None = None
        self._version = SCHEMA_VERSION
        self._differs: str | None = None
        self._written_at = float("-inf")
        self._write_problem: str | None = None

    async def answer(self, _request: Request) -> Response:
        """Answers one check."""
        async with self._lock:
            if time.monotonic() - self._checked_at > CACHE_SECONDS:
                self._problem = await self._check()
                self._checked_at = time.monotonic()
            problem = self._problem
        if problem:
            return JSONResponse({"status": "not ready", "problem": problem}, 503)
        note = {"note": self._differs} if self._differs else {}
        return JSONResponse({"status": "ready", "schema_version": self._version, **note})

    async def _check(self) -> str | None:
        try:
            async with asyncio.timeout(READY_SECONDS):
                version = await self._store.schema_version()
                self._note_version(version)
                return self._differs if version < SCHEMA_VERSION else await self._try_to_write()
        except TimeoutError:
            return f"the Data API did not answer within {READY_SECONDS:g} seconds"
        except StoreError as error:
            return str(error)

    def _note_version(self, version: int) -> None:
        """Remembers the database's version; where it is not this release's, the log says so once."""
        differs = sentence(version)
        if differs and differs != self._differs:
            _log.warning("schema differs", problem=differs)
        self._version, self._differs = version, differs

    async def _try_to_write(self) -> str | None:
        """What stands in the way of a write, as of the last try."""
        if time.monotonic() - self._written_at >= WRITE_SECONDS:
            self._write_problem = None
            try:
                await self._store.check_write()
            except StoreError as error:
                self._write_problem = f"nothing can be written: {error}"
            self._written_at = time.monotonic()
        return self._write_problem


class Backlog:
    """200 while no event has waited for Toss longer than the limit, else 503; 503 too if that is unknown.

    Waiting events are the pending ones, even if their next attempt is in the future; failed ones wait for a person.
    Their age counts from when they were recorded or replayed.
    """

    def __init__(self, store: Store, limit_minutes: float) -> None:
        self._store = store
        self._limit_seconds = limit_minutes * 60
        self._lock = asyncio.Lock()
        self._checked_at = float("-inf")
        self._answer: tuple[int, dict[str, object]] = (503, {})

    async def answer(self, _request: Request) -> Response:
        """Answers one check."""
        async with self._lock:
            if time.monotonic() - self._checked_at > CACHE_SECONDS:
                self._answer = await self._check()
                self._checked_at = time.monotonic()
            status, body = self._answer
        return JSONResponse(body, status)

    async def _check(self) -> tuple[int, dict[str, object]]:
        try:
            async with asyncio.timeout(READY_SECONDS):
                seconds = await self._store.oldest_waiting_seconds()
        except TimeoutError:
            problem = f"the Data API did not answer within {READY_SECONDS:g} seconds"
            return 503, {"status": "unknown", "problem": problem}
        except StoreError as error:
            return 503, {"status": "unknown", "problem": str(error)}
        is_behind = seconds is not None and seconds > self._limit_seconds
        age = None if seconds is None else round(seconds, 1)
        body = {"oldest_waiting_seconds": age, "limit_seconds": self._limit_seconds}
        return (503, {"status": "behind", **body}) if is_behind else (200, {"status": "ok", **body})


def metrics_routes(token: SecretStr | None) -> list[Route]:
    """The route /metrics; none without a token, so that it is never public by mistake."""
    if token is None:
        return []
    expected = f"Bearer {token.get_secret_value()}".encode("latin-1")

    async def metrics(request: Request) -> Response:
        given = request.headers.get("authorization", "").encode("latin-1")
        if not hmac.compare_digest(given, expected):
            return PlainTextResponse("METRICS_TOKEN is needed", 401, {"www-authenticate": "Bearer"})
        return Response(generate_latest(), headers={"cache-control": "no-store"}, media_type=CONTENT_TYPE_LATEST)

    return [Route("/metrics", metrics, methods=["GET"])]
