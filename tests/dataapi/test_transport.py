"""The service's transport beside httpx's own, against servers that misbehave: what is seen must be the same."""

import asyncio
import gzip
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager

import anyio
import httpx
import pytest

from supatoss.causes import failure
from supatoss.transport import AiohttpTransport

pytestmark = pytest.mark.anyio

LOOPBACK = "127.0.0.1"
LIMITS = httpx.Timeout(0.4, connect=0.4)
EMPTY = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[str]:
    async def until_it_ends(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(until_it_ends, LOOPBACK, 0)
    try:
        yield f"http://{LOOPBACK}:{server.sockets[0].getsockname()[1]}/rest/v1/rpc/a%20name?select=%ED%86%A0"
    finally:
        server.close()


def transports(max_connections: int = 1) -> tuple[httpx.AsyncBaseTransport, ...]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    limits = httpx.Limits(max_connections=max_connections, max_keepalive_connections=max_connections)
    return httpx.AsyncHTTPTransport(verify=tls, limits=limits), AiohttpTransport(tls, max_connections)


async def seen(transport: httpx.AsyncBaseTransport, url: str) -> str:
    """The answer, or the cause of the error in our words."""
    async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=LIMITS) as http:
        try:
            answer = await http.post(url, content='{"이름":1}'.encode(), headers={"content-type": "application/json"})
        except httpx.HTTPError as error:
            return failure(error, "SUPABASE_URL")
        return (
            f"{answer.status_code} {answer.headers.get('content-type')} {answer.headers.get('location')} {answer.text}"
        )


async def head(reader: asyncio.StreamReader) -> bytes:
    """A request, whole."""
    lines = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in lines.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return lines + await reader.readexactly(length)


def says(answer: bytes, *, then_waits: bool = False) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(answer)
        await writer.drain()
        if then_waits:
            await reader.read()

    return serve


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await head(reader)
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


ZIPPED = gzip.compress('{"고객":"홍길동"}'.encode())
CASES: dict[str, Serve] = {
    "json": says(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 4\r\n\r\n[{}]"),
    "nothing": says(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "an error": says(b"HTTP/1.1 503 Busy\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nno"),
    "chunks": says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n[1\r\n1\r\n]\r\n0\r\n\r\n"),
    "compressed": says(
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(ZIPPED) + ZIPPED
    ),
    "not to be decompressed": says(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc"),
    "a redirect": says(b"HTTP/1.1 307 Go\r\nlocation: http://elsewhere.test/\r\ncontent-length: 0\r\n\r\n"),
    "until the end": says(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n[1]"),
    "nothing at all": says(b""),
    "half a head": says(b"HTTP/1.1 200 OK\r\ncontent-"),
    "half a body": says(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhidden"),
    "no HTTP": says(b"SSH-2.0-hidden\r\n\r\n"),
    "silence": says(b"", then_waits=True),
    "silence in the body": says(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhid", then_waits=True),
    "a reset": resets,
}


@pytest.mark.parametrize("name", CASES)
async def test_a_server_is_seen_as_httpx_sees_it(name: str) -> None:
    async with serving(CASES[name]) as url:
        theirs, ours = [await seen(transport, url) for transport in transports()]
    assert ours == theirs


async def test_the_request_arrives_as_httpx_sends_it() -> None:
    arrived: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.append(await head(reader))
        writer.write(EMPTY)

    async with serving(serve) as url:
        for transport in transports():
            assert (await seen(transport, url)).startswith("200")
    theirs, ours = [(lines[0], sorted(lines[1:])) for lines in (one.lower().split(b"\r\n") for one in arrived)]
    assert ours == theirs


async def test_a_connection_is_used_again_and_a_closed_one_is_not() -> None:
    opened: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(1)
        for _ in range(2):
            await head(reader)
            writer.write(EMPTY)

    async with serving(serve) as url:
        _, transport = transports()
        async with httpx.AsyncClient(transport=transport, timeout=LIMITS) as http:
            for _ in range(4):
                assert (await http.post(url, content=b"{}")).status_code == 200
                await asyncio.sleep(0.02)
    assert len(opened) == 2


async def test_a_request_is_sent_once() -> None:
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))

    async with serving(serve) as url:
        for number, transport in enumerate(transports(), 1):
            async with httpx.AsyncClient(transport=transport, timeout=LIMITS) as http:
                with pytest.raises(httpx.RemoteProtocolError):
                    await http.get(url)
            assert len(asked) == number


async def test_what_comes_on_an_idle_connection_answers_no_request() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(EMPTY)
        await asyncio.sleep(0.02)
        writer.write(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n")
        await reader.read()

    async with serving(serve) as url:
        for transport in transports():
            async with httpx.AsyncClient(transport=transport, timeout=LIMITS) as http:
                for _ in range(3):
                    assert (await http.post(url, content=b"{}")).status_code == 200
                    await asyncio.sleep(0.1)


@pytest.mark.parametrize("last", [b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n", b""])
async def test_what_the_event_loop_was_too_busy_to_read_answers_no_request_either(last: bytes) -> None:
    """`last`: what comes on the idle connection; empty: its end."""
    with socket.create_server((LOOPBACK, 0)) as server, ThreadPoolExecutor(1) as thread:
        server.settimeout(5.0)

        def serve() -> None:
            with ExitStack() as connections:
                for is_last in (False, True):
                    connection = connections.enter_context(server.accept()[0])
                    lines = connections.enter_context(connection.makefile("rb"))
                    while lines.readline().strip():
                        pass
                    lines.read(2)
                    connection.sendall(EMPTY)
                    answered.wait(5.0)
                    if not is_last:
                        connection.sendall(last) if last else connection.shutdown(socket.SHUT_WR)
                        sent.set()
                over.wait(5.0)

        for transport in transports():
            answered, sent, over = threading.Event(), threading.Event(), threading.Event()
            serving = thread.submit(serve)
            async with httpx.AsyncClient(transport=transport, timeout=LIMITS) as http:
                url = f"http://{LOOPBACK}:{server.getsockname()[1]}/"
                assert (await http.post(url, content=b"{}")).status_code == 200
                answered.set()
                sent.wait(5.0)  # The event loop reads nothing meanwhile.
                try:
                    assert (await http.post(url, content=b"{}")).status_code == 200
                finally:
                    over.set()
            serving.result(5.0)


async def test_a_call_that_is_given_up_leaves_its_place_in_the_pool() -> None:
    asked: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        asked.append(1)
        if len(asked) < 4:
            await reader.read()
        writer.write(EMPTY)

    async with serving(serve) as url:
        _, transport = transports(max_connections=1)
        async with httpx.AsyncClient(transport=transport, timeout=httpx.Timeout(5.0)) as http:
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    with anyio.fail_after(0.05):
                        await http.post(url, content=b"{}")
            with anyio.fail_after(5.0):
                assert (await http.post(url, content=b"{}")).status_code == 200


async def test_no_cookie_is_kept() -> None:
    arrived: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            arrived.append(await head(reader))
            writer.write(b"HTTP/1.1 200 OK\r\nset-cookie: made=up\r\ncontent-length: 0\r\n\r\n")

    async with serving(serve) as url:
        _, transport = transports()
        for _ in range(2):
            await transport.handle_async_request(
                httpx.Request("POST", url, content=b"{}", extensions={"timeout": LIMITS.as_dict()})
            )
        await transport.aclose()
    assert len(arrived) == 2
    assert b"cookie" not in arrived[1].lower()
