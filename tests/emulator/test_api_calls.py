"""Keys, test codes, idempotency, limits and faults."""

import asyncio
import base64
from typing import Any

import httpx
import pytest

from tests.emulator.conftest import Play, Start
from tests.support import SECRET_KEY

pytestmark = pytest.mark.anyio

LIVE_KEY = "live_sk_made_up_for_tests"


def basic(text: str) -> dict[str, str]:
    return {"authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}


async def raw_get(play: Play, headers: dict[str, str]) -> tuple[int, str]:
    response = await play.http.get("/v1/payments/nobody", headers=headers)
    return response.status_code, response.json()["code"]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, (401, "UNAUTHORIZED_KEY")),
        ({"authorization": f"Bearer {SECRET_KEY}"}, (401, "UNAUTHORIZED_KEY")),
        (basic("test_sk_another:"), (401, "UNAUTHORIZED_KEY")),
        (basic(SECRET_KEY), (403, "INCORRECT_BASIC_AUTH_FORMAT")),
        (basic(f"{SECRET_KEY}:password"), (403, "INCORRECT_BASIC_AUTH_FORMAT")),
        ({"authorization": "Basic ***"}, (403, "INCORRECT_BASIC_AUTH_FORMAT")),
        ({"authorization": "Basic /w=="}, (403, "INCORRECT_BASIC_AUTH_FORMAT")),
        (basic("test_ck_of_the_browser:"), (400, "INVALID_API_KEY")),
        (basic(f"{SECRET_KEY}:"), (404, "NOT_FOUND_PAYMENT")),
    ],
)
async def test_the_key_and_its_colon(play: Play, headers: dict[str, str], expected: tuple[int, str]) -> None:
    assert await raw_get(play, headers) == expected


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("PROVIDER_ERROR", 400),
        ("REJECT_CARD_COMPANY", 403),
        ("IDEMPOTENT_REQUEST_PROCESSING", 409),
        ("FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING", 500),
        ("SOME_CODE_OF_TOMORROW", 400),
    ],
)
async def test_a_test_code_is_answered_and_nothing_is_done(play: Play, code: str, status: int) -> None:
    made = await play.pay()
    body = {"paymentKey": made["paymentKey"], "orderId": made["orderId"], "amount": 10000}
    refused = await play.api("POST", "payments/confirm", body, headers={"TossPayments-Test-Code": code})
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert (await play.confirm(made)).status_code == 200


async def test_a_live_key_ignores_test_codes_and_limits(start: Start) -> None:
    play = start(secret_keys=[LIVE_KEY], requests_per_minute=1)
    for _ in range(3):
        answer = await play.api(
            "GET", "payments/nobody", auth=(LIVE_KEY, ""), headers={"TossPayments-Test-Code": "PROVIDER_ERROR"}
        )
        assert answer.json()["code"] == "NOT_FOUND_PAYMENT"


async def test_messages_are_korean_unless_english_is_asked_for(play: Play) -> None:
    korean = await play.api("GET", "payments/nobody")
    english = await play.api("GET", "payments/nobody", headers={"accept-language": "en-US"})
    assert korean.json()["message"] == "존재하지 않는 결제 입니다."
    assert english.json()["message"] == "The payment does not exist."


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
async def test_a_post_needs_an_object(play: Play, content: bytes) -> None:
    answer = await play.api("POST", "payments/confirm", content=content)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")


async def keyed(play: Play, key: str, body: dict[str, Any], path: str = "payments/confirm") -> httpx.Response:
    return await play.api("POST", path, body, headers={"Idempotency-Key": key})


async def test_the_first_answer_is_repeated_byte_for_byte(play: Play) -> None:
    made = await play.pay()
    body = {"paymentKey": made["paymentKey"], "orderId": made["orderId"], "amount": 10000}
    first = await keyed(play, "key-1", body)
    await play.step(made, "cancel")
    second = await keyed(play, "key-1", body)
    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert first.json()["status"] == "DONE"
    assert (await keyed(play, "key-2", body)).json()["code"] == "ALREADY_PROCESSED_PAYMENT"
    calls = (await play.see("calls?path_prefix=/v1/payments/confirm"))["calls"]
    assert [call["replayed"] for call in calls] == [False, True, False]


async def test_errors_are_repeated_too_and_the_body_does_not_count(play: Play) -> None:
    made = await play.pay()
    body = {"paymentKey": made["paymentKey"], "orderId": made["orderId"], "amount": 10000}
    refused = await keyed(play, "key-1", {**body, "amount": 1})
    again = await keyed(play, "key-1", body)
    assert (refused.status_code, refused.content) == (400, again.content)
    assert (await keyed(play, "key-1", {"cancelReason": "x"}, "payments/nobody/cancel")).status_code == 404


