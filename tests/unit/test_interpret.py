import datetime as dt
from decimal import Decimal
from typing import Any, ClassVar

import pytest

from supatoss.inbox.event import EventReason, EventStatus, Meaning
from supatoss.inbox.interpret import interpret
from supatoss.toss.delivery import read_body
from supatoss.toss.events import TYPES, parse_event
from supatoss.toss.fields import PaymentStatus
from tests.support import GUIDE_BILLING_KEY, GUIDE_DEPOSIT, GUIDE_PAYMENT, example, raw_body
from tests.unit.bodies import event_body, payment_body


def meaning_of(body: dict[str, Any]) -> Meaning:
    return interpret(parse_event(read_body(raw_body(body)).fields))


def change_of(body: dict[str, Any]) -> dict[str, Any]:
    meaning = meaning_of(body)
    assert meaning.change is not None
    assert meaning.error is None
    return dict(meaning.change)


class TestPayments:
    def test_a_card_payment_of_toss(self) -> None:
        meaning = meaning_of(example("payment_card_done").body)
        assert meaning.status is EventStatus.PROCESSED
        assert meaning.reason is None
        assert (meaning.payment_key, meaning.order_id) == ("tacme20260314102040Qw7Zx", "ord-20260314-000187")
        assert meaning.occurred_at == dt.datetime(2026, 3, 14, 1, 21, 7, tzinfo=dt.UTC)
        assert meaning.change == {
            "kind": "payment",
            "status": "DONE",
            "amount": "37400",
            "balance": "37400",
            "currency": "KRW",
            "method": "카드",
            "order_name": "가상 상품 외 1건",
            "receipt_url": "https://dashboard.tosspayments.com/receipt/redirection"
            "?transactionId=tacme20260314102040Qw7Zx&ref=PX",
            "merchant_id": "tacmeshop01",
            "requested_at": "2026-03-14T01:20:40+00:00",
            "approved_at": "2026-03-14T01:21:07+00:00",
        }

    def test_the_payment_of_the_guide(self) -> None:
        meaning = meaning_of(GUIDE_PAYMENT)
        assert meaning.status is EventStatus.PROCESSED
        assert (meaning.payment_key, meaning.order_id) == ("tviva20240101000001...", "order_123456")
        assert meaning.change == {
            "kind": "payment",
            "status": "DONE",
            "amount": "9900",
            "approved_at": "2024-01-01T01:00:00+00:00",
        }

    @pytest.mark.parametrize("status", PaymentStatus)
    def test_every_status_is_passed_on(self, status: PaymentStatus) -> None:
        meaning = meaning_of(payment_body(status=status.value))
        assert meaning.status is EventStatus.PROCESSED
        assert meaning.change == {"kind": "payment", "status": status.value}
        assert (meaning.payment_key, meaning.order_id, meaning.occurred_at) == ("key-1", "order-1", None)

    @pytest.mark.parametrize("status", ["SOMETHING_NEW", "done", " DONE", "is_canceled", "name", "X" * 60])
    def test_a_status_that_toss_added_needs_a_person(self, status: str) -> None:
        meaning = meaning_of(payment_body(status=status))
        assert meaning.status is EventStatus.FAILED
        assert meaning.reason is EventReason.UNKNOWN_STATUS
        assert meaning.change is None
        assert (meaning.payment_key, meaning.order_id) == ("key-1", "order-1")
        assert meaning.error == (
            f"data.status: {status[:50]} is none of READY, IN_PROGRESS, WAITING_FOR_DEPOSIT, DONE, CANCELED, "
            "PARTIAL_CANCELED, ABORTED, EXPIRED, FAILED"
        )

    @pytest.mark.parametrize("status", [None, "", 5])
    def test_a_payment_without_status_needs_a_person(self, status: object) -> None:
        meaning = meaning_of(payment_body(status=status))
        assert (meaning.status, meaning.reason, meaning.change) == (EventStatus.FAILED, EventReason.MALFORMED, None)
        assert meaning.error is not None
        assert meaning.error.startswith("data.status: missing is none of READY, ")
        assert (meaning.payment_key, meaning.order_id) == ("key-1", "order-1")

    @pytest.mark.parametrize("status", ["CANCELED", "PARTIAL_CANCELED"])
    def test_canceled_at_is_the_time_of_the_last_cancel(self, status: str) -> None:
        cancels: list[dict[str, Any]] = [
            {"transactionKey": "tx-1", "canceledAt": "2026-03-17T09:30:00+09:00", "cancelAmount": 2000.0},
            {"transactionKey": "tx-2", "canceledAt": "2026-03-18T15:10:00+09:00", "cancelAmount": 12.5},
            {"transactionKey": "tx-0", "canceledAt": None},
            {"transactionKey": "tx-3", "canceledAt": "garbage"},
        ]
        meaning = meaning_of(payment_body(status=status, cancels=cancels))
        assert meaning.occurred_at == dt.datetime(2026, 3, 18, 6, 10, tzinfo=dt.UTC)
        assert meaning.change == {
            "kind": "payment",
            "status": status,
            "canceled_at": "2026-03-18T06:10:00+00:00",
            "cancels": [{**cancels[0], "cancelAmount": 2000}, *cancels[1:]],
        }

    def test_canceled_at_of_the_payment_itself_goes_before_its_cancels(self) -> None:
        cancels = [{"canceledAt": "2026-03-18T15:10:00+09:00"}]
        change = change_of(payment_body(status="CANCELED", cancels=cancels, canceledAt="2026-03-19T09:00:00"))
        assert change["canceled_at"] == "2026-03-19T00:00:00+00:00"

    @pytest.mark.parametrize("status", [status for status in PaymentStatus if not status.is_canceled])
    def test_a_payment_that_is_not_cancelled_has_no_canceled_at(self, status: PaymentStatus) -> None:
        cancels = [{"canceledAt": "2026-03-18T15:10:00+09:00", "cancelStatus": "ABORTED"}]
        change = change_of(payment_body(status=status.value, cancels=cancels, canceledAt="2026-03-19T09:00:00"))
        assert "canceled_at" not in change
        assert change["cancels"] == cancels

    def test_a_failed_card_of_toss_tells_why(self) -> None:
        change = change_of(example("payment_card_aborted").body)
        assert change["status"] == "ABORTED"
        assert change["failure_code"] == "REJECT_CARD_COMPANY"
        assert change["failure_message"] == "결제 승인이 거절되었습니다."

    @pytest.mark.parametrize(
        "data",
        [
            {"failure": {"code": "C", "message": "M"}},
            {"failureCode": "C", "failureMessage": "M"},
            {"failure": {"code": "C", "message": "M"}, "failureCode": "other", "failureMessage": "other"},
            {"failure": {"code": "C"}, "failureMessage": "M"},
            {"failure": {"code": 5, "message": ""}, "failureCode": "C", "failureMessage": "M"},
            {"failure": "none", "failureCode": "C", "failureMessage": "M"},
        ],
    )
    def test_a_failure_is_read_from_the_object_of_toss_or_from_flat_fields(self, data: dict[str, Any]) -> None:
        change = change_of(payment_body(status="FAILED", **data))
        assert (change["failure_code"], change["failure_message"]) == ("C", "M")

    def test_an_account_to_deposit_into_is_kept(self) -> None:
        change = change_of(example("payment_va_waiting_for_deposit").body)
        assert change["status"] == "WAITING_FOR_DEPOSIT"
        assert change["virtual_account"]["accountNumber"] == "X0000000000001"
        assert change["virtual_account"]["dueDate"] == "2026-04-08T09:00:00+09:00"
        assert "secret" not in change

    def test_metadata_is_kept_as_it_is(self) -> None:
        metadata = {"cart": "c-77", "price": 12.5, "whole": 5.0, "deep": [{"a": None, "b": [True, 1]}]}
        assert change_of(payment_body(metadata=metadata))["metadata"] == metadata

    @pytest.mark.parametrize(
        ("written", "text"),
        [
            ("9900", "9900"),
            ("9900.0", "9900"),
            ("9900.50", "9900.5"),
            ("12.5", "12.5"),
            ("0.01", "0.01"),
            ("0", "0"),
            ("0.00", "0"),
            ("1e3", "1000"),
            ('"12.50"', "12.5"),
            ("999999999999999", "999999999999999"),
            ("999999999999999.99", "999999999999999.99"),
        ],
    )
    def test_amounts_are_decimal_text(self, written: str, text: str) -> None:
        raw = (
            f'{{"eventType":"PAYMENT_STATUS_CHANGED","data":{{"orderId":"o","status":"DONE","totalAmount":{written}}}}}'
        )
        meaning = interpret(parse_event(read_body(raw.encode()).fields))
        assert meaning.change is not None
        assert meaning.change["amount"] == text

    @pytest.mark.parametrize("written", ["1234567890.12345678901234567890123", "1e-30", "1e-1000", "1e-999999999"])
    def test_an_amount_is_exact_or_refused_and_short_either_way(self, written: str) -> None:
        raw = (
            f'{{"eventType":"PAYMENT_STATUS_CHANGED","data":{{"orderId":"o","status":"DONE","totalAmount":{written}}}}}'
        )
        meaning = interpret(parse_event(read_body(raw.encode()).fields))
        if meaning.status is EventStatus.FAILED:
            assert meaning.reason is EventReason.MALFORMED
            return
        assert meaning.change is not None
        assert Decimal(meaning.change["amount"]) == Decimal(written)
        assert len(meaning.change["amount"]) < 100

    def test_a_payment_link_is_the_payment_in_it(self) -> None:
        payment = payment_body(totalAmount=19000)["data"]
        meaning = meaning_of(event_body("ORDER_PAYMENT_STATUS_CHANGED", orderKey="lnk", amount=1, payment=payment))
        assert meaning == meaning_of(payment_body(totalAmount=19000))


