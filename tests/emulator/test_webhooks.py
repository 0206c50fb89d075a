"""What is sent when, in which form, and how often. The service's own reader and verifier judge it."""

import asyncio
import datetime as dt
import json
import re
from typing import Any

import httpx
import pytest

from scripts.emulator.formats import SEOUL
from scripts.emulator.webhooks import RESEND_MINUTES
from supatoss.toss.delivery import ID_HEADER, RETRIED_COUNT_HEADER, SIGNATURE_HEADER, TIME_HEADER, Delivery, read_body
from supatoss.toss.events import (
    BillingDeleted,
    CancelStatusChanged,
    DepositCallback,
    Event,
    MethodUpdated,
    PaymentStatusChanged,
    PayoutChanged,
    SellerChanged,
    UnknownEvent,
    parse_event,
)
from supatoss.toss.signature import Keys, SignatureCheck, check_signature
from tests.emulator.conftest import POLL_SECONDS, URL, Play, Start, until
from tests.support import OLDER_SECURITY_KEY, SECURITY_KEY

pytestmark = pytest.mark.anyio

TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+09:00")


def event_of(request: httpx.Request) -> Event:
    return parse_event(read_body(request.content).fields)


def body_of(request: httpx.Request) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(request.content)
    return body


def check(request: httpx.Request, *security_keys: str) -> SignatureCheck:
    signature = request.headers.get(SIGNATURE_HEADER)
    delivery = Delivery(
        request.content,
        signature=None if signature is None else signature.encode(),
        transmission_time=request.headers[TIME_HEADER].encode(),
    )
    return check_signature(delivery, Keys(["unused"], list(security_keys)))


async def statuses(play: Play, count: int) -> list[tuple[type[Event], str]]:
    """Type and status of the webhooks that came, deposits first."""
    found = [(type(event_of(request)), body_of(request)) for request in await play.told(count)]
    return sorted(
        ((kind, body["data"]["status"] if "data" in body else body["status"]) for kind, body in found),
        key=lambda pair: pair[0].__name__,
    )


async def test_a_card_payment_is_told_from_done_on(play: Play) -> None:
    made = await play.pay(status="READY")
    await play.step(made, "authenticate")
    await play.told(0)
    await play.confirm(made)
    assert await statuses(play, 1) == [(PaymentStatusChanged, "DONE")]
    await play.step(made, "cancel", {"amount": 1000})
    assert await statuses(play, 1) == [(PaymentStatusChanged, "PARTIAL_CANCELED")]
    await play.step(made, "cancel")
    assert await statuses(play, 1) == [(PaymentStatusChanged, "PARTIAL_CANCELED")]


@pytest.mark.parametrize(("step", "status"), [("abort", "ABORTED"), ("expire", "EXPIRED")])
async def test_a_payment_that_comes_to_nothing_is_told(play: Play, step: str, status: str) -> None:
    await play.step(await play.pay(), step)
    assert await statuses(play, 1) == [(PaymentStatusChanged, status)]


async def test_a_virtual_account_is_told_twice_each_time_but_not_when_overdue(play: Play) -> None:
    made = await play.pay(method="VIRTUAL_ACCOUNT")
    secret = (await play.confirm(made)).json()["secret"]
    told = []
    for step in ("deposit", "deposit-error", "deposit", "deposit-error", "cancel"):
        told.append(await statuses(play, 2))
        await play.step(made, step)
    requests = await play.told(2)
    expected = ["WAITING_FOR_DEPOSIT", "DONE", "WAITING_FOR_DEPOSIT", "DONE", "WAITING_FOR_DEPOSIT"]
    assert told == [[(DepositCallback, status), (PaymentStatusChanged, status)] for status in expected]
    deposit, payment = sorted((body_of(request) for request in requests), key=len, reverse=True)
    assert deposit.keys() == {"createdAt", "secret", "status", "transactionKey", "orderId"}
    assert (deposit["status"], deposit["secret"]) == ("CANCELED", secret)
    assert payment["data"]["secret"] == secret
    assert payment["data"]["lastTransactionKey"] == deposit["transactionKey"]

    overdue = await play.pay("ord-000002", method="VIRTUAL_ACCOUNT")
    await play.confirm(overdue)
    await play.told(2)
    await play.step(overdue, "due-date-passed")
    await play.told(0)


