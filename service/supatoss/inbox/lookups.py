"""Looking payments up at Toss, for one purpose: deliveries by their sender, the worker, or the reconciliation.

A look-up is shared only with those who asked for it before its request was sent. Whoever comes later may know of a
change that the answer doesn't show, and shares the next one.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from supatoss.errors import TossNotFound, TossUnavailable
from supatoss.inbox.claims import Claim
from supatoss.store.recording import KnownKeys
from supatoss.toss.client import TossClient
from supatoss.toss.models import PaymentAnswer
from supatoss.toss.ratelimit import ALONE, Purpose

MAX_ATTEMPTS_OF_ORDER = 3
"""Attempts at paying for an order that are looked up for a claim without a payment key, newest first."""

Ask = Callable[[], Awaitable[PaymentAnswer]]
LookUp = Callable[[str, float], Awaitable[PaymentAnswer]]


@dataclass(slots=True, eq=False)
class _Flight:
    """One request, and how many wait for its answer."""

    task: asyncio.Task[PaymentAnswer]
    is_sent: bool = False
    waiting: int = 0


class Lookups:
    """Look-ups of payments. About one payment at most one request is on its way, and one more waits for it."""

    def __init__(self, toss: TossClient, purpose: Purpose = ALONE) -> None:
        self._toss = toss
        self._purpose = purpose
        self._newest: dict[tuple[str, ...], _Flight] = {}

    async def payment(self, payment_key: str, timeout_seconds: float, merchant_id: str | None = None) -> PaymentAnswer:
        """The payment of this key, as of this call or later; merchant_id's key is asked first. Raises TossError."""
        return await self._join(
            ("payment", payment_key),
            lambda: self._toss.payment(
                payment_key, timeout_seconds=timeout_seconds, merchant_id=merchant_id, purpose=self._purpose
            ),
            timeout_seconds,
        )

    async def payment_by_order(self, order_id: str, timeout_seconds: float) -> PaymentAnswer:
        """A payment of this order, as of this call or later; which of several, Toss does not document."""
        return await self._join(
            ("payment_by_order", order_id),
            lambda: self._toss.payment_by_order(order_id, timeout_seconds=timeout_seconds, purpose=self._purpose),
            timeout_seconds,
        )

    async def _payment_of_order(self, claim: Claim, order_id: str, timeout_seconds: float) -> PaymentAnswer:
        """Shared by those who have the same secret: two MIDs may have the order, and the secret says whose is meant."""
        return await self._join(
            ("payment_by_order", order_id, claim.secret_digest or ""),
            lambda: self._toss.payment_by_order(
                order_id,
                timeout_seconds=timeout_seconds,
                fits=lambda payment: not claim.differs_in_secret(payment),
                purpose=self._purpose,
            ),
            timeout_seconds,
        )

    async def about(self, claim: Claim, known: KnownKeys, timeout_seconds: float) -> PaymentAnswer | None:
        """The payment that a claim is about, None where Toss knows none. Raises TossError.

        A claim that names only an order can mean any attempt at paying for it, and which of them Toss shows by order is
        not documented. So the attempts that are known are looked up by their own keys until one fits the claim; where
        none does, the newest one with the claim's secret is meant. known: the keys of that order. timeout_seconds: of
        one look-up; all of them take twice as long at most.
        """
        best: PaymentAnswer | None = None
        async for answer in self._candidates(claim, known, timeout_seconds):
            if claim.differs_in_secret(answer.payment):
                best = best or answer
            elif not claim.exceeds(answer.payment):
                return answer
            elif best is None or claim.differs_in_secret(best.payment):
                best = answer
        return best

    async def _candidates(self, claim: Claim, known: KnownKeys, timeout_seconds: float) -> AsyncIterator[PaymentAnswer]:
        deadline = asyncio.get_running_loop().time() + 2 * timeout_seconds
        seen: set[str | None] = set()
        for look_up, name in self._ways_to(claim, known, seen):
            seconds = min(timeout_seconds, deadline - asyncio.get_running_loop().time())
            try:
                answer = await look_up(name, max(seconds, 0.0))
            except TossNotFound:
                continue
            except TossUnavailable:
                if not seen:
                    raise
                return  # Others may fit better; what was answered is true all the same.
            seen.add(answer.payment.payment_key)
            yield answer

    def _ways_to(self, claim: Claim, known: KnownKeys, seen: AbstractSet[str | None]) -> Iterator[tuple[LookUp, str]]:
        payment = functools.partial(self.payment, merchant_id=claim.merchant_id)
        if claim.payment_key is not None:
            yield payment, claim.payment_key
        elif claim.order_id is not None:
            by_order = functools.partial(self._payment_of_order, claim), claim.order_id
            if claim.secret_digest is not None:
                # First, and alone where Toss has no such order or the secret is right: a stranger who guesses an order
                # must not see from the number of look-ups, which is the time they take, whether we know it.
                yield by_order
                if not seen:
                    return
            for payment_key in known.payment_keys[:MAX_ATTEMPTS_OF_ORDER]:
                if payment_key not in seen:
                    yield payment, payment_key
            if claim.secret_digest is None:
                yield by_order
            # The application's row may hold the real key, or a placeholder that Toss does not know.
            if known.row_payment_key is not None and known.row_payment_key not in {*seen, *known.payment_keys}:
                yield payment, known.row_payment_key

    async def _join(self, key: tuple[str, ...], ask: Ask, timeout_seconds: float) -> PaymentAnswer:
        newest = self._newest.get(key)
        if newest is None or newest.is_sent:
            newest = self._start(key, ask, newest)
        newest.waiting += 1
        try:
            # Waiting for a task does not cancel it when the waiter is cancelled; the request has a limit of its own.
            finished, _ = await asyncio.wait((newest.task,), timeout=timeout_seconds)
        finally:
            newest.waiting -= 1
        if not finished:
            raise TossUnavailable(key[0], "timeout")
        return newest.task.result()

    def _start(self, key: tuple[str, ...], ask: Ask, before: _Flight | None) -> _Flight:
        async def fly() -> PaymentAnswer:
            if before is not None:
                await asyncio.wait((before.task,))
                if not flight.waiting:
                    raise TossUnavailable(key[0], "nobody waits for the answer any more")
            flight.is_sent = True
            return await ask()

        flight = _Flight(asyncio.create_task(fly()))
        self._newest[key] = flight
        flight.task.add_done_callback(lambda _task: self._land(key, flight))
        return flight

    def _land(self, key: tuple[str, ...], flight: _Flight) -> None:
        if self._newest.get(key) is flight:
            del self._newest[key]
        if not flight.task.cancelled():
            flight.task.exception()  # so that nobody is warned of an error whose waiters have all gone
