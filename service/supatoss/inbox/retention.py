"""Retention: empties the payloads of finished events after a time. Key rows stay, so duplicates are still known."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from supatoss.store import Store
from supatoss.telemetry import PAYLOADS_EMPTIED

BATCH_EVENTS = 500
"""In one transaction: some tens of milliseconds, in which a late duplicate of one of them would wait."""

PAUSE_SECONDS = 0.2
"""Between batches, so that a first run over millions of rows leaves the database to the deliveries."""

_log = structlog.get_logger("supatoss.retention")


class Retention:
    """Empties what is older than so many days. Any number of processes may do it at once."""

    def __init__(
        self, store: Store, older_than_days: int, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._store = store
        self._older_than_days = older_than_days
        self._sleep = sleep

    async def empty(self) -> int:
        """Empties all that is due, in batches: how many. Raises StoreUnavailable or StoreRefused."""
        arguments = {"older_than_days": self._older_than_days, "max_events": BATCH_EVENTS}
        total = 0
        while True:
            emptied = int(await self._store.call("supatoss_empty_payloads_v1", arguments))
            total += emptied
            PAYLOADS_EMPTIED.inc(emptied)
            if emptied < BATCH_EVENTS:
                break
            await self._sleep(PAUSE_SECONDS)
        if total:
            _log.info("payloads emptied", events=total, older_than_days=self._older_than_days)
        return total