async def test_an_expired_virtual_account_window_sends_no_deposit_callback(play: Play) -> None:
    await play.step(await play.pay(method="VIRTUAL_ACCOUNT"), "expire")
    assert await statuses(play, 1) == [(PaymentStatusChanged, "EXPIRED")]


async def test_the_body_of_a_payment_is_the_payment(play: Play) -> None:
    confirmed = (await play.confirm(await play.pay())).json()
    (request,) = await play.told(1)
    body = body_of(request)
    event = event_of(request)
    assert list(body) == ["createdAt", "eventType", "data"]
    assert body["data"] == confirmed
    assert isinstance(event, PaymentStatusChanged)
    assert event.data.total_amount == 10000
    assert "가상 상품".encode() in request.content


async def test_an_asynchronous_cancel_is_told_with_its_result(play: Play) -> None:
    made = await play.pay(amount=25, currency="USD", method="FOREIGN_EASY_PAY", cancelsLater=True)
    await play.confirm(made)
    await play.told(1)
    await play.step(made, "cancel", {"cancelRequestId": "creq-0001"})
    await play.told(0)
    await play.step(made, "cancel-result")
    cancel, payment = sorted(await play.told(2), key=lambda request: len(request.content))
    event = event_of(cancel)
    assert isinstance(event, CancelStatusChanged)
    assert (event.data.cancel_request_id, event.data.cancel_status) == ("creq-0001", "DONE")
    assert body_of(payment)["data"]["status"] == "CANCELED"
    assert not {"paymentKey", "orderId"} & body_of(cancel)["data"].keys()


async def test_billing_is_silent_until_the_key_is_deleted(play: Play) -> None:
    key = (await play.do("billing-keys", {"customerKey": "customer-1"}))["billingKey"]
    body = {"customerKey": "customer-1", "orderId": "sub-000001", "orderName": "구독", "amount": 9900}
    assert (await play.api("POST", f"billing/{key}", body)).json()["type"] == "BILLING"
    await play.told(0)
    await play.do(f"billing-keys/{key}/delete", {"reason": "가맹점 요청"})
    (request,) = await play.told(1)
    event = event_of(request)
    assert isinstance(event, BillingDeleted)
    assert (event.billing_key, event.reason) == (key, "가맹점 요청")


async def test_deleting_by_the_api_is_told_too(play: Play) -> None:
    issued = await play.api("POST", "billing/authorizations/issue", {"authKey": "auth-1", "customerKey": "customer-1"})
    await play.told(0)
    await play.api("DELETE", f"billing/{issued.json()['billingKey']}")
    assert isinstance(event_of((await play.told(1))[0]), BillingDeleted)


async def test_settlements_are_silent(play: Play) -> None:
    made = await play.pay()
    await play.confirm(made)
    await play.told(1)
    await play.do(f"settlements/{made['paymentKey']}")
    await play.told(0)


async def test_unsigned_headers(play: Play) -> None:
    await play.confirm(await play.pay())
    (request,) = await play.told(1)
    assert str(request.url) == URL
    assert request.method == "POST"
    assert request.headers["content-type"] == "application/json"
    assert TIME.fullmatch(request.headers[TIME_HEADER])
    assert request.headers[RETRIED_COUNT_HEADER] == "0"
    assert re.fullmatch(r"whtrans_a[0-7][0-9a-hjkmnp-tv-z]{25}", request.headers[ID_HEADER])
    assert SIGNATURE_HEADER not in request.headers
    created_at = body_of(request)["createdAt"]
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,5}[1-9])?", created_at)


