"""What an attacker sends to the server: `python -m tests.attack.server.floods NAME PORT SECONDS [COUNT]`.

A flood goes on for its seconds and opens again what the service closes. It prints what it managed to do.
"""

import asyncio
import contextlib
import itertools
import json
import sys
from collections import Counter
from collections.abc import Awaitable, Callable

from scripts.local_stack import LOOPBACK

MIB = 1024 * 1024
HEAD = b"POST /webhooks/toss HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
PIECE = 64 * 1024
REOPEN_SECONDS = 0.05

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Flood:
    """One attack: where it goes, how long it lasts, and what it counted."""

    def __init__(self, port: int, seconds: float, count: int) -> None:
        self.port = port
        self.seconds = seconds
        self.count = count
        self.seen: Counter[str] = Counter()
        self.open = 0

    async def hold(self, hold: Callable[[Connection], Awaitable[None]]) -> None:
        """Keeps `count` connections that each do this, until the time is over."""
        tasks = [asyncio.create_task(self._hold_one(hold)) for _ in range(self.count)]
        await asyncio.sleep(self.seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _hold_one(self, hold: Callable[[Connection], Awaitable[None]]) -> None:
        while True:
            try:
                connection = await asyncio.open_connection(LOOPBACK, self.port)
            except OSError:
                self.seen["not connected"] += 1
                await asyncio.sleep(REOPEN_SECONDS)
                continue
            self.seen["connected"] += 1
            self._count(1)
            try:
                await hold(connection)
                self.seen[f"answered {(await connection[0].readline())[9:12].decode() or 'nothing'}"] += 1
            except (OSError, EOFError):
                self.seen["cut"] += 1
            finally:
                self._count(-1)
                connection[1].transport.abort()
            await asyncio.sleep(REOPEN_SECONDS)

    def _count(self, change: int) -> None:
        self.open += change
        self.seen["most open"] = max(self.seen["most open"], self.open)

    async def send(self, writer: asyncio.StreamWriter, piece: bytes) -> None:
        """Sends, and counts what the other side took."""
        writer.write(piece)
        await writer.drain()
        self.seen["bytes"] += len(piece)


async def idle(flood: Flood) -> None:
    """Connections that never send a byte."""
    await flood.hold(lambda connection: _ended(connection[0]))


async def endless_heads(flood: Flood) -> None:
    """Heads that get one more line each half second and never end."""

    async def hold(connection: Connection) -> None:
        connection[1].write(HEAD)
        while True:
            await flood.send(connection[1], b"x-more: 1\r\n")
            if await _ended_within(connection[0], 0.5):
                return

    await flood.hold(hold)


async def many_lines(flood: Flood) -> None:
    """One head of header lines without end."""
    await _pour(flood, HEAD, b"".join(b"x-%07d: %s\r\n" % (number, b"v" * 100) for number in range(550)))


async def long_line(flood: Flood) -> None:
    """One header line without end."""
    await _pour(flood, HEAD + b"x-long: ", b"v" * PIECE)


async def long_target(flood: Flood) -> None:
    """One request line without end."""
    await _pour(flood, b"GET /", b"v" * PIECE)


async def trailers(flood: Flood) -> None:
    """A chunked body whose trailer never ends."""
    await _pour(flood, HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nx-long: ", b"v" * PIECE)


async def chunk_extensions(flood: Flood) -> None:
    """A chunked body whose first chunk has an extension without end."""
    await _pour(flood, HEAD + b"transfer-encoding: chunked\r\n\r\n2;x=", b"v" * PIECE)


async def stalled_bodies(flood: Flood) -> None:
    """Bodies of which the last part never comes."""

    async def hold(connection: Connection) -> None:
        await flood.send(connection[1], HEAD + b"content-length: 262144\r\n\r\n" + b"[" * (200 * 1024))
        await _ended(connection[0])

    await flood.hold(hold)


async def signed_stalled_bodies(flood: Flood) -> None:
    """The same with a signature in the head, so that the limit of signed bodies counts."""

    async def hold(connection: Connection) -> None:
        head = HEAD + b"tosspayments-webhook-signature: 00\r\ncontent-length: 262144\r\n\r\n"
        await flood.send(connection[1], head + b"[" * (200 * 1024))
        await _ended(connection[0])

    await flood.hold(hold)


async def large_bodies(flood: Flood) -> None:
    """Unsigned bodies that cost most to read: nothing but brackets, 256 KiB and 64 KiB in turn."""

    async def hold(connection: Connection) -> None:
        for size in itertools.cycle((256 * 1024, 64 * 1024)):
            body = b'{"eventType":"X","data":[' + b"{}," * ((size - 40) // 3) + b"{}]}"
            await flood.send(connection[1], HEAD + b"content-length: %d\r\n\r\n%s" % (len(body), body))
            status = (await connection[0].readline())[9:12].decode() or "nothing"
            flood.seen[f"answered {status}"] += 1
            if status != "200":
                return
            await connection[0].readuntil(b'"}')

    await flood.hold(hold)


async def pipelined(flood: Flood) -> None:
    """Thousands of small requests in one piece, whose answers nobody reads."""
    await _pour(flood, b"", b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n" * 4000)


async def bodies_elsewhere(flood: Flood) -> None:
    """A body without end to a path that is not there."""
    await _pour(flood, b"POST /nothing HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n", b"v" * PIECE)


async def websockets(flood: Flood) -> None:
    """Handshakes for WebSockets, one after the other."""

    async def hold(connection: Connection) -> None:
        await flood.send(
            connection[1],
            b"GET /ops HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\ncookie: session=hidden\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )

    await flood.hold(hold)


FLOODS: dict[str, Callable[[Flood], Awaitable[None]]] = {
    flood.__name__: flood
    for flood in (
        *(idle, endless_heads, many_lines, long_line, long_target, trailers, chunk_extensions, stalled_bodies),
        *(signed_stalled_bodies, large_bodies, pipelined, bodies_elsewhere, websockets),
    )
}


async def _pour(flood: Flood, head: bytes, piece: bytes) -> None:
    """Sends the head and then the piece again and again, until the service ends the connection, or 150 MB are sent."""

    async def hold(connection: Connection) -> None:
        await flood.send(connection[1], head)
        sent = 0
        while sent < 150 * MIB and not await _ended_within(connection[0], 0):
            await flood.send(connection[1], piece)
            sent += len(piece)
        await _ended(connection[0])

    await flood.hold(hold)


async def _ended_within(reader: asyncio.StreamReader, seconds: float) -> bool:
    """Whether the other side ended the connection, or answered."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await _ended(reader)
            return True
    return False


async def _ended(reader: asyncio.StreamReader) -> None:
    while not reader._buffer and not reader.at_eof():  # type: ignore[attr-defined]
        await reader._wait_for_data("attack")  # type: ignore[attr-defined]


def main() -> None:
    """Floods, and prints the counts as JSON."""
    name, port, seconds, *count = sys.argv[1:]
    flood = Flood(int(port), float(seconds), int(count[0]) if count else 1)
    asyncio.run(_limited(flood, FLOODS[name]))
    sys.stdout.write(json.dumps(flood.seen) + "\n")


async def _limited(flood: Flood, attack: Callable[[Flood], Awaitable[None]]) -> None:
    await attack(flood)


if __name__ == "__main__":
    main()
