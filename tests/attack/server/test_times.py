"""Times of the protocol, shortened: a server in this process on a real socket."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import cast

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from scripts.local_stack import LOOPBACK
from supatoss.connections import Connections, Limits, Refusal
from supatoss.protocol import BoundedProtocol
from supatoss.server import ACCEPTED_A_TURN, Admission, open_sockets

MIB = 1024 * 1024
LONG_SECONDS = 600.0

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Noted(Connections):
    """Connections that keep why they were refused."""

    def __init__(self) -> None:
        super().__init__(Limits())
        self.reasons: list[Refusal] = []

    def refused(self, refusal: Refusal, peer: str) -> None:
        self.reasons.append(refusal)
        super().refused(refusal, peer)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body; answers /large with more than any buffer takes."""
    while (await receive()).get("more_body"):
        pass
    size = 64 * MIB if scope["path"] == "/large" else 2
    length = (b"content-length", str(size).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    for start in range(0, size, MIB):
        await send({"type": "http.response.body", "body": b"x" * min(MIB, size - start), "more_body": True})
    await send({"type": "http.response.body", "body": b""})


@contextlib.asynccontextmanager
async def serving(keep_alive: float = LONG_SECONDS) -> AsyncIterator[tuple[int, Noted]]:
    connections = Noted()
    config = uvicorn.Config(
        Admission(application),
        http=cast("type[asyncio.Protocol]", partial(BoundedProtocol, connections=connections)),
        ws="none",
        lifespan="off",
        log_config=None,
        timeout_keep_alive=cast("int", keep_alive),
        timeout_graceful_shutdown=1,
    )
    with socket.create_server((LOOPBACK, 0)) as listener:
        server = uvicorn.Server(config)
        task = asyncio.create_task(server._serve([listener]))
        try:
            yield listener.getsockname()[1], connections
        finally:
            server.should_exit = True
            await task


def attack(flood: Callable[[Streams], Awaitable[None]], keep_alive: float = LONG_SECONDS) -> tuple[bytes, Noted]:
    """What the server sends until it ends the connection, and why it did."""

    async def run() -> tuple[bytes, Noted]:
        async with serving(keep_alive) as (port, connections):
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            await flood((reader, writer))
            received = b""
            with contextlib.suppress(ConnectionError):
                received = await reader.read()
            writer.transport.abort()
            return received, connections

    return asyncio.run(run())


def sends(*pieces: bytes) -> Callable[[Streams], Awaitable[None]]:
    async def send(streams: Streams) -> None:
        for piece in pieces:
            streams[1].write(piece)
            await streams[1].drain()

    return send


HEALTH = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("name", "data", "answer", "reason"),
    [
        ("HEAD_SECONDS", b"", b"HTTP/1.1 408", Refusal.HEAD_TOO_SLOW),
        ("HEAD_SECONDS", b"POST / HTTP/1.1\r\nx: ", b"HTTP/1.1 408", Refusal.HEAD_TOO_SLOW),
        ("BODY_SECONDS", b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\n{", b"HTTP/1.1 408", Refusal.BODY_TOO_SLOW),
    ],
    ids=["nothing", "half a head", "half a body"],
)
def test_a_request_has_a_time(
    monkeypatch: pytest.MonkeyPatch, name: str, data: bytes, answer: bytes, reason: Refusal
) -> None:
    monkeypatch.setattr(f"supatoss.protocol.{name}", 0.1)
    received, connections = attack(sends(data))
    assert received.startswith(answer)
    assert connections.reasons == [reason]
    assert len(connections) == 0


def test_the_bound_socket_has_a_descriptor_for_each_connection_of_a_turn() -> None:
    sockets = open_sockets(uvicorn.Config(application, host=LOOPBACK, port=0, log_config=None))
    try:
        assert len({bound.fileno() for bound in sockets}) == ACCEPTED_A_TURN
        assert len({bound.getsockname() for bound in sockets}) == 1
    finally:
        for bound in sockets:
            bound.close()


def test_a_later_request_has_a_time_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supatoss.protocol.HEAD_SECONDS", 0.1)
    received, connections = attack(sends(HEALTH, b"GET / HTTP"))
    assert (received[:12], b"HTTP/1.1 408" in received) == (b"HTTP/1.1 200", True)
    assert connections.reasons == [Refusal.HEAD_TOO_SLOW]


def test_bytes_that_trickle_in_win_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supatoss.protocol.HEAD_SECONDS", 0.2)

    async def trickle(streams: Streams) -> None:
        streams[1].write(b"GET / HTTP/1.1\r\n")
        with contextlib.suppress(ConnectionError):
            while not streams[0].at_eof():
                streams[1].write(b"x: 1\r\n")
                await streams[1].drain()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.02):
                        if await streams[0].read(1):
                            return

    _, connections = attack(trickle)
    assert connections.reasons == [Refusal.HEAD_TOO_SLOW]


def test_line_ends_between_requests_keep_no_connection_alive() -> None:
    async def trickle(streams: Streams) -> None:
        streams[1].write(HEALTH)
        await streams[0].readuntil(b"xx")
        with contextlib.suppress(ConnectionError):
            while not streams[0].at_eof():
                streams[1].write(b"\r\n")
                await streams[1].drain()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.02):
                        await streams[0].read(1)

    received, connections = attack(trickle, keep_alive=0.2)
    assert (received, connections.reasons, len(connections)) == (b"", [], 0)


def test_an_answer_that_nobody_reads_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supatoss.protocol.UNREAD_SECONDS", 0.1)

    async def run() -> list[Refusal]:
        async with serving() as (port, connections):
            with socket.create_connection((LOOPBACK, port)) as client:
                client.sendall(HEALTH.replace(b"GET /", b"GET /large"))
                while not connections.reasons:  # noqa: ASYNC110 - the server tells nobody
                    await asyncio.sleep(0.01)
            while len(connections):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            return connections.reasons

    assert asyncio.run(run()) == [Refusal.ANSWER_NOT_READ]
