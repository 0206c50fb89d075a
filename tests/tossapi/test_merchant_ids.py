"""Whose key is asked first, and which payment of an order that two MIDs have is meant."""

import datetime as dt
from decimal import Decimal
from itertools import product
from typing import Any

import httpx
import pytest

from supatoss.errors import TossError, TossNotFound, TossUnavailable
from supatoss.inbox.claims import Claim, claim_of
from supatoss.inbox.lookups import Lookups
from supatoss.store.recording import NOTHING_KNOWN
from supatoss.toss.client import TossClient
from tests.tossapi.fakes import KeyedToss, Step, client, ok, payment_body, refusal

pytestmark = pytest.mark.anyio

START = dt.datetime(2026, 3, 14, tzinfo=dt.UTC)
KEYS = ("live_a", "live_b", "live_c")
HANGS = 3600.0
NOT_FOUND = (0.0, refusal(404, "NOT_FOUND_PAYMENT"))
TROUBLE: tuple[tuple[float, Step], ...] = (
    NOT_FOUND,
    (0.0, refusal(401, "UNAUTHORIZED_KEY")),
    (0.0, refusal(400, "INVALID_REQUEST")),
    (HANGS, ok()),
)


def of(merchant_id: str, **more: Any) -> tuple[float, httpx.Response]:
    return 0.0, ok(payment_body(mId=merchant_id, **more))


async def confirm(api: TossClient, merchant_id: str | None) -> None:
    await api.confirm("pay-1", "order-1", Decimal(37400), idempotency_key="event-1", merchant_id=merchant_id)


def situations() -> list[tuple[tuple[float, Step], ...]]:
    """Every trouble of every key, with the payment at one key or at none."""
    plain = list(product(TROUBLE, repeat=len(KEYS)))
    found = [
        (*others[:place], of("mid-a"), *others[place:])
        for others in product(TROUBLE, repeat=len(KEYS) - 1)
        for place in range(len(KEYS))
    ]
    return plain + found


@pytest.mark.parametrize("hint", ["mid-a", "mid-b", "made up"])
async def test_a_hint_never_changes_the_answer(hint: str) -> None:
    toss = KeyedToss(live_a=of("mid-a"), live_b=of("mid-b"), live_c=of("mid-c"))
    api = client(toss, *KEYS)
    basics = list(toss.by_basic)
    for situation in situations():
        results = []
        for merchant_id in (None, hint):
            for key, name in zip(api.keys, ("mid-a", "mid-b", "mid-c"), strict=True):
                api._learn(key, name)  # as from an answer about another payment
            toss.by_basic = {basic: ("", *answer) for basic, answer in zip(basics, situation, strict=True)}
            try:
                results.append(str((await api.payment("pay-1", merchant_id=merchant_id)).payment.payment_key))
            except TossError as error:
                results.append(type(error).__name__)
        assert results[0] == results[1], situation


@pytest.mark.parametrize("hint", [None, "mid-b", "mid-other"])
async def test_the_key_of_the_merchant_goes_first_once_it_is_known(hint: str | None) -> None:
    toss = KeyedToss(live_a=NOT_FOUND, live_b=of("mid-b"), live_c=NOT_FOUND)
    api = client(toss, *KEYS)
    for _ in range(2):
        await api.payment("pay-1", merchant_id=hint)
    await confirm(api, hint)
    first, later = ["live_a", "live_b"], ["live_b"] if hint == "mid-b" else ["live_a", "live_b"]
    assert [key for key, _at in toss.asked] == [*first, *later, *later]


async def test_a_list_of_transactions_says_whose_a_key_is() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        row = {"transactionKey": "t-1", "paymentKey": "pay-1", "mId": "mid-b", "status": "DONE"}
        return ok([row]) if "transactions" in request.url.path else ok(payment_body(mId="mid-b"))

    toss = KeyedToss(live_a=NOT_FOUND, live_b=(0.0, answer))
    api = client(toss, "live_a", "live_b")
    assert [page async for page in api.transactions(api.keys[1], START, START)]
    toss.asked.clear()
    await api.payment("pay-1", merchant_id="mid-b")
    assert [key for key, _at in toss.asked] == ["live_b"]


async def test_the_body_of_a_delivery_names_whose_key_goes_first() -> None:
    toss = KeyedToss(live_a=NOT_FOUND, live_b=of("mid-b"))
    api = client(toss, "live_a", "live_b")
    claim = claim_of("PAYMENT_STATUS_CHANGED", {"data": {"paymentKey": "pay-1", "status": "DONE", "mId": "mid-b"}})
    assert claim is not None
    for _ in range(2):
        toss.asked.clear()
        assert await Lookups(api).about(claim, NOTHING_KNOWN, 3.0)
    assert [key for key, _at in toss.asked] == ["live_b"]


def deposit(secret: str | None) -> Claim:
    """Of DEPOSIT_CALLBACK, which names an order and a secret, and neither a payment nor a MID."""
    claim = claim_of("DEPOSIT_CALLBACK", {"orderId": "order-1", "status": "DONE", "secret": secret})
    assert claim is not None
    return claim


BOTH = {
    "live_a": of("mid-a", payment_key="pay-a", secret="ps_a"),
    "live_b": of("mid-b", payment_key="pay-b", secret="ps_b"),
}


@pytest.mark.parametrize(
    ("secret", "meant"), [("ps_a", "pay-a"), ("ps_b", "pay-b"), (None, "pay-a"), ("ps_x", "pay-a")]
)
async def test_the_secret_says_which_payment_of_an_order_at_two_merchants_is_meant(
    secret: str | None, meant: str
) -> None:
    answer = await Lookups(client(KeyedToss(**BOTH), "live_a", "live_b")).about(deposit(secret), NOTHING_KNOWN, 3.0)
    assert answer is not None
    assert answer.payment.payment_key == meant


@pytest.mark.parametrize("trouble", [(0.0, refusal(401, "UNAUTHORIZED_KEY")), (HANGS, ok())], ids=["revoked", "hangs"])
async def test_a_secret_is_not_wrong_while_a_key_could_not_look(trouble: tuple[float, Step]) -> None:
    lookups = Lookups(client(KeyedToss(**BOTH, live_c=trouble), *KEYS))
    fitting = await lookups.about(deposit("ps_b"), NOTHING_KNOWN, 3.0)
    assert fitting is not None
    assert fitting.payment.payment_key == "pay-b"
    with pytest.raises(TossError) as caught:
        await lookups.about(deposit("ps_of_the_third"), NOTHING_KNOWN, 3.0)
    assert not isinstance(caught.value, TossNotFound)


async def test_an_answer_that_cannot_be_read_lets_the_next_key_try() -> None:
    toss = KeyedToss(live_a=(0.0, httpx.Response(200, html="<h1>x</h1>")), live_b=of("mid-b"))
    assert (await client(toss, "live_a", "live_b").payment("pay-1")).payment.m_id == "mid-b"
    with pytest.raises(TossUnavailable):
        await client(toss, "live_a").payment("pay-1")
