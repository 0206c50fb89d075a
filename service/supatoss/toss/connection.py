"""The connection to Toss's API: keys, limits, time-outs, and every failure as one of our errors."""

import datetime as dt
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Self, TypeVar

import anyio
import httpx

from supatoss.causes import failure
from supatoss.errors import ConfigurationError, TossError, TossUnavailable
from supatoss.tls import NoCookies, tls_context
from supatoss.toss.keys import ApiKey
from supatoss.toss.ratelimit import MAX_CALLS_IN_FLIGHT, Purpose, RateLimiter, TokenBucket, loop_time
from supatoss.toss.requests import TossRequest
from supatoss.toss.responses import error_in
from supatoss.urls import TOSS_API_URL, check_url

CONNECT_TIMEOUT_SECONDS = 2.0
"""Connecting for longer leaves too little of a webhook's deadline."""

TEST_REQUESTS_PER_MINUTE = 100
"""What Toss allows test keys for each of its APIs; for live keys it publishes no number."""

GET_TRIES = 2
"""A request on a kept connection that Toss has closed fails; repeating a GET is harmless."""

OnCall = Callable[[str, str, float], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TossResponse:
    """A successful response. asked_at: UTC, taken before the request was sent."""

    asked_at: dt.datetime
    body: bytes = field(repr=False)


class TossConnection:
    """A connection with the keys of one merchant. Safe to share between tasks of one event loop.

    max_in_flight: of each purpose, instead of its own number. on_call(call, outcome, seconds) is called after every
    request; outcome is ok or that of the error, seconds include the wait for a slot.
    """

    def __init__(
        self,
        base_url: str,
        secret_keys: Sequence[str],
        *,
        max_in_flight: int | None = None,
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
        self._max_in_flight = max_in_flight
        self._limiters: dict[Purpose, RateLimiter] = {}
        self._buckets: dict[str, TokenBucket] = {}
        self._merchant_ids: dict[str, str] = {}
        self._http = httpx.AsyncClient(
            transport=transport,
            verify=tls_context(),
            limits=httpx.Limits(max_connections=MAX_CALLS_IN_FLIGHT, max_keepalive_connections=MAX_CALLS_IN_FLIGHT),
            follow_redirects=False,
            trust_env=False,
            cookies=NoCookies(),
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

    def _keys_for(self, merchant_id: str | None) -> list[ApiKey]:
        """All keys, the one known as that MID's first."""
        return sorted(self.keys, key=lambda key: self._merchant_ids.get(key.name) != (merchant_id or ""))

    def merchant_id_of(self, key: ApiKey) -> str | None:
        """The MID that a key belongs to, None before an answer has named it."""
        return self._merchant_ids.get(key.name)

    def _learn(self, key: ApiKey, merchant_id: str | None) -> None:
        if merchant_id:
            self._merchant_ids[key.name] = merchant_id

    async def _within_time(self, request: TossRequest, send: Callable[[TossRequest, float], Awaitable[T]]) -> T:
        try:
            # Not asyncio's own: its cancellation would interrupt httpx while it gives up a connection, which then keeps
            # its place in the pool for ever. httpx shields that work from anyio's.
            with anyio.fail_after(request.timeout_seconds):
                return await send(request, loop_time() + request.timeout_seconds)
        except TimeoutError:
            problem = TossUnavailable(request.call, "timeout")
            self._on_call(request.call, problem.outcome, request.timeout_seconds)
        raise problem

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
        limiter = self._limiter(request.purpose)
        async with limiter.slot(request.call, key.name, self._bucket(request.call, key), deadline):
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
                limiter.pause(key.name, problem.retry_after_seconds)
        if problem:
            raise problem
        return TossResponse(asked_at, body)

    def _limiter(self, purpose: Purpose) -> RateLimiter:
        if purpose not in self._limiters:
            self._limiters[purpose] = RateLimiter(purpose, self._max_in_flight)
        return self._limiters[purpose]

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
