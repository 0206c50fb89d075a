"""Two deliveries about one change that are in flight at once ask Toss once."""

import asyncio
import datetime as dt
from collections.abc import Callable

import pytest

from supatoss.errors import TossNotFound, TossUnavailable
from supatoss.inbox.verify import Lookups
from supatoss.toss.client import TossClient
from supatoss.toss.models import Payment, PaymentAnswer

pytestmark = pytest.mark.anyio


def payment(status: str) -> PaymentAnswer:
    fields = {"paymentKey": "key-1", "orderId": "order-1", "status": status}
    return PaymentAnswer(dt.datetime.now(dt.UTC), fields, Payment.model_validate(fields))


class SlowToss(TossClient):
    """Answers when told to; counts its calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.answers: asyncio.Queue[PaymentAnswer | Exception] = asyncio.Queue()

    async def _next(self, name: str) -> PaymentAnswer:
        self.calls.append(name)
        answer = await self.answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def payment(self, payment_key: str, *, timeout_seconds: float = 3.0) -> PaymentAnswer:
        return await self._next(payment_key)

    async def payment_by_order(self, order_id: str, *, timeout_seconds: float = 3.0) -> PaymentAnswer:
        return await self._next(order_id)


def is_done(answer: PaymentAnswer) -> bool:
    return answer.payment.status == "DONE"


async def started(*coroutines: Callable[[], object]) -> None:
    """Lets tasks run until they wait."""
    for _ in range(5 * len(coroutines) + 5):
        await asyncio.sleep(0)


async def test_two_at_once_ask_once() -> None:
    toss = SlowToss()
    lookups = Lookups(toss)
    first = asyncio.create_task(lookups.find("key-1", "order-1", 1, is_done))
    second = asyncio.create_task(lookups.find(None, "order-1", 1, is_done))
    await started()
    toss.answers.put_nowait(payment("DONE"))
    assert (await first).payment.status == (await second).payment.status == "DONE"
    assert toss.calls == ["key-1"]


async def test_an_answer_that_is_too_old_for_the_second_is_asked_again() -> None:
    toss = SlowToss()
    lookups = Lookups(toss)
    first = asyncio.create_task(lookups.find("key-1", "order-1", 1, is_done))
    second = asyncio.create_task(lookups.find(None, "order-1", 1, lambda answer: answer.payment.status == "CANCELED"))
    await started()
    toss.answers.put_nowait(payment("DONE"))
    toss.answers.put_nowait(payment("CANCELED"))
    assert (await first).payment.status == "DONE"
    assert (await second).payment.status == "CANCELED"
    assert toss.calls == ["key-1", "order-1"]


async def test_an_error_of_the_first_is_not_the_second_s() -> None:
    toss = SlowToss()
    lookups = Lookups(toss)
    first = asyncio.create_task(lookups.find("key-1", "order-1", 1, is_done))
    second = asyncio.create_task(lookups.find(None, "order-1", 1, is_done))
    await started()
    toss.answers.put_nowait(TossUnavailable("payment"))
    toss.answers.put_nowait(payment("DONE"))
    with pytest.raises(TossUnavailable):
        await first
    assert (await second).payment.status == "DONE"


async def test_the_first_may_leave() -> None:
    toss = SlowToss()
    lookups = Lookups(toss)
    first = asyncio.create_task(lookups.find("key-1", "order-1", 1, is_done))
    await started()
    second = asyncio.create_task(lookups.find("key-1", "order-1", 1, is_done))
    await started()
    first.cancel()
    await started()
    toss.answers.put_nowait(payment("DONE"))
    assert (await second).payment.status == "DONE"
    assert toss.calls == ["key-1"]


async def test_one_after_the_other_asks_twice() -> None:
    toss = SlowToss()
    lookups = Lookups(toss)
    for _ in range(2):
        toss.answers.put_nowait(payment("DONE"))
        await lookups.find("key-1", "order-1", 1, is_done)
    assert toss.calls == ["key-1", "key-1"]


async def test_there_has_to_be_something_to_ask_for() -> None:
    with pytest.raises(TossNotFound):
        await Lookups(SlowToss()).find(None, None, 1, is_done)
