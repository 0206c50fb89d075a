"""What each call sends, and what it makes of the answer."""

import datetime as dt
from decimal import Decimal
from typing import Any

import httpx
import pytest
import respx

from supatoss.errors import ConfigurationError, TossNotFound, TossRefused, TossUnavailable
from supatoss.toss.client import TossClient
from supatoss.toss.keys import ApiKey
from tests.tossapi.fakes import (
    LIVE_KEY,
    NEWER_BASIC,
    NEWER_KEY,
    SECRET,
    URL,
    FakeToss,
    client,
    ok,
    payment_body,
    refusal,
)

pytestmark = pytest.mark.anyio

AMOUNT = Decimal(37400)


async def confirm(api: TossClient, amount: Decimal = AMOUNT, key: str = "event-1") -> Any:
    return await api.confirm("pay-1", "order-1", amount, idempotency_key=key)


async def test_payment_is_asked_for_by_its_key_with_the_colon_in_the_authorization() -> None:
    router = respx.MockRouter(assert_all_called=True)
    route = router.get(f"{URL}/v1/payments/pay-1", headers={"authorization": NEWER_BASIC}).respond(json=payment_body())
    before = dt.datetime.now(dt.UTC)
    async with client(httpx.MockTransport(router.async_handler), NEWER_KEY) as api:
        answer = await api.payment("pay-1")
    request = route.calls.last.request
    assert request.content == b""
    assert request.headers["accept-encoding"] == "identity"
    assert "idempotency-key" not in request.headers
    assert "accept-language" not in request.headers, "the methods' names would change with it"
    assert (answer.payment.payment_key, answer.payment.order_id, answer.payment.status) == ("pay-1", "order-1", "DONE")
    assert answer.payment.total_amount == 37400
    assert answer.fields["somethingNew"] == {"of": 2027}
    assert before <= answer.asked_at <= dt.datetime.now(dt.UTC)
    assert answer.asked_at.tzinfo is dt.UTC


async def test_asked_at_is_before_the_request_leaves() -> None:
    left_at = []

    def handle(_request: httpx.Request) -> httpx.Response:
        left_at.append(dt.datetime.now(dt.UTC))
        return ok()

    answer = await client(FakeToss(handle)).payment("pay-1")
    assert answer.asked_at <= left_at[0]


async def test_payment_is_asked_for_by_its_order() -> None:
    toss = FakeToss()
    answer = await client(toss).payment_by_order("order-1")
    assert answer.payment.payment_key == "pay-1"
    assert [(request.method, request.url.raw_path) for request in toss.requests] == [
        ("GET", b"/v1/payments/orders/order-1")
    ]


async def test_fractions_are_exact() -> None:
    body = b'{"paymentKey":"pay-1","orderId":"o","status":"DONE","totalAmount":0.1,"easyPay":{"amount":25.10}}'
    answer = await client(FakeToss(httpx.Response(200, content=body))).payment("pay-1")
    assert answer.payment.total_amount == Decimal("0.1")
    assert str(answer.fields["easyPay"]["amount"]) == "25.10"


@pytest.mark.parametrize(
    ("name", "segment"),
    [
        ("a/b", "a%2Fb"),
        ("a%2Fb", "a%252Fb"),
        ("a?b=c&d#e", "a%3Fb%3Dc%26d%23e"),
        ("orders/order-1", "orders%2Forder-1"),
        ("../../v1/settlements", "..%2F..%2Fv1%2Fsettlements"),
        ("주문 1", "%EC%A3%BC%EB%AC%B8%201"),
        ("half\ud800", "half%3F"),
        ("nul\x00", "nul%00"),
    ],
)
async def test_names_stay_one_segment_of_the_path(name: str, segment: str) -> None:
    toss = FakeToss(refusal(404, "NOT_FOUND_PAYMENT"))
    api = client(toss)
    with pytest.raises(TossNotFound):
        await api.payment(name)
    with pytest.raises(TossNotFound):
        await api.payment_by_order(name)
    assert toss.paths == [f"/v1/payments/{segment}", f"/v1/payments/orders/{segment}"]


@pytest.mark.parametrize("name", ["", ".", "..", "x" * 301])
async def test_names_that_toss_cannot_have_given_are_not_sent(name: str) -> None:
    toss = FakeToss()
    api = client(toss)
    for ask in (api.payment, api.payment_by_order):
        with pytest.raises(TossNotFound):
            await ask(name)
    assert toss.requests == []


@pytest.mark.parametrize("name", ["pay-2", "confirm", "orders/order-1"])
async def test_an_answer_about_another_payment_does_not_count(name: str) -> None:
    with pytest.raises(TossUnavailable, match="another payment"):
        await client(FakeToss()).payment(name)
    with pytest.raises(TossUnavailable, match="another payment"):
        await client(FakeToss()).payment_by_order("order-2")
    with pytest.raises(TossUnavailable, match="another payment"):
        await confirm(client(FakeToss(ok(payment_body(order_id="order-2")))))


