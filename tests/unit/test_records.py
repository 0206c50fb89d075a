import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import example as also
from hypothesis import given

from supatoss.inbox.event import EventReason, EventStatus, NewEvent, Proof
from supatoss.inbox.interpret import interpret
from supatoss.toss.delivery import Delivery, read_body
from supatoss.toss.events import parse_event
from tests.support import Example, examples, raw_body
from tests.unit.bodies import any_body, event_body, payment_body

RECEIVED_AT = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
SENT_AT = "2026-03-14T10:30:00+09:00"
SENT_AT_UTC = "2026-03-14T01:30:00+00:00"


def new_event(body: dict[str, Any], sent_at: bytes | None = None, **delivery: Any) -> NewEvent:
    raw = raw_body(body)
    read = read_body(raw)
    event = parse_event(read.fields)
    sent = Delivery(raw, b"signature", sent_at, **delivery)
    return NewEvent(event, read, interpret(event), Proof.SIGNATURE, RECEIVED_AT, sent)


def record_of(body: dict[str, Any], sent_at: str | None = SENT_AT, **delivery: Any) -> dict[str, Any]:
    return new_event(body, sent_at.encode() if sent_at is not None else None, **delivery).to_record()


class TestTimeOfOccurrence:
    CREATED = "2026-03-14T10:00:00.5"
    OWN = "2026-03-14T10:10:00+09:00"

    @pytest.mark.parametrize(
        ("created_at", "own_time", "sent_at", "expected"),
        [
            (CREATED, OWN, SENT_AT, "2026-03-14T01:00:00.500000+00:00"),
            (CREATED, None, SENT_AT, "2026-03-14T01:00:00.500000+00:00"),
            (CREATED, None, None, "2026-03-14T01:00:00.500000+00:00"),
            (None, OWN, SENT_AT, "2026-03-14T01:10:00+00:00"),
            ("garbage", OWN, SENT_AT, "2026-03-14T01:10:00+00:00"),
            (None, OWN, None, "2026-03-14T01:10:00+00:00"),
            (None, None, SENT_AT, SENT_AT_UTC),
            (None, "garbage", SENT_AT, SENT_AT_UTC),
            (None, None, "garbage", RECEIVED_AT.isoformat()),
            (None, None, "", RECEIVED_AT.isoformat()),
            (None, None, None, RECEIVED_AT.isoformat()),
        ],
    )
    @pytest.mark.parametrize(
        ("event_type", "data", "own_field"),
        [
            ("PAYMENT_STATUS_CHANGED", {"orderId": "o", "status": "DONE"}, "approvedAt"),
            ("PAYMENT_STATUS_CHANGED", {"orderId": "o", "status": "CANCELED"}, "canceledAt"),
            ("PAYMENT_STATUS_CHANGED", {"orderId": "o", "status": "PARTIAL_CANCELED"}, "canceledAt"),
            ("VIRTUAL_ACCOUNT_ISSUED", {"orderId": "o"}, "requestedAt"),
            ("VIRTUAL_ACCOUNT_DEPOSIT", {"orderId": "o"}, "depositedAt"),
            ("CANCEL_STATUS_CHANGED", {"transactionKey": "t"}, "canceledAt"),
            ("BILLING_KEY_ISSUED", {"billingKey": "b", "customerKey": "c"}, "issuedAt"),
            ("BILLING_KEY_DELETED", {"billingKey": "b"}, "deletedAt"),
            ("SETTLEMENT_COMPLETED", {"orderId": "o"}, "settledAt"),
            ("SETTLEMENT_COMPLETED", {"orderId": "o"}, "completedAt"),
        ],
    )
    def test_is_created_at_then_its_own_then_when_sent_then_when_received(
        self,
        event_type: str,
        data: dict[str, Any],
        own_field: str,
        created_at: str | None,
        own_time: str | None,
        sent_at: str | None,
        expected: str,
    ) -> None:
        body = {"createdAt": created_at, **event_body(event_type, **data, **{own_field: own_time})}
        assert record_of(body, sent_at)["occurred_at"] == expected

    @pytest.mark.parametrize("status", ["WAITING_FOR_DEPOSIT", "ABORTED", "EXPIRED", "FAILED", "READY", "IN_PROGRESS"])
    def test_other_times_of_a_payment_do_not_place_an_event(self, status: str) -> None:
        body = payment_body(status=status, requestedAt=self.OWN, approvedAt=self.OWN, canceledAt=self.OWN)
        assert record_of(body)["occurred_at"] == SENT_AT_UTC

    def test_a_cancel_is_placed_by_the_time_of_its_cancel_and_not_of_its_approval(self) -> None:
        cancels = [{"canceledAt": "2026-03-14T10:20:00+09:00"}]
        body = payment_body(status="CANCELED", approvedAt=self.OWN, cancels=cancels)
        assert record_of(body)["occurred_at"] == "2026-03-14T01:20:00+00:00"

    def test_an_event_without_delivery_occurred_when_it_was_received(self) -> None:
        read = read_body(b'{"eventType":"NEW"}')
        event = parse_event(read.fields)
        record = NewEvent(event, read, interpret(event), Proof.OPERATOR, RECEIVED_AT).to_record()
        assert record["occurred_at"] == RECEIVED_AT.isoformat()
        assert record["proof"] == "operator"
        assert record["transmission_time"] is None


