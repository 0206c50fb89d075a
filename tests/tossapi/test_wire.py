"""The client on real sockets of this machine: bytes, kept connections, ends in the middle."""

import asyncio
import functools
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, cast

import pytest

from supatoss.errors import TossUnavailable
from supatoss.tls import tls_context
from supatoss.toss.client import TossClient
from supatoss.toss.ratelimit import MAX_CALLS_IN_FLIGHT
from supatoss.transport import AiohttpTransport
from tests.support import raw_body
from tests.tossapi.fakes import LIVE_KEY, NEWER_BASIC, NEWER_KEY, URL, payment_body

pytestmark = pytest.mark.anyio

Handler = Callable[["Connection", bytes], Awaitable[None]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["the service's transport", "httpx's own, of commands"])
def client(request: pytest.FixtureRequest) -> Callable[..., TossClient]:
    if request.param == "httpx's own, of commands":
        return TossClient
    return functools.partial(TossClient, transport=AiohttpTransport(tls_context(), MAX_CALLS_IN_FLIGHT))


class Connection:
    """The server's side of one connection."""

    def __init__(self, writer: asyncio.StreamWriter, number: int) -> None:
        self.number = number
        self._writer = writer

    async def answer(self, body: bytes, status: str = "200 OK", headers: str = "") -> None:
        await self.send(f"HTTP/1.1 {status}\r\n{headers}content-length: {len(body)}\r\n\r\n".encode() + body)

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def drop(self) -> None:
        self._writer.close()


class Server:
    """An HTTP server that keeps what it is sent."""

    def __init__(self, handler: Handler) -> None:
        self.url = ""
        self.requests: list[bytes] = []
        self.connections = 0
        self._handler = handler

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = Connection(writer, self.connections)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                body = await reader.readexactly(int(length[0].split(b":")[1])) if length else b""
                self.requests.append(head + body)
                await self._handler(connection, head + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[Server]:
    server = Server(handler)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listener.close()
        await listener.wait_closed()


async def confirm(api: TossClient) -> Any:
    return await api.confirm("pay-1", "order-1", Decimal(100), idempotency_key="event-1")


async def answer_payment(connection: Connection, _request: bytes) -> None:
    await connection.answer(raw_body(payment_body("a/b=")))


async def test_the_bytes_of_a_look_up_and_the_connection_that_is_kept(client: Callable[..., TossClient]) -> None:
    async with serving(answer_payment) as server, client(server.url, [NEWER_KEY]) as api:
        await api.payment("a/b=")
        await api.payment("a/b=")
    lines = server.requests[0].decode().split("\r\n")
    assert lines[0] == "GET /v1/payments/a%2Fb%3D HTTP/1.1"
    assert f"authorization: {NEWER_BASIC}" in [line[:14].lower() + line[14:] for line in lines]
    assert server.connections == 1


async def test_the_environment_names_no_proxy_for_us(
    client: Callable[..., TossClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    async with serving(answer_payment) as server, client(server.url, [NEWER_KEY]) as api:
        await api.payment("a/b=")
    assert len(server.requests) == 1


async def test_no_cookie_is_kept(client: Callable[..., TossClient]) -> None:
    """One that isn't ASCII would make each further request fail."""

    async def set_cookies(connection: Connection, _request: bytes) -> None:
        await connection.answer(raw_body(payment_body("pay-1")), headers="set-cookie: 쿠키=값\r\nset-cookie: a=b\r\n")

    async with serving(set_cookies) as server, client(server.url, [NEWER_KEY]) as api:
        await api.payment("pay-1")
        await api.payment("pay-1")
    assert b"cookie" not in server.requests[1].lower()


async def test_a_redirect_is_not_followed(client: Callable[..., TossClient]) -> None:
    async def redirect(connection: Connection, _request: bytes) -> None:
        await connection.answer(b"", "302 Found", "location: /v1/payments/pay-1\r\n")

    async with serving(redirect) as server, client(server.url, [NEWER_KEY]) as api:
        with pytest.raises(TossUnavailable, match="HTTP 302"):
            await api.payment("pay-1")
    assert len(server.requests) == 1


async def test_a_kept_connection_that_toss_closed_costs_a_look_up_nothing(client: Callable[..., TossClient]) -> None:
    async def answer_then_drop(connection: Connection, _request: bytes) -> None:
        if len(server.requests) == 2:
            connection.drop()
        else:
            await connection.answer(raw_body(payment_body()))

    async with serving(answer_then_drop) as server, client(server.url, [LIVE_KEY]) as api:
        await api.payment("pay-1")
        await api.payment("pay-1")
        assert (len(server.requests), server.connections) == (3, 2)


async def test_a_confirm_whose_connection_ends_is_sent_once(client: Callable[..., TossClient]) -> None:
    async def drop(connection: Connection, _request: bytes) -> None:
        connection.drop()

    async with serving(drop) as server, client(server.url, [NEWER_KEY, LIVE_KEY]) as api:
        with pytest.raises(TossUnavailable, match="what TOSS_API_URL sent broke off"):
            await confirm(api)
    assert len(server.requests) == 1


async def test_nobody_listens(client: Callable[..., TossClient]) -> None:
    async with serving(answer_payment) as server:
        url = server.url
    async with client(url, [LIVE_KEY]) as api:
        with pytest.raises(TossUnavailable, match="TOSS_API_URL"):
            await api.payment("pay-1")


async def test_an_endless_answer_is_read_no_further_than_its_limit(client: Callable[..., TossClient]) -> None:
    async def endless(connection: Connection, _request: bytes) -> None:
        await connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            await connection.send(b"10000\r\n" + b" " * 0x10000 + b"\r\n")

    async with serving(endless) as server, client(server.url, [LIVE_KEY], max_in_flight=1) as api:
        for _ in range(2):
            with pytest.raises(TossUnavailable, match="too long"):
                await api.payment("pay-1")
    assert server.connections == 2, "the rest of an answer is thrown away with its connection"


async def test_a_look_up_that_is_given_up_frees_its_place(client: Callable[..., TossClient]) -> None:
    asked = asyncio.Event()

    async def answer_only_the_second(connection: Connection, _request: bytes) -> None:
        asked.set()
        if connection.number > 1:
            await connection.answer(raw_body(payment_body()))

    async with serving(answer_only_the_second) as server, client(server.url, [LIVE_KEY], max_in_flight=1) as api:
        caller = asyncio.create_task(api.payment("pay-1"))
        await asked.wait()
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert (await api.payment("pay-1")).payment.status == "DONE"


async def test_requests_in_flight_end_when_the_client_closes(client: Callable[..., TossClient]) -> None:
    asked = asyncio.Event()

    async def never_answer(_connection: Connection, _request: bytes) -> None:
        asked.set()

    async with serving(never_answer) as server:
        api = client(server.url, [LIVE_KEY])
        caller = asyncio.create_task(api.payment("pay-1"))
        await asked.wait()
        await api.aclose()
        with pytest.raises(TossUnavailable):
            await caller


def test_certificates_are_checked_and_http_2_is_not_spoken() -> None:
    http = TossClient(URL, [LIVE_KEY])._http
    pool = cast("Any", http._transport)._pool
    assert pool._ssl_context.verify_mode == ssl.CERT_REQUIRED
    assert pool._ssl_context.check_hostname
    assert pool._ssl_context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert (pool._http1, pool._http2) == (True, False)
    assert not http.follow_redirects
    assert not http.trust_env
