"""Keys, repeats, time-outs and limits, on a clock that jumps."""

import asyncio
import datetime as dt
from decimal import Decimal
from typing import Any

import httpx
import pytest

from supatoss.errors import (
    TossError,
    TossMisconfigured,
    TossNotFound,
    TossRefused,
    TossThrottled,
    TossUnavailable,
)
from supatoss.inbox.lookups import Lookups
from supatoss.toss.client import TossClient
from supatoss.toss.connection import CONNECT_TIMEOUT_SECONDS
from supatoss.toss.keys import ApiKey
from supatoss.toss.ratelimit import KNOWN, RECONCILE, STRANGER, TOSS, WORKER, Purpose
from tests.tossapi.fakes import (
    LIVE_KEY,
    NEWER_KEY,
    OLDER_KEY,
    FakeToss,
    KeyedToss,
    Step,
    client,
    ok,
    payment_body,
    refusal,
)

pytestmark = pytest.mark.anyio

NOT_FOUND = refusal(404, "NOT_FOUND_PAYMENT")
UNAUTHORIZED = refusal(401, "UNAUTHORIZED_KEY")


def clock() -> float:
    return asyncio.get_running_loop().time()


def any_payment(request: httpx.Request) -> httpx.Response:
    return ok(payment_body(request.url.path.rsplit("/", 1)[1], request.url.path.rsplit("/", 1)[1]))


async def confirm(api: TossClient, **options: Any) -> Any:
    return await api.confirm("pay-1", "order-1", Decimal(100), idempotency_key="event-1", **options)


async def look_up_many(api: TossClient, number: int, **options: Any) -> list[Any]:
    look_ups = [api.payment(f"pay-{n}", **options) for n in range(number)]
    return await asyncio.gather(*look_ups, return_exceptions=True)


def authorizations(toss: FakeToss) -> list[str]:
    return [request.headers["authorization"] for request in toss.requests]


# -- several keys


@pytest.mark.parametrize(
    "first", [UNAUTHORIZED, NOT_FOUND, refusal(400, "INVALID_API_KEY"), refusal(403, "FORBIDDEN_REQUEST")]
)
async def test_the_next_key_is_tried_where_one_is_not_accepted_or_finds_nothing(first: httpx.Response) -> None:
    toss = FakeToss(first, ok(), first, ok())
    api = client(toss, NEWER_KEY, OLDER_KEY, LIVE_KEY)
    assert (await api.payment("pay-1")).payment.status == "DONE"
    assert (await confirm(api)).payment.status == "DONE"
    newer, older = authorizations(toss)[:2]
    assert authorizations(toss) == [newer, older, newer, older], "the newest first, every time"


@pytest.mark.parametrize(
    "first", [refusal(403, "REJECT_CARD_COMPANY"), refusal(500, "COMMON_ERROR"), httpx.ReadTimeout("")], ids=str
)
async def test_no_other_key_is_tried_after_any_other_answer(first: httpx.Response | Exception) -> None:
    toss = FakeToss(first, ok())
    with pytest.raises(TossError):
        await confirm(client(toss, NEWER_KEY, OLDER_KEY))
    assert len(toss.requests) == 1


@pytest.mark.parametrize(
    ("steps", "kind"),
    [
        ([NOT_FOUND, NOT_FOUND], TossNotFound),
        ([UNAUTHORIZED, UNAUTHORIZED], TossMisconfigured),
        ([NOT_FOUND, UNAUTHORIZED], TossMisconfigured),
        ([UNAUTHORIZED, NOT_FOUND], TossMisconfigured),
        ([NOT_FOUND, refusal(500, "COMMON_ERROR")], TossUnavailable),
        ([UNAUTHORIZED, refusal(400, "INVALID_REQUEST")], TossMisconfigured),
        ([NOT_FOUND, refusal(400, "INVALID_REQUEST")], TossRefused),
        ([UNAUTHORIZED, refusal(500, "COMMON_ERROR")], TossUnavailable),
    ],
)
async def test_not_found_holds_only_if_every_key_could_look(steps: list[Any], kind: type[TossError]) -> None:
    with pytest.raises(TossError) as caught:
        await client(FakeToss(*steps), NEWER_KEY, OLDER_KEY).payment("pay-1")
    assert type(caught.value) is kind