class TestRecord:
    def test_holds_all_that_the_database_takes(self) -> None:
        body = payment_body(status="DONE", orderName="가상 상품")
        record = record_of(body, transmission_id="whtrans_a01", retried_count=3, user_agent="Toss/1.0")
        assert record == {
            "event_key": read_body(raw_body(body)).key,
            "event_type": "PAYMENT_STATUS_CHANGED",
            "payload": raw_body(body).decode(),
            "proof": "signature",
            "status": "processed",
            "reason": None,
            "last_error": None,
            "payment_key": "key-1",
            "order_id": "order-1",
            "occurred_at": SENT_AT_UTC,
            "is_observation": False,
            "change": {"kind": "payment", "status": "DONE", "order_name": "가상 상품"},
            "claim": None,
            "transmission_id": "whtrans_a01",
            "transmission_time": SENT_AT_UTC,
            "transmission_retried_count": 3,
            "user_agent": "Toss/1.0",
        }

    def test_of_a_malformed_event_keeps_body_and_problem(self) -> None:
        record = record_of({"eventType": "BILLING_DELETED"})
        assert record["status"] == "failed"
        assert record["reason"] == "malformed"
        assert record["last_error"] == "billingKey: Field required"
        assert record["payload"] == '{"eventType":"BILLING_DELETED"}'
        assert record["change"] is None

    @pytest.mark.parametrize("item", examples(), ids=lambda item: item.name)
    def test_of_every_example_is_json_and_placed_by_created_at(self, item: Example) -> None:
        record = record_of(item.body)
        assert json.loads(json.dumps(record, allow_nan=False)) == record
        assert record["occurred_at"].startswith("2026-0")
        assert record["occurred_at"] != SENT_AT_UTC
        assert record["status"] in ("processed", "ignored", "pending")


class TestSecrets:
    @pytest.mark.parametrize(
        "body",
        [
            payment_body(status="DONE", secret="hidden", metadata={"a": "hidden"}),
            event_body("BILLING_KEY_ISSUED", billingKey="hidden", customerKey="c"),
            event_body("BILLING_KEY_DELETED", billingKey="hidden"),
            event_body("BILLING_DELETED", billingKey="hidden"),
        ],
        ids=lambda body: body.get("eventType", "DEPOSIT_CALLBACK"),
    )
    def test_are_in_the_change_and_in_no_repr(self, body: dict[str, Any]) -> None:
        event = new_event(body)
        assert "hidden" in json.dumps(event.to_record()["change"])
        for shown in (event, event.meaning, event.body):
            assert "hidden" not in repr(shown)
            assert "hidden" not in str(shown)

    @pytest.mark.parametrize(
        "body",
        [
            payment_body(status="DONE", secret="hidden"),
            {"secret": "hidden", "status": "DONE", "transactionKey": "tx-1", "orderId": "order-1"},
            {"secret": "hidden", "status": "WAITING_FOR_DEPOSIT", "transactionKey": "tx-1", "orderId": "order-1"},
            event_body("VIRTUAL_ACCOUNT_DEPOSIT", orderId="o", secret="hidden"),
        ],
        ids=lambda body: body.get("eventType", "DEPOSIT_CALLBACK"),
    )
    def test_of_payments_are_in_no_change_and_in_no_repr(self, body: dict[str, Any]) -> None:
        event = new_event(body)
        assert "hidden" not in json.dumps(event.to_record()["change"])
        for shown in (event, event.meaning, event.body):
            assert "hidden" not in f"{shown!r} {shown}"

    def test_are_not_in_the_repr_of_the_delivery(self) -> None:
        delivery = Delivery(b'{"secret":"hidden"}', b"hidden", b"now", "whtrans_a01", 1)
        assert "hidden" not in repr(delivery)
        assert "whtrans_a01" in repr(delivery)


@given(any_body())
@also(event_body("SETTLEMENT_COMPLETED", orderId="o", fee=1e-300))
@also(event_body("PAYMENT_STATUS_CHANGED", orderId="o", status="DONE", metadata={"a": 1e300}))
def test_every_event_has_a_meaning_and_a_record_that_is_json(body: dict[str, Any]) -> None:
    raw = json.dumps(body).encode()
    read = read_body(raw)
    event = parse_event(read.fields)
    meaning = interpret(event)
    record = NewEvent(
        event, read, meaning, Proof.SIGNATURE, RECEIVED_AT, Delivery(raw, b"", SENT_AT.encode())
    ).to_record()
    text = json.dumps(record, allow_nan=False, ensure_ascii=False)
    text.encode()
    assert "\\u0000" not in text.replace("\\\\", "")
    assert (meaning.change is None) or meaning.status in (EventStatus.PROCESSED, EventStatus.PENDING)
    assert (meaning.error is None) is (meaning.reason not in (EventReason.MALFORMED, EventReason.UNKNOWN_STATUS))
