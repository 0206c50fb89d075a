"""The way to Supabase: the only module that imports its client. Its errors become ours here."""

import asyncio
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Self

import httpx
import msgspec
from postgrest.exceptions import APIError
from supabase import AsyncClient, AsyncClientOptions, create_async_client

from supatoss.alertlog import AlertCalls
from supatoss.errors import StoreError, StoreRefused, StoreUnavailable
from supatoss.eventlog import Cursor, EventFilter, EventOutcome, EventPage, StoredEvent
from supatoss.telemetry import STORE_CALLS

SCHEMA_VERSION = 4
"""supatoss_schema_version() of the newest migration that this release relies on."""

MAX_CONNECTIONS = 32
"""Connections to the Data API; a delivery holds one for one round trip."""

CONNECT_TIMEOUT_SECONDS = 2.0
"""A connection that is not there in 2 s will not be there in time for Toss."""

TRIES = 2
"""Recording is idempotent, so one more try costs nothing; a third would not fit into the answer's deadline."""

_encode = msgspec.json.Encoder().encode
_SQLSTATE_LENGTH = 5
_TRANSIENT_SQLSTATES = ("08", "40", "53", "55", "57", "58")
"""Connection, serialization and deadlock, resources (disk full, too many connections), locks, operator, system."""

_TRANSIENT_POSTGREST = ("PGRST000", "PGRST001", "PGRST002", "PGRST003")
"""PostgREST has no connection, no schema cache yet, or no free connection in its pool."""


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """What became of one event: outcome is created or duplicate, status and reason as in webhook_events."""

    id: str
    event_key: str
    outcome: str
    status: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Vouchers:
    """What we hold that can vouch for an unsigned event."""

    secrets: tuple[str, ...] = field(repr=False)
    holds_billing_key: bool
    cancel_payment_key: str | None


@dataclass(frozen=True, slots=True)
class ClaimedEvent:
    """A pending event under our lease. amount: what the application stored for its order, as decimal text."""

    id: str
    lease: str
    event_key: str
    event_type: str
    reason: str | None
    attempts: int
    payment_key: str | None
    order_id: str | None
    proof: str | None
    last_error: str | None
    cancel_key: str | None
    cancel_request: str | None
    amount: str | None


@dataclass(frozen=True, slots=True)
class FinishedEvent:
    """What became of a settlement: outcome is settled, or lost when somebody else had finished the event."""

    outcome: str
    status: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class OverdueAccount:
    """A virtual account that waits for its deposit after its due date."""

    payment_key: str
    order_id: str
    due_date: str


_status: ContextVar[int] = ContextVar("http_status", default=0)
"""HTTP status of the last answer in this task: the client hides it when a gateway answers with JSON of its own."""


async def _remember_status(response: httpx.Response) -> None:
    _status.set(response.status_code)


