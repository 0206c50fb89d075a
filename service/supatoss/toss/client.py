"""The client of Toss's API: keys, limits, time-outs, and every failure as one of our errors.

Source: docs.tosspayments.com, core API reference.
"""

import contextlib
import datetime as dt
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from http import HTTPStatus
from types import TracebackType
from typing import Any, Literal, Self

import anyio
import httpx

from supatoss.causes import failure
from supatoss.errors import ConfigurationError, TossError, TossMisconfigured, TossNotFound, TossUnavailable
from supatoss.tls import tls_context
from supatoss.toss import requests
from supatoss.toss.keys import ApiKey, race, weightiest
from supatoss.toss.models import Payment, PaymentAnswer, SettlementRow, Transaction
from supatoss.toss.ratelimit import RateLimiter, TokenBucket, loop_time
from supatoss.toss.requests import CONFIRM_TIMEOUT_SECONDS, LOOK_UP_TIMEOUT_SECONDS, TossRequest
from supatoss.toss.responses import error_in, read_object, read_rows, typed
from supatoss.urls import TOSS_API_URL, check_url

CONNECT_TIMEOUT_SECONDS = 2.0
"""Connecting for longer leaves too little of a webhook's deadline."""

TEST_REQUESTS_PER_MINUTE = 100
"""What Toss allows test keys for each of its APIs; for live keys it publishes no number."""

GET_TRIES = 2
"""A request on a kept connection that Toss has closed fails; repeating a GET is harmless."""

OnCall = Callable[[str, str, float], None]


@dataclass(frozen=True, slots=True)
class TossResponse:
    """A successful response. asked_at: UTC, taken before the request was sent."""

    asked_at: dt.datetime
    body: bytes = field(repr=False)


