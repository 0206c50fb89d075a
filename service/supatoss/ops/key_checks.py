"""Whether Toss accepts each of our keys, and their merchant ids: checked when somebody opens the page."""

import asyncio
import contextlib
import datetime as dt
import time
from collections.abc import Sequence
from dataclasses import dataclass

import anyio

from supatoss.errors import TossError, TossMisconfigured, TossUnavailable
from supatoss.toss.client import TossClient
from supatoss.toss.keys import ApiKey

CHECK_SECONDS = 3.0
"""For one look-up at Toss. A longer silence is a result too."""

CACHE_SECONDS = 60.0
"""Between two look-ups with a key, however often the page is loaded: a test key has 100 calls a minute in all."""

MERCHANT_ID_DAYS = dt.timedelta(days=7)


@dataclass(frozen=True, slots=True)
class KeyHealth:
    """A key of TOSS_SECRET_KEY. state: accepted, refused or silent; detail: Toss's code, or what was wrong."""

    name: str
    is_test: bool
    merchant_id: str | None
    state: str
    detail: str = ""


class KeyChecks:
    """Checks each key at Toss, at most once a minute for all viewers together."""

    def __init__(self, toss: TossClient) -> None:
        self._toss = toss
        self._lock = asyncio.Lock()
        self._checked_at = float("-inf")
        self._keys: Sequence[KeyHealth] = ()

    async def look(self) -> Sequence[KeyHealth]:
        """The state of every key, in the order of TOSS_SECRET_KEY. Never raises."""
        async with self._lock:
            if time.monotonic() - self._checked_at > CACHE_SECONDS:
                self._keys = await asyncio.gather(*map(self._check, self._toss.keys))
                self._checked_at = time.monotonic()
            return self._keys

    async def _check(self, key: ApiKey) -> KeyHealth:
        state, detail = "accepted", ""
        try:
            await self._toss.check_key(key, timeout_seconds=CHECK_SECONDS)
            if self._toss.merchant_id_of(key) is None:
                await self._find_merchant_id(key)
        except TossMisconfigured as error:
            state, detail = "refused", error.code or str(error)
        except TossUnavailable as error:
            state, detail = "silent", str(error)
        except TossError as error:
            detail = error.code or str(error)  # Odd, but the key was let in.
        return KeyHealth(key.name, key.is_test, self._toss.merchant_id_of(key), state, detail)

    async def _find_merchant_id(self, key: ApiKey) -> None:
        """The merchant id, from a recent transaction: no other answer of Toss's names it."""
        now = dt.datetime.now(dt.UTC)
        with anyio.move_on_after(CHECK_SECONDS), contextlib.suppress(TossError):
            async for _ in self._toss.transactions(key, now - MERCHANT_ID_DAYS, now, page_size=1):
                return
