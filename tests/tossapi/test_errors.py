"""What an error of Toss means, by its code; and that no error shows a secret."""

import datetime as dt
import logging
import traceback
from collections.abc import Awaitable, Callable
from decimal import Decimal
from email.utils import format_datetime

import httpx
import pytest

from supatoss.errors import (
    SupatossError,
    TossError,
    TossMisconfigured,
    TossNotFound,
    TossRefused,
    TossThrottled,
    TossUnavailable,
)
from supatoss.toss.client import TossClient
from supatoss.toss.responses import pause_seconds
from tests.tossapi.fakes import LIVE_KEY, NEWER_BASIC, NEWER_KEY, SECRET, FakeToss, client, ok, payment_body, refusal

pytestmark = pytest.mark.anyio

NOW = dt.datetime(2026, 11, 24, 3, 0, tzinfo=dt.UTC)

CODES: list[tuple[int, str, type[TossError]]] = [
    (400, "ALREADY_PROCESSED_PAYMENT", TossRefused),
    (400, "DUPLICATED_ORDER_ID", TossRefused),
    (400, "INVALID_REQUEST", TossRefused),
    (400, "INVALID_IDEMPOTENCY_KEY", TossRefused),
    (400, "ALREADY_CANCELED_PAYMENT", TossRefused),
    (400, "A_CODE_OF_2027", TossRefused),
    (403, "REJECT_CARD_COMPANY", TossRefused),
    (403, "REJECT_CARD_PAYMENT", TossRefused),
    (403, "REJECT_ACCOUNT_PAYMENT", TossRefused),
    (403, "NOT_CANCELABLE_AMOUNT", TossRefused),
    (404, "NOT_FOUND_PAYMENT", TossNotFound),
    (404, "NOT_FOUND_PAYMENT_SESSION", TossNotFound),
    (404, "NOT_FOUND_BILLING", TossNotFound),
    (404, "NOT_FOUND", TossNotFound),
    (400, "NOT_FOUND_PAYMENT", TossNotFound),
    (401, "UNAUTHORIZED_KEY", TossMisconfigured),
    (400, "INVALID_API_KEY", TossMisconfigured),
    (403, "INCORRECT_BASIC_AUTH_FORMAT", TossMisconfigured),
    (403, "FORBIDDEN_REQUEST", TossMisconfigured),
    (500, "UNAUTHORIZED_KEY", TossMisconfigured),
    (400, "PROVIDER_ERROR", TossUnavailable),
    (409, "IDEMPOTENT_REQUEST_PROCESSING", TossUnavailable),
    (403, "FORBIDDEN_CONSECUTIVE_REQUEST", TossUnavailable),
    (429, "TOO_MANY_REQUESTS", TossThrottled),
    (500, "FAILED_INTERNAL_SYSTEM_PROCESSING", TossUnavailable),
    (500, "FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING", TossUnavailable),
    (400, "FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING", TossUnavailable),
    (500, "COMMON_ERROR", TossUnavailable),
    (500, "UNKNOWN_ERROR", TossUnavailable),
    (500, "UNKNOWN_PAYMENT_ERROR", TossUnavailable),
    (503, "A_CODE_OF_2027", TossUnavailable),
]

Ask = Callable[[TossClient], Awaitable[object]]


async def look_up(api: TossClient) -> object:
    return await api.payment("pay-1")


async def look_up_order(api: TossClient) -> object:
    return await api.payment_by_order("order-1")


async def confirm(api: TossClient) -> object:
    return await api.confirm("pay-1", "order-1", Decimal(37400), idempotency_key="event-1")


async def transactions(api: TossClient) -> object:
    return [page async for page in api.transactions(api.keys[0], NOW, NOW)]


async def settlements(api: TossClient) -> object:
    return [page async for page in api.settlements(api.keys[0], NOW.date(), NOW.date())]


CALLS = [look_up, look_up_order, confirm, transactions, settlements]


async def failure(ask: Ask, toss: FakeToss, *keys: str) -> TossError:
    async with client(toss, *keys) as api:
        with pytest.raises(TossError) as caught:
            await ask(api)
    return caught.value


@pytest.mark.parametrize(("status", "code", "kind"), CODES)
@pytest.mark.parametrize("ask", [look_up, confirm, transactions])
async def test_what_a_code_means(ask: Ask, status: int, code: str, kind: type[TossError]) -> None:
    error = await failure(ask, FakeToss(refusal(status, code)))
    assert type(error) is kind
    assert (error.code, error.http_status) == (code, status)
    assert error.retry_can_help is issubclass(kind, TossUnavailable)
    if status != 429:
        assert f"{code} (HTTP {status})" in str(error)


async def test_the_error_body_of_v2_is_read() -> None:
    body = {"version": "2022-11-16", "traceId": "t", "error": {"code": "NOT_FOUND_PAYMENT", "message": "…"}}
    error = await failure(look_up, FakeToss(httpx.Response(404, json=body)))
    assert type(error) is TossNotFound


