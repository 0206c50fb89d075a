"""A sender that behaves like Toss: each delivery again and again until it is answered 200, with shorter waits."""

import asyncio
import contextlib
import datetime as dt
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scripts.local_stack import LOOPBACK
from supatoss.toss.delivery import ID_HEADER, RETRIED_COUNT_HEADER, SIGNATURE_HEADER, TIME_HEADER
from supatoss.toss.signature import sign_hex, sign_v1
from tests.faults.mix import SEOUL, Sent
from tests.faults.world import LIVE_KEY
from tests.support import SECURITY_KEY

COPIES = 3
"""Deliveries of each event, besides their re-sends."""

ANSWER_SECONDS = 10.0
"""Toss gives up after it."""

FIRST_WAIT_SECONDS = 0.02
LONGEST_WAIT_SECONDS = 0.5
"""Before a re-send; Toss waits one minute, then four, and so on."""


@dataclass(slots=True)
class Delivery:
    """One delivery on its way."""

    event: Sent
    id: str
    attempts: int = 0


class Sender:
    """Sends every event COPIES times, in random order, on several connections that are kept.

    acknowledged: event to its answers of 200. answers: how often each status came, or the name of what went wrong.
    slowest_seconds: the longest wait for an answer that came. is_over: everything is acknowledged, or the time is over.
    """

    def __init__(
        self,
        ports: Sequence[int],
        events: Sequence[Sent],
        *,
        connections: int = 24,
        seed: int = 1,
        clock_offset: dt.timedelta = dt.timedelta(),
    ) -> None:
        self._ports = ports
        self._connections = connections
        self._clock_offset = clock_offset
        chance = random.Random(seed)  # noqa: S311 - test data
        self._deliveries = [
            Delivery(event, f"whtrans_{event.name}_{copy}") for event in events for copy in range(COPIES)
        ]
        chance.shuffle(self._deliveries)
        self.total = len(self._deliveries)
        self.acknowledged: Counter[str] = Counter()
        self.acknowledged_count = 0
        self.sent_count = 0
        self.answers: Counter[int | str] = Counter()
        self.slowest_seconds = 0.0
        self.is_over = False
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    async def run(self, timeout_seconds: float) -> None:
        """Until every delivery is answered 200, or the time is over."""
        self._queue: asyncio.Queue[Delivery] = asyncio.Queue()
        for delivery in self._deliveries:
            self._queue.put_nowait(delivery)
        connections = [asyncio.create_task(self._send_on(number)) for number in range(self._connections)]
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_seconds):
                    await self.until(lambda: self.acknowledged_count == self.total)
        finally:
            self.is_over = True
            self._look()
            for connection in connections:
                connection.cancel()
            await asyncio.gather(*connections, return_exceptions=True)

    async def until(self, happened: Callable[[], bool]) -> None:
        """Waits until something is true, or everything is acknowledged; looks after every answer."""
        if not happened() and not self.is_over:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((happened, future))
            await future

    async def until_share(self, share: float) -> None:
        """Waits until this part of all deliveries is acknowledged."""
        await self.until(lambda: self.acknowledged_count >= share * self.total)

    async def until_more(self, status: int | str, count: int) -> None:
        """Waits until an answer has come so many times more than now."""
        goal = self.answers[status] + count
        await self.until(lambda: self.answers[status] >= goal)

    async def _send_on(self, number: int) -> None:
        connection: _Connection | None = None
        try:
            while True:
                delivery = await self._queue.get()
                started = time.monotonic()
                self.sent_count += 1
                try:
                    async with asyncio.timeout(ANSWER_SECONDS):
                        if connection is None:
                            port = self._ports[(number + delivery.attempts) % len(self._ports)]
                            connection = await _Connection.open(port)
                        status, is_last = await connection.post(self._request(delivery))
                except (OSError, EOFError, TimeoutError, ValueError) as problem:
                    answer: int | str = type(problem).__name__
                    is_last = True
                else:
                    answer = status
                    self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - started)
                is_nobody_there = connection is None
                if is_last and connection is not None:
                    connection.close()
                    connection = None
                self._note(delivery, answer)
                if is_nobody_there:
                    await asyncio.sleep(LONGEST_WAIT_SECONDS / 5)
        finally:
            if connection is not None:
                connection.close()

    def _note(self, delivery: Delivery, answer: int | str) -> None:
        self.answers[answer] += 1
        delivery.attempts += 1
        if answer == 200:
            self.acknowledged[delivery.event.name] += 1
            self.acknowledged_count += 1
        else:
            wait = min(FIRST_WAIT_SECONDS * 2**delivery.attempts, LONGEST_WAIT_SECONDS)
            asyncio.get_running_loop().call_later(wait, self._queue.put_nowait, delivery)
        self._look()

    def _look(self) -> None:
        self.is_over = self.is_over or self.acknowledged_count == self.total
        for waiting in [waiting for waiting in self._waiting if self.is_over or waiting[0]()]:
            self._waiting.remove(waiting)
            if not waiting[1].done():
                waiting[1].set_result(None)

    def _request(self, delivery: Delivery) -> bytes:
        raw = delivery.event.raw
        sent_at = (dt.datetime.now(SEOUL) + self._clock_offset).isoformat(timespec="milliseconds")
        head = [
            "POST /webhooks/toss HTTP/1.1",
            f"host: {LOOPBACK}",
            "content-type: application/json",
            f"content-length: {len(raw)}",
            f"{TIME_HEADER}: {sent_at}",
            f"{ID_HEADER}: {delivery.id}",
            f"{RETRIED_COUNT_HEADER}: {delivery.attempts}",
        ]
        if delivery.event.form:
            is_hex = delivery.event.form == "hex"
            signature = sign_hex(raw, sent_at, LIVE_KEY) if is_hex else sign_v1(raw, sent_at, SECURITY_KEY)
            head.append(f"{SIGNATURE_HEADER}: {signature}")
        return "\r\n".join([*head, "", ""]).encode() + raw


class _Connection:
    """One kept connection, one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> "_Connection":
        return cls(*await asyncio.open_connection(LOOPBACK, port))

    async def post(self, request: bytes) -> tuple[int, bool]:
        """Status of the answer, and whether it is the last one of this connection."""
        self._writer.write(request)
        await self._writer.drain()
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        first, *lines = head.split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines if line)
        await self._reader.readexactly(int(headers.get("content-length", "0")))
        return int(first.split(" ")[1]), headers.get("connection") == "close"

    def close(self) -> None:
        self._writer.transport.abort()
