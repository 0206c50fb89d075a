"""Asking Toss about many payments, patiently: nobody waits for an answer here but a person or a worker."""

import asyncio
from collections.abc import Awaitable, Callable

from supatoss.errors import TossNotFound, TossRefused, TossUnavailable
from supatoss.store.findings import Cause
from supatoss.toss.client import TossClient
from supatoss.toss.models import PaymentAnswer

LOOK_UP_SECONDS = 90.0
"""Of one look-up: with test keys it may wait a minute for its turn."""

TRIES = 3
FIRST_PAUSE_SECONDS = 1.0

Sleep = Callable[[float], Awaitable[None]]


class Asking:
    """Look-ups of payments that are repeated when Toss is busy."""

    def __init__(self, toss: TossClient, sleep: Sleep = asyncio.sleep) -> None:
        self._toss = toss
        self._sleep = sleep

    async def payment(self, payment_key: str) -> PaymentAnswer | Cause:
        """The payment, or why there is none to compare with. Raises TossUnavailable and TossMisconfigured."""
        return await self._answer(lambda: self._toss.payment(payment_key, timeout_seconds=LOOK_UP_SECONDS))

    async def payment_of_order(self, order_id: str) -> PaymentAnswer | Cause:
        """As `payment`, for a payment of this order."""
        return await self._answer(lambda: self._toss.payment_by_order(order_id, timeout_seconds=LOOK_UP_SECONDS))

    async def payments(self, payment_keys: list[str]) -> list[PaymentAnswer | Cause]:
        """As `payment`, for several at once. One that Toss never answers about does not hold the others up.

        Raises TossUnavailable where Toss answers about none of them.
        """
        results = await asyncio.gather(*(self.payment(key) for key in payment_keys), return_exceptions=True)
        answers: list[PaymentAnswer | Cause] = []
        silences: list[TossUnavailable] = []
        for result in results:
            if isinstance(result, TossUnavailable):
                silences.append(result)
                answers.append(Cause.NOT_ANSWERED)
            elif isinstance(result, BaseException):
                raise result
            else:
                answers.append(result)
        if silences and len(silences) == len(results):
            raise silences[0]
        return answers

    async def _answer(self, ask: Callable[[], Awaitable[PaymentAnswer]]) -> PaymentAnswer | Cause:
        try:
            return await self._patiently(ask)
        except TossNotFound:
            return Cause.UNKNOWN_TO_TOSS
        except TossRefused:
            return Cause.REFUSED_BY_TOSS

    async def _patiently(self, ask: Callable[[], Awaitable[PaymentAnswer]]) -> PaymentAnswer:
        for attempt in range(1, TRIES):
            try:
                return await ask()
            except TossUnavailable as error:
                await self._sleep(error.retry_after_seconds or FIRST_PAUSE_SECONDS * attempt)
        return await ask()