async def test_confirm_sends_key_order_amount_and_the_idempotency_key() -> None:
    toss = FakeToss()
    answer = await confirm(client(toss, NEWER_KEY))
    (request,) = toss.requests
    assert (request.method, str(request.url)) == ("POST", f"{URL}/v1/payments/confirm")
    assert request.headers["authorization"] == NEWER_BASIC
    assert request.headers["idempotency-key"] == "event-1"
    assert request.headers["content-type"] == "application/json"
    assert request.content == b'{"paymentKey":"pay-1","orderId":"order-1","amount":37400}'
    assert answer.payment.secret == SECRET


@pytest.mark.parametrize(
    ("amount", "number"),
    [
        ("37400", 37400),
        ("37400.00", 37400),
        ("3.74E+4", 37400),
        ("25.5", 25.5),
        ("0.10", 0.1),
        ("999999999999999", 10**15 - 1),
    ],
)
async def test_amounts_are_numbers_without_needless_fractions(amount: str, number: float) -> None:
    toss = FakeToss()
    await confirm(client(toss), Decimal(amount))
    sent = toss.bodies[0]["amount"]
    assert (sent, type(sent)) == (number, type(number))


@pytest.mark.parametrize("amount", ["0", "-1", "NaN", "Infinity", "1E+15", "0.1234567890123456789"])
async def test_amounts_that_cannot_be_meant_are_not_sent(amount: str) -> None:
    toss = FakeToss()
    with pytest.raises(ValueError, match="amount"):
        await confirm(client(toss), Decimal(amount))
    assert toss.requests == []


@pytest.mark.parametrize("key", ["", "x" * 301, "a b", "한글", "a\r\nAuthorization: x"])
async def test_idempotency_keys_that_toss_refuses_are_not_sent(key: str) -> None:
    toss = FakeToss()
    with pytest.raises(ValueError, match="idempotency key") as caught:
        await confirm(client(toss), key=key)
    assert not key or key not in str(caught.value)
    assert toss.requests == []


async def test_the_longest_idempotency_key_is_sent() -> None:
    toss = FakeToss()
    await confirm(client(toss), key="x" * 300)
    assert toss.requests[0].headers["idempotency-key"] == "x" * 300


async def test_the_same_confirm_is_the_same_request() -> None:
    toss = FakeToss()
    api = client(toss)
    await confirm(api)
    await confirm(api, Decimal("37400.0"))
    assert toss.requests[0].content == toss.requests[1].content
    assert toss.requests[0].headers == toss.requests[1].headers


async def test_a_payment_that_is_already_processed_is_for_the_caller_to_look_up() -> None:
    with pytest.raises(TossRefused) as caught:
        await confirm(client(FakeToss(refusal(400, "ALREADY_PROCESSED_PAYMENT"))))
    assert caught.value.code == "ALREADY_PROCESSED_PAYMENT"
    assert not caught.value.retry_can_help


@pytest.mark.parametrize(
    "base_url",
    [
        "https://api.tosspayments.com",
        "https://api.tosspayments.com/",
        " https://proxy.test/ ",
        "http://127.0.0.1:9000",
        "http://localhost:9000",
        "http://[::1]:9000",
    ],
)
async def test_addresses_that_are_taken(base_url: str) -> None:
    toss = FakeToss()
    async with TossClient(base_url, [LIVE_KEY], transport=toss) as api:
        await api.payment("pay-1")
    assert toss.requests[0].url == base_url.strip().rstrip("/") + "/v1/payments/pay-1"


@pytest.mark.parametrize(
    "base_url",
    [
        "http://api.tosspayments.com",
        "http://127.0.0.1.evil.test",
        "ftp://api.tosspayments.com",
        "api.tosspayments.com",
        "https://",
        "https://user:password@api.tosspayments.com",
        "https://api.tosspayments.com/v1",
        "https://api.tosspayments.com?x=1",
        "https://api.tosspayments.com:port",
        "",
    ],
)
def test_addresses_that_are_not(base_url: str) -> None:
    with pytest.raises(ConfigurationError, match="TOSS_API_URL should") as caught:
        TossClient(base_url, [LIVE_KEY])
    assert "password" not in str(caught.value)


@pytest.mark.parametrize("keys", [[], [""], [LIVE_KEY, ""], LIVE_KEY])
def test_a_client_needs_keys(keys: Any) -> None:
    with pytest.raises(ConfigurationError, match="TOSS_SECRET_KEY"):
        TossClient(URL, keys)


def test_a_bom_does_not_come_from_us() -> None:
    assert not ApiKey.of(1, LIVE_KEY).authorization.startswith("Basic 77u/")
