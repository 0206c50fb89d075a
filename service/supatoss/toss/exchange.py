"""One request to Toss and its answer: keys, limits, time-outs, and every failure as one of our errors."""

import asyncio
import base64
import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

import httpx

from supatoss.errors import ConfigurationError, TossError, TossMisconfigured, TossNotFound, TossUnavailable
from supatoss.toss.addresses import TOSS_API_URL, check_url
from supatoss.toss.answers import error_in
from supatoss.toss.pace import Pace, TokenBucket, loop_time
from supatoss.toss.questions import Question

CONNECT_TIMEOUT_SECONDS = 2.0
"""A connection that is not there in 2 s will not be there in time for a webhook."""

TEST_REQUESTS_PER_MINUTE = 100
"""What Toss allows test keys for each of its APIs; for live keys it publishes no number."""

GET_TRIES = 2
"""A kept connection that Toss has closed is found out by the request that fails on it; asking again is harmless."""

OnCall = Callable[[str, str, float], None]


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A secret key, as the header that carries it."""

    authorization: str = field(repr=False)
    is_test: bool

    @classmethod
    def of(cls, secret_key: str) -> "ApiKey":
        """The key is the user name and the password is empty: the colon belongs to it."""
        encoded = base64.b64encode(f"{secret_key}:".encode()).decode("ascii")
        return cls(f"Basic {encoded}", secret_key.startswith("test_"))


@dataclass(frozen=True, slots=True)
class Answer:
    """The body of a success. asked_at: UTC, taken before the request was sent; key: the one it was sent with."""

    asked_at: dt.datetime
    body: bytes = field(repr=False)
    key: ApiKey


class Exchange:
    """A connection to Toss's API. Safe to share between tasks of one event loop."""

    def __init__(
        self,
        base_url: str,
        *,
        max_in_flight: int,
        requests_per_minute: int | None,
        transport: httpx.AsyncBaseTransport | None,
        on_call: OnCall | None,
    ) -> None:
        self._base_url = check_base_url(base_url)
        self._requests_per_minute = requests_per_minute
        self._on_call: OnCall = on_call or (lambda _call, _outcome, _seconds: None)
        self._pace = Pace(max_in_flight)
        self._buckets: dict[str, TokenBucket] = {}
        self._http = httpx.AsyncClient(
            transport=transport,
            limits=httpx.Limits(max_connections=max_in_flight, max_keepalive_connections=max_in_flight),
            follow_redirects=False,
            trust_env=False,
            # Not compressed, so that the limit of an answer's length is one of its bytes on the wire, too.
            headers={"accept": "application/json", "accept-encoding": "identity", "user-agent": "supatoss"},
        )

    async def close(self) -> None:
        """Closes the connections; requests in flight end as TossUnavailable."""
        await self._http.aclose()

    async def ask(self, question: Question, keys: Sequence[ApiKey]) -> Answer:
        """The first success among the keys, newest first; all of them within the question's time.

        A key that Toss does not accept, and one under which it finds nothing, lets the next one try: keys overlap while
        one is re-issued, and a merchant can have several MIDs. "Not found" holds only if every key could look.
        """
        try:
            async with asyncio.timeout(question.timeout_seconds):
                return await self._ask_with_any(question, keys, loop_time() + question.timeout_seconds)
        except TimeoutError:
            problem = TossUnavailable(question.call, "timeout")
            self._on_call(question.call, problem.outcome, question.timeout_seconds)
        raise problem

    async def _ask_with_any(self, question: Question, keys: Sequence[ApiKey], deadline: float) -> Answer:
        problems: list[TossError] = []
        for key in keys:
            try:
                return await self._ask_with(question, key, deadline)
            except (TossMisconfigured, TossNotFound) as error:
                problems.append(error)
        raise next((error for error in problems if isinstance(error, TossMisconfigured)), problems[-1])

    async def _ask_with(self, question: Question, key: ApiKey, deadline: float) -> Answer:
        tries_left = GET_TRIES if question.method == "GET" else 1
        while True:
            tries_left -= 1
            started = loop_time()
            problem: TossError
            try:
                answer = await self._send(question, key, deadline)
            except httpx.HTTPError as error:
                # Only the kind of httpx's error: its text can hold a header, its attributes hold the request.
                problem = TossUnavailable(question.call, f"no answer: {type(error).__name__}")
                is_over = not isinstance(error, httpx.NetworkError | httpx.ConnectTimeout | httpx.RemoteProtocolError)
            except TossError as error:
                problem, is_over = error, True
            else:
                self._on_call(question.call, "ok", loop_time() - started)
                return answer
            self._on_call(question.call, problem.outcome, loop_time() - started)
            if is_over or not tries_left:
                raise problem

    async def _send(self, question: Question, key: ApiKey, deadline: float) -> Answer:
        if self._http.is_closed:
            raise TossUnavailable(question.call, "the client is closed")
        async with self._pace.turn(question.call, self._bucket(question.call, key), deadline):
            asked_at = dt.datetime.now(dt.UTC)
            async with self._http.stream(
                question.method,
                self._base_url + question.path,
                params=question.params or None,
                headers={**question.headers, "authorization": key.authorization},
                content=question.content,
                timeout=httpx.Timeout(question.read_timeout_seconds, connect=CONNECT_TIMEOUT_SECONDS),
            ) as response:
                body = await _read(response, question)
            problem = error_in(question.call, response.status_code, response.headers.get("retry-after"), body)
            if response.status_code == HTTPStatus.TOO_MANY_REQUESTS and problem and problem.retry_after_seconds:
                self._pace.pause(problem.retry_after_seconds)
        if problem:
            raise problem
        return Answer(asked_at, body, key)

    def _bucket(self, call: str, key: ApiKey) -> TokenBucket | None:
        limit = self._requests_per_minute or (TEST_REQUESTS_PER_MINUTE if key.is_test else None)
        return None if limit is None else self._buckets.setdefault(call, TokenBucket(limit))


async def _read(response: httpx.Response, question: Question) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > question.max_answer_bytes:
            raise TossUnavailable(question.call, "the answer is too long", http_status=response.status_code)
    return bytes(body)


def check_base_url(value: str) -> str:
    """The address of Toss's API without a trailing slash. Raises ConfigurationError with what it should be."""
    try:
        return check_url(value, TOSS_API_URL)
    except ValueError as error:
        raise ConfigurationError([f"TOSS_API_URL {error}."]) from None