class Store(AlertCalls):
    """A connection to one Supabase project, with its secret key. Safe to share between tasks of one event loop."""

    def __init__(self, client: AsyncClient, http: httpx.AsyncClient, timeout_seconds: float) -> None:
        self._client = client
        self._http = http
        self._timeout_seconds = timeout_seconds

    @classmethod
    async def open(cls, url: str, secret_key: str, timeout_seconds: float) -> Self:
        """Makes a client. Nothing is sent yet."""
        http = httpx.AsyncClient(
            # The client of Supabase uses HTTP/2 and 120 s by default; Toss waits 10 s for us.
            timeout=httpx.Timeout(timeout_seconds, connect=min(CONNECT_TIMEOUT_SECONDS, timeout_seconds)),
            limits=httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS),
            trust_env=False,
            event_hooks={"response": [_remember_status]},
        )
        options = AsyncClientOptions(httpx_client=http, auto_refresh_token=False, persist_session=False)
        return cls(await create_async_client(url, secret_key, options), http, timeout_seconds)

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def record_webhook_events(self, records: Sequence[Mapping[str, Any]]) -> list[RecordedEvent]:
        """Stores events and applies their changes in one transaction. One result a record, in order.

        Raises StoreUnavailable or StoreRefused; then nothing is known to be stored, and recording again is safe.
        """
        rows = await self._call("record_webhook_events_v2", {"events": _encode(records).decode()})
        with _expecting("record_webhook_events_v2"):
            recorded = [
                RecordedEvent(row["id"], row["event_key"], row["outcome"], row["status"], row["reason"]) for row in rows
            ]
        if [event.event_key for event in recorded] != [record["event_key"] for record in records]:
            raise StoreRefused("record_webhook_events_v2 answered for other events than were sent")
        return recorded

    async def read_vouchers(
        self,
        *,
        order_id: str | None = None,
        payment_key: str | None = None,
        billing_key: str | None = None,
        cancel_key: str | None = None,
        cancel_request: str | None = None,
    ) -> Vouchers:
        """What vouches for an event about these subjects. Raises StoreUnavailable or StoreRefused."""
        arguments = {
            "order_id": order_id,
            "payment_key": payment_key,
            "billing_key": billing_key,
            "cancel_key": cancel_key,
            "cancel_request": cancel_request,
        }
        row = await self._call("read_webhook_event_vouchers_v1", arguments)
        with _expecting("read_webhook_event_vouchers_v1"):
            return Vouchers(tuple(row["secrets"]), row["holds_billing_key"], row["cancel_payment_key"])

    async def claim_events(self, max_events: int, lease_seconds: int) -> list[ClaimedEvent]:
        """Due pending events, ours until the lease ends. Raises StoreUnavailable or StoreRefused."""
        # One try: a claim whose answer was lost would only hold the next ones back until its lease ends.
        arguments = {"max_events": max_events, "lease_seconds": lease_seconds}
        rows = await self._call("claim_webhook_events_v1", arguments, tries=1)
        with _expecting("claim_webhook_events_v1"):
            return [ClaimedEvent(**row) for row in rows]

    async def finish_event(self, attempt: str) -> FinishedEvent:
        """Ends an attempt at a claimed event; settling twice is harmless. Raises StoreUnavailable or StoreRefused."""
        row = await self._call("finish_webhook_event_v1", {"attempt": attempt})
        with _expecting("finish_webhook_event_v1"):
            return FinishedEvent(**row)

    async def overdue_accounts(self, max_accounts: int) -> list[OverdueAccount]:
        """Accounts that wait for a deposit after their due date. Raises StoreUnavailable or StoreRefused."""
        rows = await self._call("supatoss_overdue_accounts_v1", {"max_accounts": max_accounts})
        with _expecting("supatoss_overdue_accounts_v1"):
            return [OverdueAccount(**row) for row in rows]

    async def find_events(
        self,
        wanted: EventFilter,
        *,
        limit: int,
        after: Cursor | None = None,
        is_ascending: bool = False,
        with_payload: bool = False,
    ) -> EventPage:
        """A page of the inbox, newest first unless is_ascending. Raises StoreUnavailable or StoreRefused."""
        query = wanted.to_query(limit=limit, after=after, is_ascending=is_ascending, with_payload=with_payload)
        page = await self._call("find_webhook_events_v1", {"query": json.dumps(query)})
        with _expecting("find_webhook_events_v1"):
            events = tuple(StoredEvent.from_row(row) for row in page["events"])
            return EventPage(events, events[-1].cursor if page["has_more"] else None)

    async def replay_events(
        self, readings: Sequence[Mapping[str, Any]], *, actor: str, dry_run: bool
    ) -> list[EventOutcome]:
        """Records stored events anew, one outcome a reading. Raises StoreUnavailable or StoreRefused.

        Replaying twice is harmless: an event that is not as the reading saw it is left alone.
        """
        arguments = {"readings": json.dumps(list(readings)), "actor": actor, "dry_run": dry_run}
        # One try: were its answer lost, a second one would take what the first one did for somebody else's work.
        rows = await self._call("replay_webhook_events_v1", arguments, tries=1)
        with _expecting("replay_webhook_events_v1"):
            return [EventOutcome(**row) for row in rows]

    async def ignore_events(self, ids: Sequence[str], reason: str, *, actor: str, dry_run: bool) -> list[EventOutcome]:
        """Sets failed and pending events aside, one outcome an id. Raises StoreUnavailable or StoreRefused."""
        arguments = {"event_ids": json.dumps(list(ids)), "reason": reason, "actor": actor, "dry_run": dry_run}
        rows = await self._call("ignore_webhook_events_v1", arguments, tries=1)
        with _expecting("ignore_webhook_events_v1"):
            return [EventOutcome(**row) for row in rows]

    async def read(self, function: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """The JSON object that a reading function answers; nothing where it answers null. Raises StoreError."""
        answer = await self._call(function, arguments)
        if not isinstance(answer, dict | None):
            raise StoreRefused(f"{function} answered in an unexpected form")
        return answer or {}

    async def schema_version(self) -> int:
        """Version of the migrations in the database. Raises StoreUnavailable or StoreRefused."""
        version = await self._call("supatoss_schema_version", {}, tries=1)
        if not isinstance(version, int) or isinstance(version, bool):
            raise StoreRefused("supatoss_schema_version answered in an unexpected form")
        return version

    async def call(self, function: str, arguments: dict[str, Any], tries: int = TRIES) -> Any:
        """What one of our functions answers, as it came. Raises StoreUnavailable or StoreRefused."""
        return await self._call(function, arguments, tries)

    async def _read(self, function: str, arguments: dict[str, Any], read: Any, tries: int = TRIES) -> Any:
        answer = await self._call(function, arguments, tries)
        with _expecting(function):
            return read(answer)

    async def _call(self, function: str, arguments: dict[str, Any], tries: int = TRIES) -> Any:
        for attempt in range(1, tries + 1):
            try:
                # httpx limits each wait for bytes; an answer that trickles in would hold its call for ever.
                async with asyncio.timeout(self._timeout_seconds):
                    answer = await self._client.rpc(function, arguments).execute()
            except (TimeoutError, httpx.HTTPError, httpx.StreamError, APIError, ValueError) as error:
                problem = _translate(error)
                if attempt == tries or not problem.retry_can_help:
                    STORE_CALLS.labels(function, problem.reason.value.removeprefix("store_")).inc()
                    raise problem from error
                # Jitter keeps deliveries that failed together from coming back together.
                await asyncio.sleep(random.uniform(0.02, 0.1))  # noqa: S311 - no secret depends on it
            else:
                STORE_CALLS.labels(function, "ok").inc()
                return answer.data
        raise AssertionError("unreachable")


@contextmanager
def _expecting(function: str) -> Iterator[None]:
    """Turns the failure to read an answer into StoreRefused."""
    try:
        yield
    except (TypeError, KeyError, ValueError) as error:
        raise StoreRefused(f"{function} answered in an unexpected form") from error


def _translate(error: Exception) -> StoreError:
    """Our error for one of the client's. Messages of PostgreSQL can hold values of rows, so only codes are kept."""
    if not isinstance(error, APIError):
        return StoreUnavailable(f"no answer from the Data API: {type(error).__name__}")
    code = str(error.code or "")
    if len(code) == _SQLSTATE_LENGTH:
        is_catalog_race = code == "XX000" and "concurrently updated" in (error.message or "")
        if code.startswith(_TRANSIENT_SQLSTATES) or is_catalog_race:
            return StoreUnavailable(f"the database is busy or away: SQLSTATE {code}")
        return StoreRefused(f"the database refuses the call: SQLSTATE {code}")
    if code in _TRANSIENT_POSTGREST or (code.isdigit() and (int(code) >= 500 or int(code) == 429)):
        return StoreUnavailable(f"the Data API is away: {code}")
    if not code and (
        _status.get() >= httpx.codes.INTERNAL_SERVER_ERROR or _status.get() == httpx.codes.TOO_MANY_REQUESTS
    ):
        return StoreUnavailable(f"the gateway before the Data API answers with HTTP {_status.get()}")
    return StoreRefused(f"the Data API refuses the call: {code or f'HTTP {_status.get()}'}")