THROTTLED = httpx.Response(429, headers={"retry-after": "60"})
HANGS = 3600.0


@pytest.mark.parametrize(
    ("first", "seconds"),
    [
        ((HANGS, ok()), 1.5),
        ((0.0, THROTTLED), 0.0),
        ((0.0, refusal(400, "INVALID_REQUEST")), 0.0),
        ((0.0, refusal(500, "COMMON_ERROR")), 0.0),
        ((0.0, httpx.ReadTimeout("")), 0.0),
        ((1.0, UNAUTHORIZED), 1.0),
    ],
    ids=["hangs", "throttled", "odd 4xx", "500", "time-out", "revoked"],
)
async def test_what_is_wrong_with_one_key_leaves_the_others_their_time(
    first: tuple[float, Step], seconds: float
) -> None:
    toss = KeyedToss(live_a=first, live_b=(0.25, ok()))
    started = clock()
    assert (await client(toss, "live_a", "live_b").payment("pay-1")).payment.status == "DONE"
    assert [key for key, _at in toss.asked] == ["live_a", "live_b"]
    assert clock() - started == pytest.approx(seconds + 0.25)


async def test_a_slow_key_may_answer_while_the_next_one_is_asked() -> None:
    toss = KeyedToss(live_a=(2.0, ok()), live_b=(0.0, NOT_FOUND))
    started = clock()
    assert (await client(toss, "live_a", "live_b").payment("pay-1")).payment.status == "DONE"
    assert clock() - started == pytest.approx(2.0)


async def test_a_payment_is_not_unknown_while_a_key_hangs() -> None:
    toss = KeyedToss(live_a=(0.0, NOT_FOUND), live_b=(HANGS, ok()), live_c=(0.0, UNAUTHORIZED))
    started = clock()
    with pytest.raises(TossUnavailable):
        await client(toss, "live_a", "live_b", "live_c").payment("pay-1")
    assert clock() - started == pytest.approx(3.0)


async def test_a_throttled_key_does_not_hold_the_others_back() -> None:
    toss = KeyedToss(live_a=(0.0, THROTTLED), live_b=(0.0, ok()))
    api = client(toss, "live_a", "live_b")
    for _ in range(3):
        assert (await api.payment("pay-1")).payment.status == "DONE"
    assert [key for key, _at in toss.asked] == ["live_a", "live_b", "live_b", "live_b"]


async def test_an_approval_is_sent_with_one_key_after_another() -> None:
    toss = KeyedToss(live_a=(HANGS, ok()), live_b=(0.0, ok()))
    with pytest.raises(TossUnavailable):
        await confirm(client(toss, "live_a", "live_b"))
    assert [key for key, _at in toss.asked] == ["live_a"], "the first one may have charged"


# -- repeats


@pytest.mark.parametrize(
    "problem", [httpx.ConnectError(""), httpx.ConnectTimeout(""), httpx.ReadError(""), httpx.RemoteProtocolError("")]
)
async def test_a_look_up_is_repeated_once_after_a_connection_error(problem: Exception) -> None:
    toss = FakeToss(problem, ok())
    assert (await client(toss).payment("pay-1")).payment.status == "DONE"
    toss = FakeToss(problem)
    with pytest.raises(TossUnavailable):
        await client(toss).payment_by_order("order-1")
    assert len(toss.requests) == 2


@pytest.mark.parametrize(
    "problem", [httpx.ReadTimeout(""), httpx.PoolTimeout(""), refusal(500, "COMMON_ERROR")], ids=str
)
async def test_a_look_up_is_not_repeated_after_anything_else(problem: httpx.Response | Exception) -> None:
    toss = FakeToss(problem, ok())
    with pytest.raises(TossUnavailable):
        await client(toss).payment("pay-1")
    assert len(toss.requests) == 1


@pytest.mark.parametrize("problem", [httpx.ConnectError(""), httpx.ReadError(""), httpx.RemoteProtocolError("")])
async def test_what_changes_something_is_never_repeated(problem: Exception) -> None:
    toss = FakeToss(problem)
    api = client(toss, NEWER_KEY, OLDER_KEY)
    with pytest.raises(TossUnavailable):
        await confirm(api)
    assert [request.method for request in toss.requests] == ["POST"]