@pytest.mark.parametrize("ask", CALLS)
@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(200, content=b"<html>maintenance</html>"),
        httpx.Response(200, content=b'{"paymentKey":"pay-1","orderId":"order-1"'),
        httpx.Response(200, content=b"\xff\xfe"),
        httpx.Response(200, content=b""),
        httpx.Response(200, content=b"[" * 100_000),
        httpx.Response(200, content=b"1e" + b"9" * 30),
        httpx.Response(200, json=[1, "two", None]),
        httpx.Response(200, json="text"),
        httpx.Response(302, headers={"location": "https://evil.test/"}),
        httpx.Response(400, content=b"<html>bad gateway</html>"),
        httpx.Response(404, content=b"nginx"),
        httpx.Response(403, json={"message": "Forbidden"}),
        httpx.Response(400, json={"code": None}),
        httpx.Response(400, json={"code": "카드 4330****1234"}),
        httpx.Response(400, json=["NOT_FOUND_PAYMENT"]),
        httpx.Response(502, content=b""),
    ],
    ids=lambda response: f"{response.status_code}-{response.content[:12]!r}",
)
async def test_what_is_not_an_answer_of_toss_says_nothing(ask: Ask, response: httpx.Response) -> None:
    toss = FakeToss(response)
    error = await failure(ask, toss)
    assert type(error) is TossUnavailable
    assert error.code is None
    assert len(toss.requests) == 1, "neither followed nor repeated"


@pytest.mark.parametrize("ask", [look_up, confirm])
async def test_a_payment_that_cannot_be_read_names_the_field_and_not_its_value(ask: Ask) -> None:
    error = await failure(ask, FakeToss(ok(payment_body(totalAmount="a lot of won"))))
    assert type(error) is TossUnavailable
    assert "totalAmount" in str(error)
    assert "won" not in str(error)


@pytest.mark.parametrize(("ask", "limit"), [(look_up, 2**20), (confirm, 2**20), (transactions, 2**25)])
async def test_answers_have_a_longest_length(ask: Ask, limit: int) -> None:
    error = await failure(ask, FakeToss(httpx.Response(200, content=b" " * (limit + 1))))
    assert type(error) is TossUnavailable
    assert "too long" in str(error)


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("7", 7),
        (" 0 ", 0),
        ("1.5", 1.5),
        ("3600", 60),
        ("999999999", 60),
        ("-5", 2),
        ("soon", 2),
        ("", 2),
        (None, 2),
        ("²", 2),
        (format_datetime(NOW + dt.timedelta(seconds=12), usegmt=True), 12),
        (format_datetime(NOW + dt.timedelta(hours=1), usegmt=True), 60),
        (format_datetime(NOW - dt.timedelta(hours=1), usegmt=True), 0),
        ("Tue, 24 Nov 2026 03:00:30 -0000", 30),
    ],
)
def test_both_forms_of_retry_after_are_read_and_capped(retry_after: str | None, seconds: float) -> None:
    assert pause_seconds(retry_after, NOW) == seconds


NO_ANSWERS = [
    httpx.ConnectError("all attempts failed"),
    httpx.ConnectTimeout(""),
    httpx.ReadError(""),
    httpx.WriteError(""),
    httpx.ReadTimeout(""),
    httpx.WriteTimeout(""),
    httpx.PoolTimeout(""),
    httpx.RemoteProtocolError("server disconnected"),
    httpx.LocalProtocolError(f"Illegal header value b'{NEWER_BASIC}'"),
    httpx.DecodingError("bad gzip"),
    httpx.UnsupportedProtocol(""),
]


@pytest.mark.parametrize("ask", CALLS)
@pytest.mark.parametrize("problem", NO_ANSWERS, ids=lambda problem: type(problem).__name__)
async def test_no_answer_is_an_unknown_outcome(ask: Ask, problem: Exception) -> None:
    error = await failure(ask, FakeToss(problem))
    assert type(error) is TossUnavailable
    assert (error.code, error.http_status) == (None, None)
    assert "no answer: " in str(error)
    assert "TOSS_API_URL" in str(error)
    assert type(problem).__name__ not in str(error)


@pytest.mark.parametrize("ask", CALLS)
@pytest.mark.parametrize(
    "step",
    [
        refusal(400, "PROVIDER_ERROR"),
        refusal(403, "REJECT_CARD_COMPANY"),
        refusal(404, "NOT_FOUND_PAYMENT"),
        refusal(401, "UNAUTHORIZED_KEY"),
        httpx.Response(400, json={"code": f"{NEWER_KEY} {SECRET}", "message": SECRET}),
        httpx.Response(200, json=payment_body("pay-1", "order-1", totalAmount=[SECRET])),
        httpx.Response(200, content=f'{{"secret":"{SECRET}"'.encode()),
        *NO_ANSWERS,
    ],
    ids=repr,
)
async def test_no_error_shows_a_key_or_what_was_answered(
    ask: Ask, step: httpx.Response | Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with pytest.raises(SupatossError) as caught:
        await ask(client(FakeToss(step), NEWER_KEY, LIVE_KEY))
    error = caught.value
    shown = "\n".join([*traceback.format_exception(error), repr(error), str(error.__dict__), caplog.text])
    for secret in (NEWER_KEY, LIVE_KEY, NEWER_BASIC.removeprefix("Basic "), SECRET, "message-of-the-answer", "4330"):
        assert secret not in shown


async def test_no_repr_shows_a_key_or_the_payment() -> None:
    api = client(FakeToss(), NEWER_KEY, LIVE_KEY)
    answer = await api.payment("pay-1")
    shown = repr([answer, api, api.__dict__, api.keys])
    for secret in (SECRET, "pay-1", "order-1", "37400", NEWER_KEY, LIVE_KEY, NEWER_BASIC):
        assert secret not in shown
    assert "asked_at" in shown