class TestVirtualAccounts:
    ACCOUNT: ClassVar[dict[str, str]] = {"accountNumber": "X1", "bankCode": "20"}

    def test_an_issued_account_waits_for_its_deposit_and_comes_first(self) -> None:
        meaning = meaning_of(
            event_body("VIRTUAL_ACCOUNT_ISSUED", paymentKey="key-1", orderId="order-1", virtualAccount=self.ACCOUNT)
        )
        assert meaning.status is EventStatus.PROCESSED
        assert (meaning.payment_key, meaning.order_id) == ("key-1", "order-1")
        assert meaning.change == {
            "kind": "payment",
            "status": "WAITING_FOR_DEPOSIT",
            "virtual_account": self.ACCOUNT,
            "is_first": True,
        }

    def test_an_issued_account_occurred_when_it_was_requested(self) -> None:
        meaning = meaning_of(
            event_body("VIRTUAL_ACCOUNT_ISSUED", orderId="order-1", requestedAt="2026-03-14T10:00:00+09:00")
        )
        assert meaning.occurred_at == dt.datetime(2026, 3, 14, 1, tzinfo=dt.UTC)

    def test_an_issued_account_with_created_at_is_placed_by_it(self) -> None:
        body = event_body("VIRTUAL_ACCOUNT_ISSUED", orderId="order-1", requestedAt="2026-03-14T10:00:00+09:00")
        meaning = meaning_of({**body, "createdAt": "2026-03-14T10:00:01"})
        assert meaning.change is not None
        assert "is_first" not in meaning.change

    def test_an_issued_account_keeps_a_status_of_its_own(self) -> None:
        assert change_of(event_body("VIRTUAL_ACCOUNT_ISSUED", orderId="o", status="EXPIRED"))["status"] == "EXPIRED"
        unknown = meaning_of(event_body("VIRTUAL_ACCOUNT_ISSUED", orderId="o", status="NEW"))
        assert (unknown.status, unknown.reason) == (EventStatus.FAILED, EventReason.UNKNOWN_STATUS)

    @pytest.mark.parametrize(
        ("fields", "was_approved"),
        [
            ({"status": "CANCELED", "approvedAt": None, "virtualAccount": {}}, False),
            ({"status": "CANCELED", "approvedAt": "2026-03-14T10:00:00+09:00", "virtualAccount": {}}, None),
            ({"status": "CANCELED", "virtualAccount": {}}, None),
            ({"status": "CANCELED", "approvedAt": None, "virtualAccount": None}, None),
            ({"status": "WAITING_FOR_DEPOSIT", "approvedAt": None, "virtualAccount": {}}, None),
        ],
    )
    def test_an_account_cancelled_without_a_deposit_was_never_approved(
        self, fields: dict[str, Any], was_approved: bool | None
    ) -> None:
        change = change_of(event_body("PAYMENT_STATUS_CHANGED", orderId="order-1", paymentKey="k", **fields))
        assert change.get("was_approved") is was_approved

    def test_the_deposit_of_the_guide_is_checked_first(self) -> None:
        meaning = meaning_of(GUIDE_DEPOSIT)
        assert (meaning.status, meaning.reason) == (EventStatus.PENDING, EventReason.CHECK_DEPOSIT)
        assert (meaning.payment_key, meaning.order_id) == ("tviva20240101000002...", "order_123456")
        assert meaning.occurred_at == dt.datetime(2024, 1, 1, 1, tzinfo=dt.UTC)
        assert meaning.change == {
            "kind": "payment",
            "status": "DONE",
            "approved_at": "2024-01-01T01:00:00+00:00",
        }

    def test_the_deposit_of_toss_is_checked_first(self) -> None:
        body = example("deposit_callback_done").body
        meaning = meaning_of(body)
        assert (meaning.status, meaning.reason) == (EventStatus.PENDING, EventReason.CHECK_DEPOSIT)
        assert (meaning.payment_key, meaning.order_id) == (None, body["orderId"])
        assert meaning.change == {"kind": "payment", "status": "DONE"}

    @pytest.mark.parametrize("status", ["WAITING_FOR_DEPOSIT", "CANCELED", "PARTIAL_CANCELED", "EXPIRED"])
    def test_any_other_deposit_callback_is_checked_too(self, status: str) -> None:
        meaning = meaning_of({"secret": "ps_1", "status": status, "transactionKey": "tx-1", "orderId": "order-1"})
        assert (meaning.status, meaning.reason) == (EventStatus.PENDING, EventReason.CHECK_DEPOSIT)
        assert (meaning.payment_key, meaning.order_id, meaning.occurred_at) == (None, "order-1", None)
        assert meaning.change == {"kind": "payment", "status": status}

    @pytest.mark.parametrize(
        ("status", "expected"),
        [("NEW", EventStatus.FAILED), ("", EventStatus.FAILED), (None, EventStatus.FAILED), (5, EventStatus.FAILED)],
    )
    def test_a_deposit_callback_of_another_status_changes_nothing(self, status: object, expected: EventStatus) -> None:
        meaning = meaning_of({"secret": "ps_1", "status": status, "transactionKey": "tx-1", "orderId": "order-1"})
        assert (meaning.status, meaning.change) == (expected, None)
        assert meaning.order_id == "order-1"


