"""Which orders the tables know: one call for all that are asked about while the call before is in flight."""

import asyncio
import contextlib
import itertools

from supatoss.errors import StoreError
from supatoss.store import Store

MAX_BATCH = 200
MAX_WAITING = 1000
"""Orders that wait for an answer; further ones count as not known."""

TIMEOUT_SECONDS = 1.0
"""The look-up at Toss comes after it, within the same deadline."""


class KnownOrders:
    """Asks the tables about orders that deliveries name. Whatever can't be answered in time is not known."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[str, asyncio.Future[bool]] = {}
        self._asking: asyncio.Task[None] | None = None

    async def hold(self, order_id: str | None) -> bool:
        """Whether the application, or a proven event, has this order."""
        # What isn't printable can't be stored as text.
        if order_id is None or not order_id.isprintable():
            return False
        if order_id not in self._waiting and len(self._waiting) >= MAX_WAITING:
            return False
        answer = self._waiting.setdefault(order_id, asyncio.get_running_loop().create_future())
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        finished, _ = await asyncio.wait((answer,), timeout=TIMEOUT_SECONDS)
        return bool(finished) and answer.result()

    async def _ask(self) -> None:
        while self._waiting:
            batch = list(itertools.islice(self._waiting, MAX_BATCH))
            known: frozenset[str] = frozenset()
            try:
                with contextlib.suppress(StoreError):
                    known = await self._store.known_orders(batch)
            finally:
                for order_id in batch:
                    self._waiting.pop(order_id).set_result(order_id in known)
