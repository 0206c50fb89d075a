"""The connection to a Supabase project, and every function of ours that is called there.

The only module that imports Supabase's client. Its errors become ours here.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import fields
from enum import StrEnum
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import anyio
import httpx
from postgrest import AsyncPostgrestClient
from postgrest.exceptions import APIError

from supatoss import tracing
from supatoss.errors import SchemaMismatch, StoreError
from supatoss.store import schema
from supatoss.store.keys import key_headers
from supatoss.store.problems import no_answer, not_readable, refusal
from supatoss.tls import NoCookies, tls_context

if TYPE_CHECKING:
    from supabase import AsyncClient

MAX_CONNECTIONS = 32
"""Connections to the Data API; a delivery holds one for one round trip."""

CONNECT_TIMEOUT_SECONDS = 2.0
"""A connection that takes longer than 2 s comes too late for Toss."""

TRIES = 2
"""Recording is idempotent, so one more try costs nothing; a third would not fit into the answer's deadline."""

T = TypeVar("T")

OnCall = Callable[[str, str], None]
"""Called after every call with the function's name and the outcome: ok, unavailable or refused."""

SCHEMA_SECONDS = 5.0
"""Between two checks of the schema's version while calls fail because of it: each is one more call."""


class Function(StrEnum):
    """Every function of the database that this release calls, by its subject."""

    SCHEMA_VERSION = "supatoss_schema_version"
    CHECK_WRITE = "supatoss_check_write_v1"
    TABLE_NAMES = "supatoss_table_names_v1"

    RECORD_EVENTS = "record_webhook_events_v1"
    READ_KNOWN_KEYS = "read_known_keys_v1"
    KNOWN_ORDERS = "supatoss_known_orders_v1"
    CLAIM_EVENTS = "claim_webhook_events_v1"
    FINISH_EVENT = "finish_webhook_event_v1"
    OVERDUE_ACCOUNTS = "supatoss_overdue_accounts_v1"
    EMPTY_PAYLOADS = "supatoss_empty_payloads_v1"
    NOTE_REFUSED = "supatoss_note_refused_v1"
    READ_REFUSED = "supatoss_read_refused_v1"

    FIND_EVENTS = "find_webhook_events_v1"
    REPLAY_EVENTS = "replay_webhook_events_v1"
    IGNORE_EVENTS = "ignore_webhook_events_v1"
    UNIGNORE_EVENTS = "unignore_webhook_events_v1"
    OPEN_BATCH = "supatoss_open_batch_v1"
    READ_BATCH = "supatoss_read_batch_v1"
    CLAIM_BATCH = "supatoss_claim_batch_v1"
    NOTE_BATCH = "supatoss_note_batch_v1"
    OPS_OVERVIEW = "supatoss_ops_overview_v1"
    OPS_ROWS = "supatoss_ops_rows_v1"
    OPS_PAYMENT = "supatoss_ops_payment_v1"
    OPS_HEALTH = "supatoss_ops_health_v1"
    OPS_LIST = "supatoss_ops_list_v1"
    OPS_RECONCILIATIONS = "supatoss_ops_reconciliations_v1"
    OPEN_SESSION = "supatoss_open_session_v1"
    READ_SESSION = "supatoss_read_session_v1"
    CONFIRM_SESSION = "supatoss_confirm_session_v1"
    END_SESSIONS = "supatoss_end_sessions_v1"
    LIST_SESSIONS = "supatoss_list_sessions_v1"

    OLDEST_WAITING_SECONDS = "supatoss_oldest_waiting_seconds_v1"
    READ_ALERT_FACTS = "supatoss_read_alert_facts_v1"
    NOTE_ALERTS = "supatoss_note_alerts_v1"
    CLAIM_ALERTS = "supatoss_claim_alerts_v1"
    CONFIRM_ALERTS = "supatoss_confirm_alerts_v1"
    FORGET_PROCESS = "supatoss_forget_process_v1"

    OPEN_RECONCILIATION = "supatoss_open_reconciliation_v1"
    ADVANCE_RECONCILIATION = "supatoss_advance_reconciliation_v1"
    RELEASE_RECONCILIATION = "supatoss_release_reconciliation_v1"
    READ_RECONCILIATION_PAGE = "supatoss_read_reconciliation_page_v1"
    READ_FINDINGS = "supatoss_read_reconciliation_findings_v1"
    COUNT_FINDINGS = "supatoss_count_reconciliation_findings_v1"
    UNCOMPARED_DAYS = "supatoss_uncompared_days_v1"
    READ_OPEN_ORDERS = "supatoss_read_open_orders_v1"
    READ_OPEN_FINDINGS = "supatoss_read_open_findings_v1"
    FIND_OPEN_FINDINGS = "supatoss_find_open_findings_v1"
    NOTE_REPAIRS = "supatoss_note_repairs_v1"
    NOTE_FINDINGS = "supatoss_note_findings_v1"
    IGNORE_FINDINGS = "supatoss_ignore_findings_v1"
    READ_PAYMENT_STANDING = "supatoss_read_payment_standing_v1"
    READ_SETTLEMENTS = "supatoss_read_settlements_v1"
    REPAIR_PAYMENT = "supatoss_repair_payment_v1"
    REPAIR_SETTLEMENT = "supatoss_repair_settlement_v1"

    HARDEN = "supatoss_harden_v1"
    OLD_TIMES = "supatoss_old_times_v1"
    CORRECT_TIMES = "supatoss_correct_times_v1"
    READ_EXPOSURE = "supatoss_read_exposure_v1"