async def test_a_key_is_ignored_on_get_and_may_not_be_too_long(play: Play) -> None:
    made = await play.pay()
    path = f"payments/{made['paymentKey']}"
    first = await play.api("GET", path, headers={"Idempotency-Key": "key-1"})
    await play.confirm(made)
    assert (await play.api("GET", path, headers={"Idempotency-Key": "key-1"})).json() != first.json()
    assert (await keyed(play, "k" * 301, {})).json()["code"] == "INVALID_IDEMPOTENCY_KEY"
    assert (await keyed(play, "k" * 300, {})).json()["code"] == "INVALID_REQUEST"


async def test_a_key_in_flight_is_refused(play: Play) -> None:
    made = await play.pay()
    body = {"paymentKey": made["paymentKey"], "orderId": made["orderId"], "amount": 10000}
    await play.do("faults", {"delay_seconds": 0.05})
    slow, quick = await asyncio.gather(keyed(play, "key-1", body), keyed(play, "key-1", body))
    assert slow.status_code == 200
    assert (quick.status_code, quick.json()["code"]) == (409, "IDEMPOTENT_REQUEST_PROCESSING")
    assert (await keyed(play, "key-1", body)).content == slow.content


async def test_each_api_has_its_limit(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    play = start(requests_per_minute=2)
    moment = 1000.0
    monkeypatch.setattr("scripts.emulator.calls.time.monotonic", lambda: moment)
    answers = [(await play.api("GET", f"payments/key-{number}")).status_code for number in range(3)]
    other = await play.api("GET", "payments/orders/nobody")
    assert answers == [404, 404, 429]
    assert other.status_code == 404
    moment += 60
    assert (await play.api("GET", "payments/key-1")).status_code == 404


async def test_the_limit_is_a_hundred_and_can_be_off(start: Start) -> None:
    limited, free = start(), start(requests_per_minute=0)
    for play, refused in ((limited, 1), (free, 0)):
        answers = [(await play.api("GET", "payments/nobody")).status_code for _ in range(101)]
        assert answers.count(429) == refused


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ({"status": 500}, 500, "FAILED_INTERNAL_SYSTEM_PROCESSING"),
        ({"status": 503}, 503, "COMMON_ERROR"),
        ({"code": "PROVIDER_ERROR"}, 400, "PROVIDER_ERROR"),
        ({"status": 429, "retryAfterSeconds": 2}, 429, "TOO_MANY_REQUESTS"),
    ],
)
async def test_the_next_calls_fail_and_then_no_more(play: Play, fault: dict[str, Any], status: int, code: str) -> None:
    made = await play.pay()
    await play.do("faults", {**fault, "count": 2, "pathPrefix": "/v1/payments/confirm"})
    assert (await play.api("GET", f"payments/{made['paymentKey']}")).status_code == 200
    for _ in range(2):
        answer = await play.confirm(made)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.headers.get("retry-after") == ("2" if "retryAfterSeconds" in fault else None)
    assert (await play.confirm(made)).status_code == 200


async def test_an_answer_can_be_garbage(play: Play) -> None:
    await play.do("faults", {"garbage": True})
    answer = await play.api("GET", "payments/nobody")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    with pytest.raises(ValueError, match="Expecting value"):
        answer.json()


async def test_the_answer_can_be_lost_after_the_call_was_done(play: Play) -> None:
    made = await play.pay()
    body = {"paymentKey": made["paymentKey"], "orderId": made["orderId"], "amount": 10000}
    await play.do("faults", {"drop": True, "after": True})
    with pytest.raises(httpx.RemoteProtocolError):
        await keyed(play, "key-1", body)
    assert (await keyed(play, "key-1", body)).json()["status"] == "DONE"
    await play.told(1)
    (call, replay) = (await play.see("calls"))["calls"]
    assert (call["status"], call["lostStatus"], replay["replayed"]) == (None, 200, True)


async def test_faults_can_be_taken_back_and_have_to_say_something(play: Play) -> None:
    assert "should happen" in (await play.do("faults", {"count": 2}, status=400))["error"]
    await play.do("faults", {"status": 500, "count": 9})
    assert (await play.see("faults"))["faults"] == [{"pathPrefix": "/v1", "count": 9}]
    await play.do("faults", method="DELETE")
    assert (await play.api("GET", "payments/nobody")).status_code == 404


async def test_calls_are_kept_without_the_key(play: Play) -> None:
    await play.confirm(await play.pay())
    shown = await play.see("calls")
    assert shown["count"] == 1
    (call,) = shown["calls"]
    assert (call["method"], call["path"], call["status"]) == ("POST", "/v1/payments/confirm", 200)
    assert SECRET_KEY not in str(shown)