# -- time-outs


async def test_a_look_up_ends_in_its_time() -> None:
    api = client(FakeToss(seconds=10))
    started = clock()
    with pytest.raises(TossUnavailable):
        await api.payment("pay-1")
    assert clock() - started == pytest.approx(3)
    with pytest.raises(TossUnavailable):
        await api.payment_by_order("order-1", timeout_seconds=0.5)
    assert clock() - started == pytest.approx(3.5)


async def test_a_confirm_waits_for_the_bank_and_its_end_is_unknown() -> None:
    assert (await confirm(client(FakeToss(seconds=29)))).payment.status == "DONE"
    started = clock()
    with pytest.raises(TossUnavailable) as caught:
        await confirm(client(FakeToss(seconds=31)))
    assert clock() - started == pytest.approx(30)
    assert caught.value.retry_can_help


async def test_pages_wait_as_long_as_toss_documents() -> None:
    rows: Any = [{"transactionKey": "tx-1"}]
    day, key = dt.date(2026, 11, 1), ApiKey.of(1, LIVE_KEY)
    pages = [page async for page in client(FakeToss(ok(rows), seconds=59.5)).settlements(key, day, day)]
    assert len(pages) == 1
    with pytest.raises(TossUnavailable, match="TOSS_API_URL took too long"):
        await anext(aiter(client(FakeToss(ok(rows), seconds=61)).settlements(key, day, day)))


async def test_connecting_has_its_own_shorter_time() -> None:
    toss = FakeToss()
    await confirm(client(toss))
    assert toss.requests[0].extensions["timeout"]["connect"] == CONNECT_TIMEOUT_SECONDS == 2


# -- how many at once, how many a minute


async def test_no_more_than_so_many_requests_are_in_flight() -> None:
    toss = FakeToss(any_payment, seconds=0.5)
    answers = await look_up_many(client(toss, max_in_flight=3), 12, timeout_seconds=10)
    assert [answer.payment.payment_key for answer in answers] == [f"pay-{n}" for n in range(12)]
    assert toss.most_in_flight == 3


async def test_the_wait_for_a_place_is_within_the_time() -> None:
    toss = FakeToss(any_payment, seconds=2)
    answers = await look_up_many(client(toss, max_in_flight=1), 3)
    assert [type(answer).__name__ for answer in answers] == ["PaymentAnswer", "TossUnavailable", "TossUnavailable"]


async def test_a_place_is_free_again_after_every_end() -> None:
    toss = FakeToss(NOT_FOUND, httpx.ReadError(""), httpx.ReadError(""), httpx.Response(200), ok())
    api = client(toss, max_in_flight=1)
    for _ in range(3):
        with pytest.raises(TossError):
            await api.payment("pay-1")
    cancelled = asyncio.create_task(client(FakeToss(seconds=2), max_in_flight=1).payment("pay-1"))
    await asyncio.sleep(1)
    cancelled.cancel()
    assert (await api.payment("pay-1")).payment.status == "DONE"


async def test_test_keys_send_a_hundred_a_minute_to_each_api_and_the_rest_fails_at_once() -> None:
    toss = FakeToss(any_payment)
    api = client(toss, NEWER_KEY)
    started = clock()
    answers = await look_up_many(api, 130)
    assert clock() == started, "those that cannot have their turn in time do not wait"
    failed = [answer for answer in answers if isinstance(answer, Exception)]
    assert len(failed) == 30
    assert all(isinstance(error, TossUnavailable) and "rate limit" in str(error) for error in failed)
    assert all(error.retry_after_seconds == pytest.approx(61) for error in failed if isinstance(error, TossError))
    assert len(toss.requests) == 100
    await api.payment_by_order("order-1")  # another API of Toss, with a hundred of its own


async def test_a_call_with_time_waits_for_its_token() -> None:
    toss = FakeToss(any_payment)
    api = client(toss, NEWER_KEY)
    started = clock()
    answers = await look_up_many(api, 250, timeout_seconds=130)
    assert not [answer for answer in answers if isinstance(answer, Exception)]
    assert clock() - started == pytest.approx(122)
    sent_at = sorted(toss.sent_at)
    assert all(later - earlier > 60 for earlier, later in zip(sent_at, sent_at[100:], strict=False))


