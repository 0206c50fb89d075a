"""The bounded log of deliveries that were refused, or acknowledged without being stored.

It is where an operator looks first after replacing a key. Outsiders decide how many there are, so only a few a second
and an hour are written, the database keeps the newest thousand, and the rest is only counted.
"""

import asyncio
import contextlib
import datetime as dt
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import structlog

from supatoss.errors import NotReadable, StoreError
from supatoss.masking import mask_json
from supatoss.store import Store
from supatoss.store.refused import RefusedDelivery
from supatoss.telemetry import REFUSED_UNLOGGED
from supatoss.toss.delivery import read_body
from supatoss.toss.events import parse_event

MAX_PER_SECOND = 5
"""A person reads the newest few."""

MAX_PER_HOUR = 250
"""For each reason. The table keeps 1,000, so that a flood of one kind doesn't push the others out within the hour."""

MAX_BODY_BYTES = 8 * 1024
"""Of a body: twice Toss's longest documented one."""

HOUR_SECONDS = 3600.0
FLUSH_SECONDS = 1.0
MAX_WAITING = 50
"""Deliveries that wait to be written: ten seconds of an unavailable database."""

_log = structlog.get_logger("supatoss.refused")


class RefusedLog:
    """Takes notes without waiting, and writes them once a second until `stop`."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._waiting: list[RefusedDelivery] = []
        self._taken_at: deque[float] = deque(maxlen=MAX_PER_SECOND)
        self._in_hour: Counter[str] = Counter()
        self._hour_began_at = float("-inf")
        self._woken = asyncio.Event()
        self._stopping = asyncio.Event()

    def note(
        self,
        received_at: dt.datetime,
        body: bytes,
        *,
        reason: str,
        http_status: int,
        source_address: str,
    ) -> None:
        """Queues one delivery, unless there were too many just now."""
        now = self._clock()
        if self._is_full(now, reason):
            REFUSED_UNLOGGED.inc()
            return
        self._taken_at.append(now)
        self._in_hour[reason] += 1
        text = body[:MAX_BODY_BYTES].decode("utf-8", errors="replace").replace("\x00", "\ufffd")
        self._waiting.append(RefusedDelivery(received_at, _type_of(body), reason, http_status, source_address, text))
        self._woken.set()

    def _is_full(self, now: float, reason: str) -> bool:
        if now - self._hour_began_at >= HOUR_SECONDS:
            self._hour_began_at = now
            self._in_hour.clear()
        is_second_full = len(self._taken_at) == MAX_PER_SECOND and now - self._taken_at[0] < 1.0
        return is_second_full or self._in_hour[reason] >= MAX_PER_HOUR or len(self._waiting) >= MAX_WAITING

    async def flush(self) -> int:
        """Writes what waits: how many. Raises StoreError; then it waits on."""
        waiting = self._waiting[:]
        if not waiting:
            return 0
        await self._store.note_refused(waiting)
        del self._waiting[: len(waiting)]
        return len(waiting)

    async def run(self) -> None:
        """Writes until `stop`, then what is left."""
        while not self._stopping.is_set():
            await self._woken.wait()
            self._woken.clear()
            await self._try_to_flush()
            # Those of the next second share one call.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_SECONDS):
                    await self._stopping.wait()
        await self._try_to_flush()

    def stop(self) -> None:
        """Ends `run` once what waits is written."""
        self._stopping.set()
        self._woken.set()

    async def _try_to_flush(self) -> None:
        try:
            await self.flush()
        except StoreError as error:
            _log.warning("refused deliveries not written", error=str(error), waiting=len(self._waiting))
            self._woken.set()


def _type_of(body: bytes) -> str | None:
    if len(body) > MAX_BODY_BYTES:
        return None  # Not worth the time: whoever sends it decides how long it takes.
    try:
        return parse_event(read_body(body).fields).event_type
    except NotReadable:
        return None


def shown_body(body: str) -> Any:
    """A kept body as operators may see it: masked; only its length where it can't be parsed; None if it is empty."""
    if not body:
        return None
    try:
        return mask_json(read_body(body.encode("utf-8", errors="replace")).text)
    except NotReadable:
        # Half an object is no JSON, and a pattern that looks for secrets in it would miss some.
        return f"[not shown: cut or not JSON, {len(body):,} characters]"
