"""The server of `supatoss serve`: uvicorn with bounded admission and a graceful shutdown."""

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable, Iterable
from types import FrameType

import structlog
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from supatoss.errors import Reason
from supatoss.telemetry import DELIVERIES

MAX_REQUESTS = 2500
"""Concurrent requests. The recorder holds 2,000 waiting events and two calls of 100; the rest is read or verified."""

RETRY_AFTER_SECONDS = 5
"""Another process takes over, or this one has capacity again, within seconds."""

REST_OF_BODY_SECONDS = 2.0
REST_OF_BODY_BYTES = 8 * 1024 * 1024
"""How long, and how much, an answered body is still read and dropped: closing a connection with unread bytes resets
it, and a client that is still sending would see no answer."""

_BODY = json.dumps({"error": "unavailable", "message": "The event is not stored. Send it again."}).encode()

_CLOSED = "the handler is closed"
"""How uvloop puts it."""


def _while_open(send: Send) -> Send:
    """Sends nothing to a client that has gone, as uvicorn does; it may learn of that later than uvloop."""

    async def send_while_open(message: Message) -> None:
        try:
            await send(message)
        except RuntimeError as error:
            if _CLOSED not in str(error):
                raise

    return send_while_open


class Admission:
    """The outermost layer: counts requests in flight, and answers 503 with Retry-After when there are too many.

    `close` refuses all later requests. `abort` answers those in flight with 503 too: they may not be stored.
    """

    def __init__(self, app: ASGIApp, max_requests: int = MAX_REQUESTS) -> None:
        self._app = app
        self._max_requests = max_requests
        self._in_flight: set[asyncio.Task[object]] = set()
        self._is_closed = False
        self.refused = 0

    @property
    def in_flight(self) -> int:
        """Requests that have no answer yet."""
        return len(self._in_flight)

    def close(self) -> None:
        """Refuses every request from now on."""
        self._is_closed = True

    def abort(self) -> None:
        """Cancels the requests in flight."""
        for task in self._in_flight:
            task.cancel()

    async def drain(self, timeout_seconds: float) -> None:
        """Waits until nothing is in flight, at most for the time-out."""
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=timeout_seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request, or the lifespan."""
        task = asyncio.current_task()
        if scope["type"] != "http" or task is None:
            await self._app(scope, receive, send)
            return
        send = _while_open(send)
        if self._is_closed or len(self._in_flight) >= self._max_requests:
            await self._refuse(scope, receive, send)
            return
        self._in_flight.add(task)
        request = _Request(scope, receive, send, is_last=lambda: self._is_closed)
        try:
            await self._app(scope, request.receive, request.send)
        except asyncio.CancelledError:
            # Aborted. If the answer had begun, it is too late for another one.
            with contextlib.suppress(RuntimeError):
                await self._answer(scope, send)
        finally:
            self._in_flight.discard(task)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answer(scope, _Request(scope, receive, send).send)

    async def _answer(self, scope: Scope, send: Send) -> None:
        self.refused += 1
        if scope["method"] == "POST":
            DELIVERIES.labels("failed", (Reason.STOPPING if self._is_closed else Reason.TOO_BUSY).value).inc()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(_BODY)).encode()),
            (b"retry-after", str(RETRY_AFTER_SECONDS).encode()),
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": _BODY})


class _Request:
    """A request whose answer may come before its body: then the rest is dropped for a while, and the connection ends.

    is_last: whether the connection ends after the answer in any case.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, is_last: Callable[[], bool] = lambda: False) -> None:
        headers = scope.get("headers", ())
        self._receive = receive
        self._send = send
        self._has_more = _has_body(headers)
        self._is_last = is_last
        # Before it sends the body.
        self._expects_answer = self._has_more and any(name == b"expect" for name, _ in headers)

    async def receive(self) -> Message:
        """What the application receives."""
        message = await self._receive()
        self._has_more = message["type"] == "http.request" and message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """What the application sends."""
        if message["type"] == "http.response.start":
            if self._has_more:
                await self._look_for_end()
            if self._has_more or self._is_last():
                message["headers"] = [*_without_connection(message.get("headers", ())), (b"connection", b"close")]
        elif self._has_more and not message.get("more_body"):
            await self._send({**message, "more_body": True})
            await self._drop_rest()
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    async def _look_for_end(self) -> None:
        """A short body that nobody has asked for may be there already."""
        if not self._expects_answer:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0):
                    while self._has_more:
                        await self.receive()

    async def _drop_rest(self) -> None:
        if self._expects_answer:
            return
        dropped = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REST_OF_BODY_SECONDS):
                while self._has_more and dropped < REST_OF_BODY_BYTES:
                    dropped += len((await self.receive()).get("body", b""))


def _has_body(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    return any(name == b"transfer-encoding" or (name == b"content-length" and value != b"0") for name, value in headers)


def _without_connection(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in headers if name != b"connection"]


GRACE_SECONDS = 10.0
"""For requests in flight after SIGTERM: longer than the slowest answer."""

LINGER_SECONDS = 0.5
"""Requests that were under way when the signal came get a 503, not a refused connection."""

CLOSE_SECONDS = 2
"""For a 503 to what is still in flight, and again for the last bytes to leave. Then the loops have their grace
(LOOP_GRACE_SECONDS). A test compares the sum with fly.toml's kill_timeout."""


BACKLOG = 65_535
"""Connections that wait to be accepted, as far as net.core.somaxconn allows (4,096 by default). Beyond it the kernel
drops them without a word, and a sender tries again after one second, then three."""

ACCEPTED_A_TURN = 16
"""libuv accepts one connection in each turn of the loop from each descriptor. In a flood a turn takes milliseconds, and
with one descriptor a delivery would wait behind thousands of connections. The others cost a lone connection 60 µs."""


def open_sockets(config: uvicorn.Config) -> list[socket.socket]:
    """One bound socket under several descriptors. Exits where the address can't be had."""
    bound = config.bind_socket()
    return [bound, *(bound.dup() for _ in range(ACCEPTED_A_TURN - 1))]


class Server(uvicorn.Server):
    """A uvicorn that keeps answering while it shuts down, and exits with success on a signal."""

    def __init__(self, config: uvicorn.Config, admission: Admission) -> None:
        super().__init__(config)
        self._admission = admission
        self._is_impatient = False
        self._ending: asyncio.AbstractEventLoop | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  the signature of a handler
        """The first signal waits for requests in flight, the second does not. uvicorn's handler would re-raise it."""
        self._is_impatient = self.should_exit
        if self._ending:
            self._ending.call_soon_threadsafe(self._admission.abort)
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Lets requests in flight finish while new ones are refused, then closes every connection."""
        log = structlog.get_logger("supatoss")
        log.info("stopping", in_flight=self._admission.in_flight)
        self._admission.close()
        self._ending = asyncio.get_running_loop()
        if self._is_impatient:
            self._admission.abort()
        await asyncio.sleep(LINGER_SECONDS)
        await self._admission.drain(GRACE_SECONDS - LINGER_SECONDS)
        self._admission.abort()
        await self._admission.drain(CLOSE_SECONDS)
        await super().shutdown(sockets)
        log.info("stopped", refused=self._admission.refused)