async def test_live_keys_have_no_limit_a_minute_unless_one_is_set() -> None:
    toss = FakeToss(any_payment)
    await look_up_many(client(toss, LIVE_KEY), 300)
    assert len(toss.requests) == 300
    toss = FakeToss(any_payment)
    await look_up_many(client(toss, LIVE_KEY, requests_per_minute=40), 300)
    assert len(toss.requests) == 40


# -- 429


async def test_a_429_holds_every_call_of_its_purpose_back_as_long_as_it_says() -> None:
    toss = FakeToss(httpx.Response(429, headers={"retry-after": "20"}), ok())
    api = client(toss)
    started = clock()
    with pytest.raises(TossThrottled) as caught:
        await api.payment("pay-1", purpose=TOSS)
    assert caught.value.retry_after_seconds == 20
    with pytest.raises(TossThrottled, match="rate limit") as caught:
        await api.payment_by_order("order-1", purpose=TOSS)
    assert caught.value.retry_after_seconds == pytest.approx(20)
    assert (clock() - started, len(toss.requests)) == (0, 1), "not even asked"
    await api.payment("pay-1", timeout_seconds=100, purpose=TOSS)
    assert clock() - started == pytest.approx(20)


@pytest.mark.parametrize("throttled", [STRANGER, KNOWN, TOSS], ids=lambda purpose: purpose.name)
async def test_a_429_that_deliveries_caused_holds_nobody_else_back(throttled: Purpose) -> None:
    toss = FakeToss(httpx.Response(429, headers={"retry-after": "60"}), ok())
    api = client(toss)
    started = clock()
    with pytest.raises(TossThrottled):
        await api.payment("pay-1", purpose=throttled)
    for purpose in {STRANGER, KNOWN, TOSS, WORKER, RECONCILE} - {throttled}:
        await api.payment("pay-1", purpose=purpose)
    await confirm(api)
    await api.check_key(api.keys[0])
    assert clock() == started


async def test_deliveries_that_wait_for_toss_take_no_place_of_the_worker() -> None:
    api = client(FakeToss(seconds=2))
    flood = [asyncio.create_task(api.payment("pay-1", purpose=STRANGER)) for _ in range(60)]
    await asyncio.sleep(0.5)
    started = clock()
    await asyncio.gather(api.payment("pay-1", purpose=WORKER), confirm(api), api.payment("pay-1", purpose=TOSS))
    assert clock() - started == pytest.approx(2)
    await asyncio.gather(*flood, return_exceptions=True)


async def test_a_stranger_does_not_wait_for_its_turn_of_the_minute() -> None:
    api = client(FakeToss(any_payment), NEWER_KEY)
    for number in range(30):
        await api.payment(f"pay-{number}", purpose=STRANGER)
    started = clock()
    with pytest.raises(TossThrottled):
        await api.payment("pay-1", timeout_seconds=100, purpose=STRANGER)
    assert clock() == started


async def test_a_429_holds_back_calls_that_were_waiting_for_a_place() -> None:
    steps: list[Step] = [httpx.Response(429, headers={"retry-after": "5"}), any_payment]
    toss = FakeToss(*steps, seconds=0.5)
    api = client(toss, max_in_flight=1)
    started = clock()
    answers = await look_up_many(api, 3, timeout_seconds=10)
    assert [isinstance(answer, TossUnavailable) for answer in answers] == [True, False, False]
    assert [at - started for at in toss.sent_at] == pytest.approx([0, 5.5, 6])


@pytest.mark.parametrize(("retry_after", "seconds"), [("3600", 60), ("", 2)])
async def test_a_pause_is_never_longer_than_a_minute_and_has_a_default(retry_after: str, seconds: float) -> None:
    api = client(FakeToss(httpx.Response(429, headers={"retry-after": retry_after}), ok()))
    started = clock()
    with pytest.raises(TossUnavailable):
        await api.payment("pay-1")
    await api.payment("pay-1", timeout_seconds=100)
    assert clock() - started == pytest.approx(seconds)


async def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    toss = FakeToss(
        httpx.Response(429, headers={"retry-after": "30"}),
        httpx.Response(429, headers={"retry-after": "1"}),
        ok(),
        seconds=1,
    )
    api = client(toss)
    started = clock()
    await look_up_many(api, 2)
    await api.payment("pay-1", timeout_seconds=100)
    assert toss.sent_at[2] - started == pytest.approx(31)


