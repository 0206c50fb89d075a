"""A TCP proxy that can do what networks do: cut, delay, swallow, and lose an answer. It runs in a thread of its own."""

import asyncio
import contextlib
import socket
import threading
from enum import StrEnum
from types import TracebackType
from typing import Self

from scripts.local_stack import LOOPBACK, free_port

READ_BYTES = 64 * 1024
TRICKLE_SECONDS = 0.02
_ENDLESS = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n"


class Mode(StrEnum):
    """What happens to connections."""

    PASS = "pass"
    REFUSE = "refuse"
    """Accepted and reset at once."""
    SWALLOW = "swallow"
    """What is sent disappears, and nothing ever comes back."""
    HEADERS = "headers"
    """The answer's headers come, its body never does."""
    TRICKLE = "trickle"
    """The answer comes byte by byte and never ends."""
    LOSE_ANSWERS = "lose_answers"
    """The request arrives; the connection is reset when its answer begins."""


class Proxy:
    """Passes connections on to a port of this machine. `mode` and `delay_seconds` (for every answer) hold from now on.

    `lose_every`: of LOSE_ANSWERS, each so-many-th answer. `lost` counts those, `held` what was delayed or swallowed.
    """

    def __init__(self, target_port: int, port: int | None = None) -> None:
        self.port = port or free_port()
        self.mode = Mode.PASS
        self.delay_seconds = 0.0
        self.lose_every = 1
        self.lost = 0
        self.held = 0
        self._answers = 0
        self._target_port = target_port
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="proxy")
        self._is_listening = threading.Event()
        self._problem: BaseException | None = None

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def cut(self) -> None:
        """Resets every open connection."""
        self._loop.call_soon_threadsafe(self._cut)

    def __enter__(self) -> Self:
        self._thread.start()
        self._is_listening.wait()
        if self._problem:
            raise self._problem
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._end = asyncio.Event()
        try:
            server = await asyncio.start_server(self._accept, LOOPBACK, self.port, limit=READ_BYTES)
        except OSError as problem:
            self._problem = problem
            return
        finally:
            self._is_listening.set()
        await self._end.wait()
        server.close()
        self._cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._handle(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            if self.mode is not Mode.REFUSE:
                await self._connect(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(writer)
            _reset(writer)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream: asyncio.StreamWriter | None = None
        answering: asyncio.Task[None] | None = None
        try:
            while data := await reader.read(READ_BYTES):
                self.held += self.mode not in (Mode.PASS, Mode.LOSE_ANSWERS)
                match self.mode:
                    case Mode.PASS | Mode.LOSE_ANSWERS:
                        if upstream is None:
                            answers, upstream = await asyncio.open_connection(LOOPBACK, self._target_port)
                            answering = asyncio.create_task(self._answer(answers, writer))
                        upstream.write(data)
                        await upstream.drain()
                    case Mode.HEADERS:
                        writer.write(_ENDLESS)
                    case Mode.TRICKLE:
                        writer.write(_ENDLESS)
                        while True:
                            writer.write(b" ")
                            await writer.drain()
                            await asyncio.sleep(TRICKLE_SECONDS)
                    case Mode.REFUSE:
                        return
        finally:
            if answering:
                answering.cancel()
            if upstream:
                _reset(upstream)

    async def _answer(self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await answers.read(READ_BYTES):
                if self.delay_seconds:
                    self.held += 1
                    await asyncio.sleep(self.delay_seconds)
                if self.mode is Mode.LOSE_ANSWERS:
                    self._answers += 1
                    if self._answers % self.lose_every == 0:
                        self.lost += 1
                        break
                if self.mode in (Mode.PASS, Mode.LOSE_ANSWERS):
                    writer.write(data)
                    await writer.drain()
        _reset(writer)

    def _cut(self) -> None:
        for writer in self._open:
            _reset(writer)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Closes with RST, as a machine that is gone does."""
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    writer.transport.abort()