@pytest.mark.parametrize("status", ["COMPLETED", "FAILED"])
async def test_a_payout_is_signed_with_every_key(play: Play, status: str) -> None:
    body = {"amount": 125000, "destination": "seller-77", "status": status}
    payout = await play.do("payouts", body)
    (request,) = await play.told(1)
    event = event_of(request)
    assert isinstance(event, PayoutChanged)
    assert event.entity_body.status == status
    assert (event.entity_body.id, bool(event.entity_body.error)) == (payout["id"], status == "FAILED")
    assert b'"value":125000.0' in request.content
    assert TIME.fullmatch(body_of(request)["createdAt"])
    assert request.headers[SIGNATURE_HEADER].count("v1:") == 2
    assert check(request, SECURITY_KEY) is SignatureCheck.V1_TEXT_KEY
    assert check(request, OLDER_SECURITY_KEY) is SignatureCheck.V1_TEXT_KEY
    assert check(request, "0" * 64) is SignatureCheck.INVALID


async def test_a_payout_that_goes_on_is_not_told(play: Play) -> None:
    await play.do("payouts", {"amount": 1, "destination": "seller-77", "status": "REQUESTED"})
    await play.told(0)


async def test_the_security_key_can_be_decoded_first(start: Start) -> None:
    play = start(decode_security_key=True)
    await play.do("sellers", {"id": "seller-77", "status": "KYC_REQUIRED"})
    (request,) = await play.told(1)
    assert isinstance(event_of(request), SellerChanged)
    assert check(request, SECURITY_KEY) is SignatureCheck.V1_DECODED_KEY


async def test_without_a_security_key_nothing_pretends_to_be_signed(start: Start) -> None:
    play = start(security_keys=[])
    error = await play.do("payouts", {"amount": 1, "destination": "seller-77"}, status=409)
    assert "--security-key" in error["error"]
    await play.told(0)


async def test_any_event_can_be_sent(play: Play) -> None:
    data = {"customerKey": "customer-1", "methodKey": "mth_1", "status": "ENABLED"}
    await play.do("events", {"body": {"eventType": "METHOD_UPDATED", "createdAt": "2026-04-21T08:00:00", "data": data}})
    await play.do("events", {"body": {"eventType": "SOMETHING_NEW"}})
    await play.do("events", {"text": "no JSON at all"})
    method, new, garbage = await play.told(3)
    assert isinstance(event_of(method), MethodUpdated)
    assert isinstance(event_of(new), UnknownEvent)
    assert garbage.content == b"no JSON at all"