class TestOtherEvents:
    def test_the_billing_key_of_the_guide_is_issued(self) -> None:
        meaning = meaning_of(GUIDE_BILLING_KEY)
        assert meaning.status is EventStatus.PROCESSED
        assert meaning.occurred_at == dt.datetime(2024, 1, 1, 1, tzinfo=dt.UTC)
        assert meaning.change == {
            "kind": "billing",
            "action": "issued",
            "billing_key": "billing_key_...",
            "customer_key": "customer_123",
        }

    def test_a_billing_key_of_the_guide_is_deleted(self) -> None:
        body = event_body(
            "BILLING_KEY_DELETED", billingKey="bk", customerKey="c", deletedAt="2026-03-14T10:00:00+09:00"
        )
        meaning = meaning_of(body)
        assert meaning.occurred_at == dt.datetime(2026, 3, 14, 1, tzinfo=dt.UTC)
        assert meaning.change == {"kind": "billing", "action": "deleted", "billing_key": "bk", "customer_key": "c"}

    @pytest.mark.parametrize("customer", [{}, {"customerKey": None}, {"customerKey": 5}])
    def test_a_billing_key_is_deleted_without_its_customer(self, customer: dict[str, Any]) -> None:
        expected = {"kind": "billing", "action": "deleted", "billing_key": "bk="}
        assert change_of(event_body("BILLING_KEY_DELETED", billingKey="bk=", **customer)) == expected
        assert change_of(event_body("BILLING_DELETED", billingKey="bk=", **customer)) == expected
        assert change_of({"eventType": "BILLING_DELETED", "billingKey": "bk=", **customer}) == expected

    @pytest.mark.parametrize("name", ["cancel_status_changed_done", "cancel_status_changed_aborted"])
    def test_a_cancel_waits_for_its_payment_to_be_found(self, name: str) -> None:
        meaning = meaning_of(example(name).body)
        assert (meaning.status, meaning.reason) == (EventStatus.PENDING, EventReason.FIND_PAYMENT)
        assert (meaning.payment_key, meaning.order_id) == (None, None)
        assert meaning.change == {"kind": "cancel", "cancel_key": example(name).body["data"]["transactionKey"]} | (
            {"cancel_request": request} if (request := example(name).body["data"].get("cancelRequestId")) else {}
        )
        assert meaning.occurred_at is not None

    def test_a_cancel_may_name_its_payment(self) -> None:
        meaning = meaning_of(
            event_body("CANCEL_STATUS_CHANGED", transactionKey="tx-1", paymentKey="key-1", orderId="order-1")
        )
        assert (meaning.payment_key, meaning.order_id) == ("key-1", "order-1")

    def test_a_payout_that_is_completed_is_settled(self) -> None:
        meaning = meaning_of(example("payout_changed_completed").body)
        assert meaning.status is EventStatus.PROCESSED
        assert meaning.change == {
            "kind": "settlement",
            "settlement_kind": "payout",
            "settlement_key": "payout:FPA_90001",
            "status": "COMPLETED",
            "reference": "po-2026-05-0001",
            "seller_id": "seller-77",
            "amount": "125000",
            "pay_out_amount": "125000",
            "currency": "KRW",
            "paid_out_date": "2026-05-06",
            "requested_at": "2026-05-04T12:00:00+00:00",
            "settled_at": "2026-05-06T01:00:05+00:00",
            "metadata": {"batch": "2026-05A"},
        }

    def test_a_payout_that_failed_is_not_settled_and_tells_why(self) -> None:
        change = change_of(example("payout_changed_failed").body)
        assert change["status"] == "FAILED"
        assert (change["failure_code"], change["failure_message"]) == ("FICTIONAL_BANK_ERROR", "계좌 오류")
        assert "settled_at" not in change

    @pytest.mark.parametrize("amount", [None, {}, 5, {"currency": "", "value": None}, {"currency": "won!"}])
    def test_a_payout_without_amount_is_still_recorded(self, amount: object) -> None:
        body = {"id": "FPA_1", "status": "REQUESTED", "amount": amount}
        assert change_of({"eventType": "payout.changed", "entityBody": body}) == {
            "kind": "settlement",
            "settlement_kind": "payout",
            "settlement_key": "payout:FPA_1",
            "status": "REQUESTED",
        }

    def test_a_settlement_names_its_payment_and_amounts(self) -> None:
        meaning = meaning_of(
            event_body(
                "SETTLEMENT_COMPLETED",
                transactionKey="tx-1",
                paymentKey="key-1",
                orderId="order-1",
                sellerId="seller-1",
                amount=-10000,
                payOutAmount=-9700.5,
                fee=-299.5,
                currency="KRW",
                soldDate="2026-05-06",
                paidOutDate="2026-05-08",
                settledAt="2026-05-08T09:00:00+09:00",
            )
        )
        assert (meaning.status, meaning.payment_key, meaning.order_id) == (EventStatus.PROCESSED, "key-1", "order-1")
        assert meaning.occurred_at == dt.datetime(2026, 5, 8, tzinfo=dt.UTC)
        assert meaning.change == {
            "kind": "settlement",
            "settlement_kind": "settlement",
            "settlement_key": "settlement:tx-1",
            "status": "COMPLETED",
            "payment_key": "key-1",
            "order_id": "order-1",
            "transaction_key": "tx-1",
            "seller_id": "seller-1",
            "amount": "-10000",
            "pay_out_amount": "-9700.5",
            "fee": "-299.5",
            "currency": "KRW",
            "sold_date": "2026-05-06",
            "paid_out_date": "2026-05-08",
            "settled_at": "2026-05-08T00:00:00+00:00",
        }

    @pytest.mark.parametrize(
        ("data", "key"),
        [
            ({"settlementKey": "s", "settlementId": "i", "transactionKey": "t", "paymentKey": "p"}, "settlement:s"),
            ({"settlementId": "i", "transactionKey": "t", "paymentKey": "p"}, "settlement:i"),
            ({"transactionKey": "t", "paymentKey": "p"}, "settlement:t"),
            ({"paymentKey": "p", "orderId": "o"}, "settlement:p"),
            ({"paymentKey": "p", "soldDate": "2026-05-06", "paidOutDate": "2026-05-08"}, "settlement:p:2026-05-06"),
            ({"orderId": "o", "paidOutDate": "2026-05-08"}, "settlement:o:2026-05-08"),
        ],
    )
    def test_a_settlement_is_known_by_the_best_name_it_has(self, data: dict[str, Any], key: str) -> None:
        assert change_of(event_body("SETTLEMENT_COMPLETED", **data))["settlement_key"] == key

    def test_a_settlement_that_names_nothing_needs_a_person(self) -> None:
        meaning = meaning_of(event_body("SETTLEMENT_COMPLETED", amount=5))
        assert (meaning.status, meaning.reason, meaning.change) == (EventStatus.FAILED, EventReason.MALFORMED, None)
        assert meaning.error == "data: settlementKey, transactionKey, paymentKey or orderId is needed"

    @pytest.mark.parametrize(
        "name",
        [
            "method_updated_enabled",
            "customer_status_changed_created",
            "seller_changed_kyc_required",
            "ars_reservation_changed_done",
        ],
    )
    def test_events_that_no_row_is_about_are_ignored(self, name: str) -> None:
        assert meaning_of(example(name).body) == Meaning(EventStatus.IGNORED, reason=EventReason.NO_PROJECTION)

    def test_an_event_of_an_unknown_type_is_ignored(self) -> None:
        body = example("unknown_future_event_type").body
        assert meaning_of(body) == Meaning(EventStatus.IGNORED, reason=EventReason.UNKNOWN_TYPE)

    def test_a_malformed_event_needs_a_person(self) -> None:
        meaning = meaning_of({"eventType": "BILLING_DELETED", "data": {}})
        assert meaning == Meaning(EventStatus.FAILED, reason=EventReason.MALFORMED, error="billingKey: Field required")

    @pytest.mark.parametrize("event_type", TYPES)
    def test_every_known_type_has_a_meaning_without_fields(self, event_type: str) -> None:
        meaning = meaning_of({"eventType": event_type})
        assert meaning.reason in (EventReason.MALFORMED, EventReason.NO_PROJECTION)