class TossClient:
    """A client of Toss's API with the keys of one merchant: one for each of its MIDs, and two while one is re-issued.

    A payment is looked up with all of them, since nothing says whose it is. Transactions and settlements are listed for
    each key by itself: Toss lists those of the key's MID.

    on_call(call, outcome, seconds) is told of every request; outcome is ok or that of the error, seconds include the
    wait for a slot. Every method raises TossUnavailable, TossNotFound, TossRefused or TossMisconfigured. Safe to share
    between tasks of one event loop.
    """

    def __init__(
        self,
        base_url: str,
        secret_keys: Sequence[str],
        *,
        max_in_flight: int = 8,
        requests_per_minute: int | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        on_call: OnCall | None = None,
    ) -> None:
        if isinstance(secret_keys, str) or not secret_keys or not all(secret_keys):
            raise ConfigurationError(["TOSS_SECRET_KEY should be a secret key of Toss, or several."])
        self._base_url = check_base_url(base_url)
        self.keys = tuple(ApiKey.of(place, secret_key) for place, secret_key in enumerate(secret_keys, 1))
        self._requests_per_minute = requests_per_minute
        self._on_call: OnCall = on_call or (lambda _call, _outcome, _seconds: None)
        self._limiter = RateLimiter(max_in_flight)
        self._buckets: dict[str, TokenBucket] = {}
        self._http = httpx.AsyncClient(
            transport=transport,
            verify=tls_context(),
            limits=httpx.Limits(max_connections=max_in_flight, max_keepalive_connections=max_in_flight),
            follow_redirects=False,
            trust_env=False,
            # Not compressed, so that the limit on a response's length counts its bytes on the wire too.
            headers={"accept": "application/json", "accept-encoding": "identity", "user-agent": "supatoss"},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connections; requests in flight end as TossUnavailable."""
        await self._http.aclose()

    async def payment(self, payment_key: str, *, timeout_seconds: float = LOOK_UP_TIMEOUT_SECONDS) -> PaymentAnswer:
        """The payment with this key."""
        return await self._payment(requests.payment(payment_key, timeout_seconds))

    async def payment_by_order(
        self, order_id: str, *, timeout_seconds: float = LOOK_UP_TIMEOUT_SECONDS
    ) -> PaymentAnswer:
        """A payment of this order. Toss doesn't document which of several attempts it is."""
        return await self._payment(requests.payment_by_order(order_id, timeout_seconds))

    async def check_key(self, key: ApiKey, *, timeout_seconds: float = LOOK_UP_TIMEOUT_SECONDS) -> None:
        """Returns if Toss accepts the key: it looks up an order that does not exist."""

        async def send(request: TossRequest, deadline: float) -> TossResponse:
            return await self._send_with(request, key, deadline)

        order_id = f"supatoss-probe-{secrets.token_hex(8)}"
        with contextlib.suppress(TossNotFound):
            await self._within_time(requests.payment_by_order(order_id, timeout_seconds), send)

    async def confirm(
        self,
        payment_key: str,
        order_id: str,
        amount: Decimal,
        *,
        idempotency_key: str,
        timeout_seconds: float = CONFIRM_TIMEOUT_SECONDS,
    ) -> PaymentAnswer:
        """Approves a payment. Never retried here: after TossUnavailable or ALREADY_PROCESSED_PAYMENT, look it up.

        Toss answers a repeated idempotency key with its first answer, even if that was an error, for 15 days.
        """
        return await self._payment(requests.confirm(payment_key, order_id, amount, idempotency_key, timeout_seconds))

    async def transactions(
        self,
        key: ApiKey,
        start: dt.datetime,
        end: dt.datetime,
        *,
        starting_after: str | None = None,
        page_size: int = 1000,
    ) -> AsyncIterator[list[Transaction]]:
        """Pages of the approvals and cancels between two aware times, of the key's MID. No page is empty.

        To resume later, pass the transaction_key of the last row as starting_after.
        """
        is_full = True
        while is_full:
            rows = await self._page(requests.transactions(start, end, page_size, starting_after), key)
            page = [Transaction.model_validate(row) for row in rows if isinstance(row, dict)]
            if rows and not page:
                raise TossUnavailable("transactions", "answered in an unexpected form: no objects")
            keys_of_page = [row.transaction_key for row in page if row.transaction_key]
            is_full = len(rows) >= page_size
            if is_full and keys_of_page[-1:] in ([], [starting_after]):
                raise TossUnavailable("transactions", "answered the same page again")
            if keys_of_page:
                starting_after = keys_of_page[-1]
            if page:
                yield page

    async def settlements(
        self,
        key: ApiKey,
        start: dt.date,
        end: dt.date,
        *,
        date_type: Literal["soldDate", "paidOutDate"] = "soldDate",
        page_size: int = 1000,
    ) -> AsyncIterator[list[SettlementRow]]:
        """Pages of Toss's payouts to the key's MID, for days in Korea, both included. No page is empty.

        Test keys get none.
        """
        is_full, number, before = True, 1, list[Any]()
        while is_full:
            rows = await self._page(requests.settlements(start, end, date_type, page_size, number), key)
            is_full = len(rows) >= page_size
            if is_full and rows == before:
                raise TossUnavailable("settlements", "answered the same page again")
            if rows:
                yield [typed("settlements", SettlementRow, row) for row in rows]
            number, before = number + 1, rows

    async def _payment(self, request: TossRequest) -> PaymentAnswer:
        response = await self._within_time(request, self._send_with_any)
        fields = read_object(request.call, response.body)
        if any(fields.get(name) != value for name, value in request.expected.items()):
            # The name came from an unsigned body and made a path; only an answer about that very payment counts.
            raise TossUnavailable(request.call, "answered for another payment")
        return PaymentAnswer(response.asked_at, fields, typed(request.call, Payment, fields))

    async def _page(self, request: TossRequest, key: ApiKey) -> list[Any]:
        async def send(request: TossRequest, deadline: float) -> TossResponse:
            return await self._send_with(request, key, deadline)

        response = await self._within_time(request, send)
        return read_rows(request.call, response.body)

    async def _within_time(
        self, request: TossRequest, send: Callable[[TossRequest, float], Awaitable[TossResponse]]
    ) -> TossResponse:
        try:
            # Not asyncio's own: its cancellation would interrupt httpx while it gives up a connection, which then keeps
            # its place in the pool for ever. httpx shields that work from anyio's.
            with anyio.fail_after(request.timeout_seconds):
                return await send(request, loop_time() + request.timeout_seconds)
        except TimeoutError:
            problem = TossUnavailable(request.call, "timeout")
            self._on_call(request.call, problem.outcome, request.timeout_seconds)
        raise problem

    async def _send_with_any(self, request: TossRequest, deadline: float) -> TossResponse:
        """The first success among the keys. "Not found" holds only if every key could look."""
        if request.method == "GET" and len(self.keys) > 1:
            return await race(self.keys, lambda key: self._send_with(request, key, deadline), deadline - loop_time())
        problems: list[TossError] = []
        for key in self.keys:
            try:
                return await self._send_with(request, key, deadline)
            except (TossMisconfigured, TossNotFound) as error:
                # Nothing was done under this key. After any other error something may have been.
                problems.append(error)
        raise weightiest(problems)

    async def _send_with(self, request: TossRequest, key: ApiKey, deadline: float) -> TossResponse:
        tries_left = GET_TRIES if request.method == "GET" else 1
        while True:
            tries_left -= 1
            started = loop_time()
            problem: TossError
            try:
                response = await self._send_once(request, key, deadline)
            except httpx.HTTPError as error:
                problem = TossUnavailable(request.call, f"no answer: {failure(error, 'TOSS_API_URL')}")
                is_final = not isinstance(error, httpx.NetworkError | httpx.ConnectTimeout | httpx.RemoteProtocolError)
            except TossError as error:
                problem, is_final = error, True
                error.key = key.name
            else:
                self._on_call(request.call, "ok", loop_time() - started)
                return response
            self._on_call(request.call, problem.outcome, loop_time() - started)
            if is_final or not tries_left:
                raise problem

    async def _send_once(self, request: TossRequest, key: ApiKey, deadline: float) -> TossResponse:
        if self._http.is_closed:
            raise TossUnavailable(request.call, "the client is closed")
        async with self._limiter.slot(request.call, key.name, self._bucket(request.call, key), deadline):
            asked_at = dt.datetime.now(dt.UTC)
            async with self._http.stream(
                request.method,
                self._base_url + request.path,
                params=request.params or None,
                headers={**request.headers, "authorization": key.authorization},
                content=request.content,
                timeout=httpx.Timeout(request.read_timeout_seconds, connect=CONNECT_TIMEOUT_SECONDS),
            ) as response:
                body = await _read(response, request)
            problem = error_in(request.call, response.status_code, response.headers.get("retry-after"), body)
            if response.status_code == HTTPStatus.TOO_MANY_REQUESTS and problem and problem.retry_after_seconds:
                self._limiter.pause(key.name, problem.retry_after_seconds)
        if problem:
            raise problem
        return TossResponse(asked_at, body)

    def _bucket(self, call: str, key: ApiKey) -> TokenBucket | None:
        limit = self._requests_per_minute or (TEST_REQUESTS_PER_MINUTE if key.is_test else None)
        return None if limit is None else self._buckets.setdefault(call, TokenBucket(limit))


async def _read(response: httpx.Response, request: TossRequest) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > request.max_answer_bytes:
            raise TossUnavailable(request.call, "the answer is too long", http_status=response.status_code)
    return bytes(body)


def check_base_url(value: str) -> str:
    """The address of Toss's API without a trailing slash. Raises ConfigurationError with what it should be."""
    try:
        return check_url(value, TOSS_API_URL)
    except ValueError as error:
        raise ConfigurationError([f"TOSS_API_URL {error}."]) from None
