"""Looking payments up: shared before the request is sent, never after it."""

import asyncio
import datetime as dt
from typing import Any

import pytest

from supatoss.errors import TossNotFound, TossUnavailable
from supatoss.inbox.lookups import Lookups
from supatoss.toss.client import TossClient
from supatoss.toss.models import Payment, PaymentAnswer

pytestmark = pytest.mark.anyio


class HeldToss(TossClient):
    """Answers when it is let go: with the balance that the payment had when the request was sent."""

    keys = ()

    def __init__(self) -> None:
        self.balance = 0
        self.sent: list[str] = []
        self.held: list[asyncio.Event] = []
        self.trouble: Exception | None = None

    async def payment(self, payment_key: str, **_options: Any) -> PaymentAnswer:
        return await self._answer(payment_key)

    async def payment_by_order(self, order_id: str, **_options: Any) -> PaymentAnswer:
        return await self._answer(order_id)

    async def _answer(self, name: str) -> PaymentAnswer:
        self.sent.append(name)
        fields: dict[str, Any] = {
            "paymentKey": name,
            "orderId": "order",
            "status": "DONE",
            "balanceAmount": self.balance,
        }
        held = asyncio.Event()
        self.held.append(held)
        await held.wait()
        if self.trouble:
            raise self.trouble
        return PaymentAnswer(dt.datetime.now(dt.UTC), fields, Payment.model_validate(fields))


async def settle_down() -> None:
    """Lets every task run until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
def toss() -> HeldToss:
    return HeldToss()


@pytest.fixture
def lookups(toss: HeldToss) -> Lookups:
    return Lookups(toss)


def balance_of(answer: PaymentAnswer) -> Any:
    return answer.fields["balanceAmount"]


async def test_those_who_come_at_once_share_one_request(lookups: Lookups, toss: HeldToss) -> None:
    asking = [asyncio.create_task(lookups.payment("p1", 5)) for _ in range(3)]
    await settle_down()
    toss.held[0].set()
    assert len({id(answer) for answer in await asyncio.gather(*asking)}) == 1
    assert toss.sent == ["p1"]


async def test_who_comes_after_it_was_sent_gets_the_next_answer(lookups: Lookups, toss: HeldToss) -> None:
    first = asyncio.create_task(lookups.payment("p1", 5))
    await settle_down()
    toss.balance = 5000
    later = [asyncio.create_task(lookups.payment("p1", 5)) for _ in range(3)]
    await settle_down()
    assert toss.sent == ["p1"]  # one on its way at a time
    toss.held[0].set()
    await settle_down()
    toss.held[1].set()
    assert balance_of(await first) == 0
    assert [balance_of(answer) for answer in await asyncio.gather(*later)] == [5000, 5000, 5000]
    assert toss.sent == ["p1", "p1"]


async def test_different_payments_do_not_wait_for_each_other(lookups: Lookups, toss: HeldToss) -> None:
    asking = [
        asyncio.create_task(lookups.payment("p1", 5)),
        asyncio.create_task(lookups.payment("p2", 5)),
        asyncio.create_task(lookups.payment_by_order("p1", 5)),
    ]
    await settle_down()
    assert toss.sent == ["p1", "p2", "p1"]
    for held in toss.held:
        held.set()
    await asyncio.gather(*asking)


async def test_who_leaves_takes_no_answer_from_the_others(lookups: Lookups, toss: HeldToss) -> None:
    starter = asyncio.create_task(lookups.payment("p1", 5))
    other = asyncio.create_task(lookups.payment("p1", 5))
    await settle_down()
    starter.cancel()
    await settle_down()
    toss.held[0].set()
    assert balance_of(await other) == 0


async def test_a_request_that_waits_is_not_sent_when_nobody_waits_for_it(lookups: Lookups, toss: HeldToss) -> None:
    first = asyncio.create_task(lookups.payment("p1", 5))
    await settle_down()
    second = asyncio.create_task(lookups.payment("p1", 5))
    await settle_down()
    second.cancel()
    await settle_down()
    toss.held[0].set()
    await first
    await settle_down()
    assert toss.sent == ["p1"]
    again = asyncio.create_task(lookups.payment("p1", 5))
    await settle_down()
    toss.held[1].set()
    assert balance_of(await again) == 0


async def test_a_time_out_is_the_callers_own(lookups: Lookups, toss: HeldToss) -> None:
    patient = asyncio.create_task(lookups.payment("p1", 5))
    with pytest.raises(TossUnavailable, match="timeout"):
        await lookups.payment("p1", 0)
    await settle_down()
    toss.held[0].set()
    assert balance_of(await patient) == 0


async def test_an_error_is_everybodys_and_the_next_one_asks_anew(lookups: Lookups, toss: HeldToss) -> None:
    toss.trouble = TossNotFound("payment", "unknown")
    asking = [asyncio.create_task(lookups.payment("p1", 5)) for _ in range(2)]
    await settle_down()
    waiting = asyncio.create_task(lookups.payment("p1", 5))
    await settle_down()
    toss.held[0].set()
    results = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(result) for result in results] == [TossNotFound, TossNotFound]
    await settle_down()
    toss.trouble = None
    toss.held[1].set()
    assert balance_of(await waiting) == 0
