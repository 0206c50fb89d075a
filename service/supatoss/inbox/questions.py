"""Asking Toss about a payment: two deliveries about one change that are in flight at once ask once."""

import asyncio
from collections.abc import Callable

from supatoss.errors import TossNotFound
from supatoss.toss.api import TossApi
from supatoss.toss.resources import PaymentAnswer

Accepts = Callable[[PaymentAnswer], bool]


class Questions:
    """Look-ups of payments, shared by those who ask about one order at the same time."""

    def __init__(self, toss: TossApi) -> None:
        self._toss = toss
        self._asking: dict[str, asyncio.Task[PaymentAnswer]] = {}

    async def ask(
        self, payment_key: str | None, order_id: str | None, timeout_seconds: float, accepts: Accepts
    ) -> PaymentAnswer:
        """The payment as Toss knows it, by its key where there is one. Raises TossError.

        An answer that somebody else asked for may be older than the change that this caller was told of; it counts
        only if the caller accepts it.
        """
        name = order_id or payment_key or ""
        shared = self._asking.get(name)
        if shared is not None:
            (finished,) = await asyncio.gather(asyncio.shield(shared), return_exceptions=True)
            if isinstance(finished, PaymentAnswer) and accepts(finished):
                return finished
        own = asyncio.create_task(self._look_up(payment_key, order_id, timeout_seconds))
        self._asking[name] = own
        try:
            # Whoever leaves must not take the answer from those who wait for it too.
            return await asyncio.shield(own)
        finally:
            own.add_done_callback(lambda task: task.cancelled() or task.exception())
            if self._asking.get(name) is own:
                del self._asking[name]

    async def _look_up(self, payment_key: str | None, order_id: str | None, timeout_seconds: float) -> PaymentAnswer:
        if payment_key:
            return await self._toss.payment(payment_key, timeout_seconds=timeout_seconds)
        if order_id:
            return await self._toss.payment_by_order(order_id, timeout_seconds=timeout_seconds)
        raise TossNotFound("payment", "neither a payment key nor an order to ask for")