OWNER_FUNCTIONS = frozenset({Function.HARDEN, Function.CORRECT_TIMES})
"""For the project's owner, once after an adoption: the role supatoss_service may not call them."""


_last: ContextVar[tuple[int, str]] = ContextVar("last_answer", default=(0, ""))
"""HTTP status and content type of the last answer in this task: the client hides them where a gateway answers."""


async def _remember_answer(response: httpx.Response) -> None:
    _last.set((response.status_code, response.headers.get("content-type", "")))


def _use_key(headers: Mapping[str, str]) -> Callable[[httpx.Request], Awaitable[None]]:
    """The client also sends every key as a bearer token, and sets that header in several places."""

    async def use(request: httpx.Request) -> None:
        request.headers.pop("authorization", None)
        request.headers.update(headers)

    return use


class Connection:
    """A connection to one Supabase project. Safe to share between tasks of one event loop."""

    def __init__(
        self,
        client: "AsyncClient | AsyncPostgrestClient",
        http: httpx.AsyncClient,
        timeout_seconds: float,
        on_call: OnCall | None = None,
    ) -> None:
        self._client = client
        self._http = http
        self._on_call = on_call or (lambda _name, _outcome: None)
        self._timeout_seconds = timeout_seconds
        self._comparing = asyncio.Lock()
        self._compared_at = float("-inf")
        self._mismatch: tuple[str, str] | None = None

    @classmethod
    def open(
        cls,
        url: str,
        secret_key: str,
        timeout_seconds: float,
        publishable_key: str | None = None,
        *,
        on_call: OnCall | None = None,
        is_brief: bool = False,
    ) -> Self:
        """Makes a connection. Nothing is sent. publishable_key is needed beside a token of a role of its own.

        is_brief: for commands, which have to start quickly: imports only the part of Supabase's client that calls the
        Data API, and no transport of its own. The others (sign-in, storage, realtime) take 0.2 s to import.
        """
        tls = tls_context(url)
        limits = httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS)
        if is_brief:
            transport: httpx.AsyncBaseTransport = httpx.AsyncHTTPTransport(verify=tls, limits=limits)
        else:
            from supatoss.transport import AiohttpTransport  # noqa: PLC0415 - see above

            transport = AiohttpTransport(tls, MAX_CONNECTIONS)
        http = httpx.AsyncClient(
            transport=transport,
            # The client of Supabase uses HTTP/2 and 120 s by default; Toss waits 10 s for us.
            timeout=httpx.Timeout(timeout_seconds, connect=min(CONNECT_TIMEOUT_SECONDS, timeout_seconds)),
            trust_env=False,
            cookies=NoCookies(),
            event_hooks={
                "request": [_use_key(key_headers(secret_key, publishable_key))],
                "response": [_remember_answer],
            },
        )
        if is_brief:
            return cls(AsyncPostgrestClient(f"{url}/rest/v1", http_client=http), http, timeout_seconds, on_call)
        import supabase  # noqa: PLC0415 - see above

        options = supabase.AsyncClientOptions(httpx_client=http, auto_refresh_token=False, persist_session=False)
        return cls(supabase.AsyncClient(url, secret_key, options), http, timeout_seconds, on_call)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def schema_version(self) -> int:
        """Version of the migrations in the database. Raises StoreUnavailable or StoreRefused."""
        return await self.call(Function.SCHEMA_VERSION, {}, _whole_number, tries=1)

    async def check_write(self) -> None:
        """Writes a row of its own. Raises StoreUnavailable or StoreRefused where nothing can be written."""
        await self.call(Function.CHECK_WRITE, {}, lambda _answer: None, tries=1)

    async def call(
        self, function: Function, arguments: Mapping[str, Any], read: Callable[[Any], T], *, tries: int = TRIES
    ) -> T:
        """What a function answers, as `read` makes it. Raises StoreUnavailable or StoreRefused.

        More than one try is for functions that can be called twice without harm.
        """
        answer = await self._answer(function, arguments, tries)
        try:
            return read(answer)
        except (TypeError, KeyError, ValueError, AttributeError, ArithmeticError) as error:
            raise not_readable(function.value, _last.get()[1]) from error

    async def _answer(self, function: Function, arguments: Mapping[str, Any], tries: int) -> Any:
        for attempt in range(1, tries + 1):
            started_ns = time.time_ns()
            try:
                # httpx limits each wait for bytes, so a response that trickles in would never time out. A limit of
                # asyncio could interrupt httpx while it gives up a connection, which would be lost to the pool.
                with anyio.fail_after(self._timeout_seconds):
                    answer = await self._client.rpc(function.value, dict(arguments)).execute()
            except (TimeoutError, httpx.HTTPError, httpx.StreamError, APIError, ValueError) as error:
                problem = _translate(error)
                outcome = problem.reason.value.removeprefix("store_")
                tracing.call(f"Data API {function.value}", "supabase", started_ns, outcome)
                if isinstance(problem, SchemaMismatch):
                    problem = await self._explain(function, problem)
                if attempt == tries or not problem.retry_can_help:
                    self._on_call(function.value, problem.reason.value.removeprefix("store_"))
                    raise problem from error
                # Jitter keeps deliveries that failed together from coming back together.
                await asyncio.sleep(random.uniform(0.02, 0.1))  # noqa: S311 - no secret depends on it
            else:
                self._on_call(function.value, "ok")
                tracing.call(f"Data API {function.value}", "supabase", started_ns, "ok")
                return answer.data
        raise AssertionError("unreachable")

    async def _explain(self, function: Function, problem: SchemaMismatch) -> StoreError:
        """The error with both schema versions in its message, if the database's and this release's differ."""
        if function is Function.SCHEMA_VERSION:
            return SchemaMismatch(schema.sentence(None) or "", schema.MIGRATE)
        async with self._comparing:  # calls that fail together share one check
            if time.monotonic() - self._compared_at > SCHEMA_SECONDS:
                try:
                    self._mismatch = schema.mismatch(await self.schema_version())
                except SchemaMismatch:
                    self._mismatch = schema.mismatch(None)
                except StoreError:
                    self._mismatch = None
                self._compared_at = time.monotonic()
        return SchemaMismatch(": ".join(self._mismatch), self._mismatch[1]) if self._mismatch else problem


def read_row(kind: type[T], row: Mapping[str, Any]) -> T:
    """Makes a dataclass of a row, from the keys that it has fields for: the next schema may send more.

    Raises TypeError where one is missing.
    """
    return kind(**{item.name: row[item.name] for item in fields(kind) if item.name in row})  # type: ignore[arg-type]


def read_object(answer: Any) -> dict[str, Any]:
    """A JSON object, an empty one for null. Raises TypeError."""
    if not isinstance(answer, dict | None):
        raise TypeError(type(answer).__name__)
    return answer or {}


def _whole_number(answer: Any) -> int:
    if not isinstance(answer, int) or isinstance(answer, bool):
        raise TypeError(type(answer).__name__)
    return answer


def _translate(error: Exception) -> StoreError:
    if isinstance(error, APIError):
        return refusal(str(error.code or ""), error.message or "", _last.get()[0])
    return no_answer(error)