# -- single flight


def shared(api: TossClient) -> Lookups:
    return Lookups(api)


async def test_the_same_look_up_at_once_is_one_request() -> None:
    toss = FakeToss(seconds=1)
    lookups = shared(client(toss))
    look_ups = [lookups.payment("pay-1", 3) for _ in range(20)]
    look_ups += [lookups.payment_by_order("order-1", 3) for _ in range(20)]
    answers = await asyncio.gather(*look_ups)
    assert sorted(toss.paths) == ["/v1/payments/orders/order-1", "/v1/payments/pay-1"]
    assert len({id(answer) for answer in answers}) == 2
    await lookups.payment("pay-1", 3)
    assert len(toss.requests) == 3, "an answer is not kept"


async def test_a_confirm_is_never_shared() -> None:
    toss = FakeToss(seconds=1)
    api = client(toss)
    await asyncio.gather(confirm(api), confirm(api))
    assert len(toss.requests) == 2


@pytest.mark.parametrize("gone", [0, 1])
async def test_a_caller_that_goes_away_leaves_the_others_their_answer(gone: int) -> None:
    toss = FakeToss(seconds=1)
    lookups = shared(client(toss))
    callers = [asyncio.create_task(lookups.payment("pay-1", 3)) for _ in range(3)]
    await asyncio.sleep(0.5)
    callers[gone].cancel()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert [isinstance(result, asyncio.CancelledError) for result in results] == [n == gone for n in range(3)]
    assert len(toss.requests) == 1


async def test_a_request_that_nobody_waits_for_is_ended() -> None:
    toss = FakeToss(seconds=2)
    api = client(toss)
    caller = asyncio.create_task(api.payment("pay-1"))
    await asyncio.sleep(1)
    assert toss.in_flight == 1
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    await asyncio.sleep(0.1)
    assert toss.in_flight == 0


async def test_a_caller_that_joins_waits_no_longer_than_it_said() -> None:
    toss = FakeToss(seconds=10)
    lookups = shared(client(toss))
    worker = asyncio.create_task(lookups.payment("pay-1", 20))
    await asyncio.sleep(1)
    started = clock()
    with pytest.raises(TossUnavailable, match="timeout"):
        await lookups.payment("pay-1", 3)
    assert clock() - started == pytest.approx(3)
    assert (await worker).payment.status == "DONE"
    assert len(toss.requests) == 1


# -- what is told, and the end


async def test_every_request_is_told() -> None:
    told: list[tuple[str, str, float]] = []
    steps: list[Step] = [ok(), NOT_FOUND, UNAUTHORIZED, refusal(403, "REJECT_CARD_COMPANY"), httpx.ReadError(""), ok()]
    api = client(FakeToss(*steps, seconds=0.25), on_call=lambda *call: told.append(call))
    await api.payment("pay-1")
    for _ in range(3):
        with pytest.raises(TossError):
            await confirm(api)
    await api.payment_by_order("order-1")
    assert [call[:2] for call in told] == [
        ("payment", "ok"),
        ("confirm", "not_found"),
        ("confirm", "misconfigured"),
        ("confirm", "refused"),
        ("payment_by_order", "unavailable"),
        ("payment_by_order", "ok"),
    ]
    assert [seconds for *_, seconds in told] == pytest.approx([0.25] * 6)


async def test_time_outs_and_limits_are_told() -> None:
    told: list[tuple[str, str, float]] = []
    api = client(FakeToss(seconds=2), on_call=lambda *call: told.append(call), requests_per_minute=1)
    with pytest.raises(TossUnavailable):
        await api.payment("pay-1", timeout_seconds=1.5)
    with pytest.raises(TossUnavailable):
        await api.payment("pay-1")
    assert told == [("payment", "unavailable", 1.5), ("payment", "unavailable", 0)]


async def test_a_closed_client_is_unavailable() -> None:
    toss = FakeToss()
    async with client(toss) as api:
        await api.payment("pay-1")
    with pytest.raises(TossUnavailable, match="closed"):
        await api.payment("pay-1")
    assert len(toss.requests) == 1