async def test_seven_resends_with_fourfold_waits(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    sleep = asyncio.sleep

    async def noting(seconds: float) -> None:
        if seconds != POLL_SECONDS:
            waits.append(seconds)
        await sleep(0)

    play.receiver.answers += [500] * 7
    monkeypatch.setattr("scripts.emulator.webhooks.asyncio.sleep", noting)
    await play.do("payouts", {"amount": 1, "destination": "seller-77"})
    requests = await play.told(8)
    minute = 0.000001
    assert waits == [minutes * minute for minutes in (1, 4, 16, 64, 256, 1024, 4096)]
    assert RESEND_MINUTES == (1, 4, 16, 64, 256, 1024, 4096)
    assert [request.headers[RETRIED_COUNT_HEADER] for request in requests] == list("01234567")
    assert len({request.content for request in requests}) == 1
    assert len({request.headers[ID_HEADER] for request in requests}) == 1
    assert {check(request, SECURITY_KEY) for request in requests} == {SignatureCheck.V1_TEXT_KEY}
    (delivery,) = (await play.see("deliveries"))["deliveries"]
    assert delivery["state"] == "success"
    assert [attempt["status"] for attempt in delivery["attempts"]] == [500] * 7 + [200]


async def test_after_the_seventh_resend_toss_gives_up(play: Play) -> None:
    play.receiver.answers += [503] * 100
    await play.confirm(await play.pay())
    await play.told(8)
    (delivery,) = (await play.see("deliveries"))["deliveries"]
    assert (delivery["state"], len(delivery["attempts"])) == ("failed", 8)


async def test_a_resend_is_stamped_with_its_own_time(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    times = [dt.datetime(2026, 3, 14, 10, 21 + number, 8, tzinfo=SEOUL) for number in range(2)]
    monkeypatch.setattr("scripts.emulator.webhooks.now", iter(times).__next__)
    play.receiver.answers.append(500)
    await play.confirm(await play.pay())
    requests = await play.told(2)
    assert [request.headers[TIME_HEADER] for request in requests] == [
        "2026-03-14T10:21:08+09:00",
        "2026-03-14T10:22:08+09:00",
    ]


async def redirect(_request: httpx.Request) -> httpx.Response:
    return httpx.Response(307, headers={"location": "http://shop.test/elsewhere"})


async def never(_request: httpx.Request) -> httpx.Response:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize(
    ("answer", "status"),
    [(201, 201), (202, 202), (204, 204), (redirect, 307), (httpx.ConnectError("refused"), None)],
)
async def test_only_200_counts(play: Play, answer: Any, status: int | None) -> None:
    play.receiver.answers.append(answer)
    await play.confirm(await play.pay())
    requests = await play.told(2)
    assert {str(request.url) for request in requests} == {URL}
    (delivery,) = (await play.see("deliveries"))["deliveries"]
    assert delivery["attempts"][0]["status"] == status


async def test_an_answer_that_is_too_late_does_not_count(start: Start) -> None:
    play = start(answer_seconds=0.02)
    play.receiver.answers.append(never)
    await play.confirm(await play.pay())
    await play.told(2)
    (delivery,) = (await play.see("deliveries"))["deliveries"]
    assert (delivery["attempts"][0]["error"], delivery["state"]) == ("no answer within 0.02 s", "success")


async def test_the_button_makes_one_attempt_and_ends_the_ladder(start: Start) -> None:
    play = start(minute_seconds=3600.0)
    play.receiver.answers += [500, 500]
    await play.confirm(await play.pay())
    await until(lambda: any(delivery.attempts for delivery in play.emulator.webhooks.deliveries.values()))
    (delivery,) = (await play.see("deliveries?state=sending"))["deliveries"]
    pressed = await play.do(f"deliveries/{delivery['id']}/resend")
    assert (pressed["state"], len(pressed["attempts"])) == ("failed", 2)
    again = await play.do(f"deliveries/{delivery['id']}/resend")
    assert again["state"] == "success"
    requests = await play.told(3)
    assert [request.headers[RETRIED_COUNT_HEADER] for request in requests] == ["0", "1", "2"]
    assert {request.headers[ID_HEADER] for request in requests} == {delivery["id"]}
    assert "no delivery" in (await play.do("deliveries/nothing/resend", status=409))["error"]


async def test_every_url_gets_its_own_delivery(start: Start) -> None:
    play = start(webhook_urls=[])
    await play.do("webhooks", {"url": "http://one.test/", "eventTypes": ["DEPOSIT_CALLBACK"]})
    await play.do("webhooks", {"url": "http://two.test/"})
    await play.confirm(await play.pay(method="VIRTUAL_ACCOUNT"))
    requests = await play.told(3)
    assert sorted(request.url.host for request in requests) == ["one.test", "two.test", "two.test"]
    assert len({request.headers[ID_HEADER] for request in requests}) == 3
    await play.do("webhooks", method="DELETE")
    await play.step(await play.pay("ord-000002"), "approve")
    await play.told(0)


async def test_lost_webhooks_can_be_found_and_sent_later(play: Play) -> None:
    await play.do("webhooks/suppress", {"count": 1})
    await play.confirm(await play.pay())
    await play.told(0)
    (lost,) = (await play.see("deliveries?state=suppressed"))["deliveries"]
    await play.confirm(await play.pay("ord-000002"))
    await play.told(1)
    await play.do(f"deliveries/{lost['id']}/resend")
    (late,) = await play.told(1)
    assert late.content.decode() == lost["body"]
