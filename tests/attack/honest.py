"""Honest deliveries, as Toss sends them: each at its time on a connection of its own, whatever became of the others."""

import asyncio
import datetime as dt
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from scripts.local_stack import LOOPBACK
from supatoss.toss.delivery import SIGNATURE_HEADER, TIME_HEADER
from supatoss.toss.signature import sign_hex
from tests.faults.world import LIVE_KEY
from tests.support import raw_body

ADDRESS_HEADER = "Fly-Client-IP"
TOSS_ADDRESS = "13.124.18.147"
"""One that Toss publishes."""

ANSWER_SECONDS = 10.0
"""Toss gives up after it."""

SIGNED_EVERY_SECONDS = 0.05
UNSIGNED_EVERY_SECONDS = 0.1

NO_ANSWER = 0


@dataclass
class Answers:
    """What one kind of honest delivery got. acknowledged: the orders that were answered with 200."""

    statuses: Counter[int] = field(default_factory=Counter)
    milliseconds: list[float] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)

    @property
    def lost(self) -> int:
        """Without an answer in Toss's time."""
        return self.statuses[NO_ANSWER]

    @property
    def refused(self) -> int:
        return self.statuses.total() - self.statuses[200] - self.lost

    def quantile(self, share: float) -> float:
        """Milliseconds of the slowest delivery but this share."""
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


@dataclass
class Honest:
    """Both kinds, as they were answered."""

    signed: Answers = field(default_factory=Answers)
    unsigned: Answers = field(default_factory=Answers)

    @property
    def sent(self) -> int:
        return self.signed.statuses.total() + self.unsigned.statuses.total()

    @property
    def refused(self) -> int:
        return self.signed.refused + self.unsigned.refused

    @property
    def lost(self) -> int:
        return self.signed.lost + self.unsigned.lost

    @property
    def acknowledged(self) -> list[str]:
        return self.signed.acknowledged + self.unsigned.acknowledged


class Senders:
    """Sends to one service. payments: what Toss would send unsigned, each once."""

    _orders = itertools.count()

    def __init__(self, port: int, payments: Iterator[dict[str, Any]]) -> None:
        self._port = port
        self._payments = payments
        self._run = f"{time.time_ns():x}"

    async def run(self, seconds: float) -> Honest:
        """Sends for so long, and waits for all answers."""
        async with self.sending() as seen:
            await asyncio.sleep(seconds)
        return seen

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[Honest]:
        """Sends beside what is inside; at the end all answers are there."""
        seen, over = Honest(), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._every(SIGNED_EVERY_SECONDS, over, lambda: self.send_signed(seen.signed)))
            group.create_task(self._every(UNSIGNED_EVERY_SECONDS, over, lambda: self._send_unsigned(seen.unsigned)))
            try:
                yield seen
            finally:
                over.set()

    async def send_signed(self, seen: Answers) -> None:
        """A new order that was paid."""
        order = f"honest-{self._run}-{next(self._orders)}"
        now = dt.datetime.now(dt.timezone(dt.timedelta(hours=9)))
        data = {"paymentKey": f"key-{order}", "orderId": order, "status": "DONE", "totalAmount": 10_000}
        data["approvedAt"] = now.isoformat(timespec="seconds")
        raw = raw_body({"eventType": "PAYMENT_STATUS_CHANGED", "createdAt": now.isoformat()[:26], "data": data})
        sent_at = now.isoformat(timespec="milliseconds")
        signature = {TIME_HEADER: sent_at, SIGNATURE_HEADER: sign_hex(raw, sent_at, LIVE_KEY)}
        await self._send(seen, order, raw, signature)

    async def _send_unsigned(self, seen: Answers) -> None:
        payment = next(self._payments, None)
        if payment is None:  # The attack takes longer than there are payments for.
            return
        names = ("paymentKey", "orderId", "status", "totalAmount", "approvedAt")
        data = {name: payment[name] for name in names}
        body = {"eventType": "PAYMENT_STATUS_CHANGED", "createdAt": payment["approvedAt"][:19], "data": data}
        await self._send(seen, payment["orderId"], raw_body(body), {})

    async def _send(self, seen: Answers, order: str, raw: bytes, headers: dict[str, str]) -> None:
        lines = {"host": LOOPBACK, "connection": "close", "content-type": "application/json", **headers}
        lines |= {ADDRESS_HEADER: TOSS_ADDRESS, "content-length": str(len(raw))}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        started = time.perf_counter()
        status = await self._status(f"POST /webhooks/toss HTTP/1.1\r\n{head}\r\n".encode() + raw)
        seen.milliseconds.append((time.perf_counter() - started) * 1000)
        seen.statuses[status] += 1
        if status == 200:
            seen.acknowledged.append(order)

    async def _status(self, request: bytes) -> int:
        writer = None
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                reader, writer = await asyncio.open_connection(LOOPBACK, self._port)
                writer.write(request)
                return int((await reader.readuntil(b"\r\n\r\n"))[9:12])
        except (OSError, EOFError, TimeoutError, ValueError):
            return NO_ANSWER
        finally:
            if writer:
                writer.transport.abort()

    async def _every(self, seconds: float, over: asyncio.Event, send: Callable[[], Coroutine[Any, Any, None]]) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        async with asyncio.TaskGroup() as group:
            while not over.is_set():
                group.create_task(send())
                due += seconds
                await asyncio.sleep(max(0.0, due - loop.time()))
