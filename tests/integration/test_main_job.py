"""A signed delivery becomes rows: real HTTP, the real process, the real SQL on PGlite."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from supatoss.store.schema import SCHEMA_VERSION
from supatoss.toss.delivery import ID_HEADER, RETRIED_COUNT_HEADER, SIGNATURE_HEADER, TIME_HEADER
from tests.integration.conftest import Stack
from tests.support import (
    GUIDE_BILLING_KEY,
    GUIDE_DEPOSIT,
    GUIDE_PAYMENT,
    TRANSMISSION_TIME,
    example,
    examples,
    raw_body,
    signed_headers,
    vectors,
)

PATHS = ("/webhooks/toss", "/functions/v1/webhook", "/webhooks/toss/", "/functions/v1/webhook/")


def payment(order: str, status: str = "DONE", **data: Any) -> dict[str, Any]:
    return {
        "eventType": "PAYMENT_STATUS_CHANGED",
        "createdAt": "2026-03-14T10:21:08.40512",
        "data": {
            "paymentKey": f"tgen-{order}",
            "orderId": order,
            "orderName": "가상 상품 외 1건",
            "status": status,
            "totalAmount": 9900,
            "approvedAt": "2026-03-14T10:21:07+09:00",
            **data,
        },
    }


@pytest.mark.parametrize("path", PATHS)
def test_a_delivery_is_stored_once_however_often_it_comes(stack: Stack, path: str) -> None:
    order = f"once{path.replace('/', '-')}"
    first = stack.post(payment(order), path=path)
    assert first.status_code == 200
    assert first.json()["status"] == "created"
    again = stack.post(payment(order), path=path)
    assert again.status_code == 200
    assert again.json() == {**first.json(), "status": "duplicate"}
    event = stack.row(f"webhook_events?order_id=eq.{order}")
    assert (event["id"], event["status"], event["processed"], event["delivery_count"]) == (
        first.json()["event"],
        "processed",
        True,
        2,
    )
    row = stack.row(f"payments?order_id=eq.{order}")
    assert (row["payment_status"], row["amount"], row["order_name"]) == ("DONE", 9900, "가상 상품 외 1건")


def test_sixteen_deliveries_of_one_event_at_once_are_one_row(stack: Stack) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: stack.post(payment("at-once")), range(16)))
    assert {answer.status_code for answer in answers} == {200}
    assert sorted(answer.json()["status"] for answer in answers) == ["created"] + ["duplicate"] * 15
    assert stack.row("webhook_events?order_id=eq.at-once")["delivery_count"] == 16


def test_the_guide_s_payment_is_done(stack: Stack) -> None:
    assert stack.post(GUIDE_PAYMENT).status_code == 200
    row = stack.row("payments?payment_key=eq.tviva20240101000001...")
    assert (row["order_id"], row["payment_status"], row["amount"]) == ("order_123456", "DONE", 9900)
    assert dt.datetime.fromisoformat(row["approved_at"]) == dt.datetime(2024, 1, 1, 1, tzinfo=dt.UTC)
    event = stack.row("webhook_events?payment_key=eq.tviva20240101000001...")
    assert event["payload"] == GUIDE_PAYMENT
    assert event["proof"] == "signature"


def test_the_guide_s_deposit_waits_for_toss(stack: Stack) -> None:
    answer = stack.post(GUIDE_DEPOSIT)
    assert (answer.status_code, answer.json()["event_status"]) == (200, "pending")
    event = stack.row("webhook_events?event_type=eq.VIRTUAL_ACCOUNT_DEPOSIT")
    assert (event["status"], event["reason"], event["processed"]) == ("pending", "check_deposit", False)


def test_the_guide_s_billing_key_is_stored_and_its_deletion_cancels(stack: Stack) -> None:
    assert stack.post(GUIDE_BILLING_KEY).status_code == 200
    row = stack.row("subscriptions?customer_key=eq.customer_123")
    assert (row["billing_key"], row["status"]) == ("billing_key_...", "ACTIVE")
    deleted = {
        "eventType": "BILLING_KEY_DELETED",
        "data": {"billingKey": "billing_key_...", "customerKey": "customer_123"},
    }
    assert stack.post(deleted).status_code == 200
    assert stack.row("subscriptions?customer_key=eq.customer_123")["status"] == "CANCELED"


def test_canceled_and_failed_of_the_guide(stack: Stack) -> None:
    stack.post(payment("guide-canceled"))
    stack.post(payment("guide-canceled", "CANCELED", canceledAt="2026-03-15T10:00:00+09:00"))
    row = stack.row("payments?order_id=eq.guide-canceled")
    assert row["payment_status"] == "CANCELED"
    assert dt.datetime.fromisoformat(row["canceled_at"]) == dt.datetime(2026, 3, 15, 1, tzinfo=dt.UTC)
    failure = {"code": "REJECT_CARD_COMPANY", "message": "결제 승인이 거절되었습니다."}
    stack.post(payment("guide-failed", "FAILED", approvedAt=None, failure=failure))
    row = stack.row("payments?order_id=eq.guide-failed")
    assert (row["payment_status"], row["failure_code"], row["failure_message"]) == ("FAILED", *failure.values())


def test_a_virtual_account_waits_with_its_account(stack: Stack) -> None:
    body = example("payment_va_waiting_for_deposit").body
    assert stack.post(body).json()["event_status"] == "processed"
    row = stack.row(f"payments?order_id=eq.{body['data']['orderId']}")
    assert row["payment_status"] == "WAITING_FOR_DEPOSIT"
    assert row["virtual_account"] == body["data"]["virtualAccount"]
    assert "secret" not in row


SIGNED = [item.name for item in examples() if SIGNATURE_HEADER in item.headers]


@pytest.mark.parametrize("name", SIGNED)
def test_the_signed_examples_of_toss(stack: Stack, name: str) -> None:
    item = example(name)
    answer = stack.post(item.raw, item.headers)
    if "bad_signature" in name:
        assert (answer.status_code, answer.text) == (401, "Invalid signature")
        assert stack.rows(f"settlements?settlement_key=eq.payout:{item.body['entityBody']['id']}") == []
        return
    assert answer.status_code == 200
    event = stack.row(f"webhook_events?id=eq.{answer.json()['event']}")
    assert event["payload"] == item.body
    assert event["transmission_id"] == item.headers[ID_HEADER]
    assert event["transmission_retried_count"] == int(item.headers[RETRIED_COUNT_HEADER])
    if name.startswith("payout"):
        body = item.body["entityBody"]
        row = stack.row(f"settlements?settlement_key=eq.payout:{body['id']}")
        assert (row["status"], float(row["amount"])) == (body["status"], body["amount"]["value"])
    else:
        assert (event["status"], event["reason"]) == ("ignored", "no_projection")


@pytest.mark.parametrize("vector", vectors(), ids=lambda vector: vector.name)
@pytest.mark.parametrize("derivation", ["header_if_ascii_key", "header_if_hex_decoded_key"])
def test_every_vector(stack: Stack, vector: Any, derivation: str) -> None:
    headers = {TIME_HEADER: vector.transmission_time, SIGNATURE_HEADER: getattr(vector, derivation)}
    assert stack.post(vector.raw_body_utf8.encode(), headers).status_code == 200
    shown = {TIME_HEADER: vector.transmission_time, SIGNATURE_HEADER: vector.signature_header}
    expected = 200 if vector.expected_valid else 401
    assert stack.post(vector.raw_body_utf8.encode(), shown).status_code == expected


@pytest.mark.parametrize("item", examples(), ids=lambda item: item.name)
def test_every_example_is_stored_when_it_is_signed(stack: Stack, item: Any) -> None:
    answer = stack.post(item.raw)
    assert answer.status_code == 200
    event = stack.row(f"webhook_events?id=eq.{answer.json()['event']}")
    assert event["payload"] == item.body
    assert event["status"] in ("processed", "ignored", "pending")


@pytest.mark.parametrize("name", [item.name for item in examples() if SIGNATURE_HEADER not in item.headers])
def test_an_unsigned_delivery_is_refused(stack: Stack, name: str) -> None:
    item = example(name)
    before = len(stack.rows("webhook_events?select=id&limit=1000"))
    answer = stack.post(item.raw, item.headers)
    assert (answer.status_code, answer.text) == (401, "Invalid signature")
    assert len(stack.rows("webhook_events?select=id&limit=1000")) == before


def test_a_changed_byte_is_refused(stack: Stack) -> None:
    raw = raw_body(payment("forged"))
    answer = stack.post(raw.replace(b"9900", b"9901"), signed_headers(raw))
    assert (answer.status_code, answer.text) == (401, "Invalid signature")
    assert stack.rows("webhook_events?order_id=eq.forged") == []


def test_settlement_completed_marks_the_payment(stack: Stack) -> None:
    stack.post(payment("settled"))
    stack.post({"eventType": "SETTLEMENT_COMPLETED", "data": {"orderId": "settled", "amount": 9600, "fee": 300}})
    assert stack.row("payments?order_id=eq.settled")["settled_at"] is not None
    assert stack.row("settlements?order_id=eq.settled")["status"] == "COMPLETED"


def test_an_unknown_type_and_a_malformed_event_are_kept(stack: Stack) -> None:
    unknown = stack.post({"eventType": "SOMETHING_NEW", "data": {"x": 1.5}}).json()
    assert unknown["event_status"] == "ignored"
    malformed = stack.post({"eventType": "PAYMENT_STATUS_CHANGED", "data": {"status": "DONE", "totalAmount": 1}}).json()
    assert malformed["event_status"] == "failed"
    event = stack.row(f"webhook_events?id=eq.{malformed['event']}")
    assert event["reason"] == "malformed"
    assert "paymentKey or orderId is needed" in event["last_error"]


def test_text_that_postgresql_cannot_hold_is_stored_all_the_same(stack: Stack) -> None:
    raw = rb'{"eventType":"SOMETHING_NEW","data":{"nul":"a\u0000b","half":"\ud800"}}'
    answer = stack.post(raw)
    assert answer.status_code == 200
    event = stack.row(f"webhook_events?id=eq.{answer.json()['event']}")
    assert event["payload"]["data"] == {"nul": "a\ufffdb", "half": "\ufffd"}


def test_a_number_that_postgresql_cannot_hold_is_stored_all_the_same(stack: Stack) -> None:
    answer = stack.post(b'{"eventType":"SOMETHING_NEW","data":{"big":1e200000}}')
    assert (answer.status_code, answer.json()["event_status"]) == (200, "ignored")
    event = stack.row(f"webhook_events?id=eq.{answer.json()['event']}")
    assert event["payload"]["data"] == {"big": "1e200000"}


def test_cents(stack: Stack) -> None:
    stack.post(payment("cents", totalAmount=12.1, currency="USD", balanceAmount=12.1))
    row = stack.row("payments?order_id=eq.cents")
    assert (row["amount"], row["currency"]) == (12.1, "USD")


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"", 400, "not_json"),
        (b"{", 400, "not_json"),
        (b"\xff\xfe", 400, "not_utf8"),
        (b"[]", 400, "not_an_object"),
        (b"null", 400, "not_an_object"),
        (b'{"a":"' + b"x" * 262_144 + b'"}', 413, "too_large"),
    ],
    ids=["empty", "half", "not-utf8", "array", "null", "large"],
)
def test_what_is_not_a_json_object_is_refused_clearly(stack: Stack, body: bytes, status: int, error: str) -> None:
    answer = stack.post(body)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_a_body_as_long_as_allowed_is_stored(stack: Stack) -> None:
    body = {"eventType": "SOMETHING_NEW", "data": {"padding": ""}}
    body["data"] = {"padding": "x" * (262_144 - len(raw_body(body)))}
    assert len(raw_body(body)) == 262_144
    assert stack.post(body).status_code == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD"])
def test_other_methods_are_not_allowed(stack: Stack, method: str) -> None:
    answer = stack.http.request(method, f"{stack.service_url}/webhooks/toss")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


def test_health(stack: Stack) -> None:
    assert stack.http.get(f"{stack.service_url}/healthz").json() == {"status": "ok"}
    assert stack.http.get(f"{stack.service_url}/readyz").json() == {"status": "ready", "schema_version": SCHEMA_VERSION}


def test_the_transmission_time_orders_events_that_tell_no_time(stack: Stack) -> None:
    raw = raw_body(
        {"eventType": "PAYMENT_STATUS_CHANGED", "data": {"paymentKey": "k", "orderId": "no-time", "status": "CANCELED"}}
    )
    answer = stack.post(raw, signed_headers(raw, sent_at=TRANSMISSION_TIME))
    event = stack.row(f"webhook_events?id=eq.{answer.json()['event']}")
    assert dt.datetime.fromisoformat(event["occurred_at"]) == dt.datetime.fromisoformat(TRANSMISSION_TIME)
