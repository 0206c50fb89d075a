import datetime as dt
import json
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from hypothesis import example as also
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from supatoss.toss import events
from supatoss.toss.delivery import read_body
from supatoss.toss.events import MalformedEvent, UnknownEvent, parse_event
from tests.support import (
    GUIDE_BILLING_KEY,
    GUIDE_DEPOSIT,
    GUIDE_PAYMENT,
    Example,
    example,
    examples,
    raw_body,
)
from tests.unit.bodies import any_body, payment_body

TYPE_OF_EXAMPLE: dict[str, type[events.Event]] = {
    "payment_": events.PaymentStatusChanged,
    "forged_": events.PaymentStatusChanged,
    "deposit_callback_": events.DepositCallback,
    "cancel_status_changed_": events.CancelStatusChanged,
    "billing_deleted_": events.BillingDeleted,
    "method_updated_": events.MethodUpdated,
    "customer_status_changed_": events.CustomerStatusChanged,
    "payout_changed_": events.PayoutChanged,
    "seller_changed_": events.SellerChanged,
    "ars_reservation_changed_": events.ArsReservationChanged,
    "unknown_": events.UnknownEvent,
}


def parse(body: dict[str, Any]) -> events.Event:
    return parse_event(read_body(raw_body(body)).fields)


def payment_of(**data: Any) -> Any:
    event = parse(payment_body(**data))
    assert isinstance(event, events.PaymentStatusChanged)
    return event.data


def problem_of(body: dict[str, Any]) -> str:
    event = parse(body)
    assert isinstance(event, MalformedEvent)
    assert event.event_type == body.get("eventType", "DEPOSIT_CALLBACK")
    return event.problem.replace("Value error, ", "")  # pydantic's own words, which tell nothing


class TestExamplesOfToss:
    @pytest.mark.parametrize("item", examples(), ids=lambda item: item.name)
    def test_are_typed(self, item: Example) -> None:
        (expected,) = {model for prefix, model in TYPE_OF_EXAMPLE.items() if item.name.startswith(prefix)}
        event = parse(item.body)
        assert type(event) is expected
        assert event.event_type == item.body.get("eventType", "DEPOSIT_CALLBACK")
        assert event.created_at is not None

    def test_a_card_payment_is_read_in_full(self) -> None:
        event = parse(example("payment_card_done").body)
        assert isinstance(event, events.PaymentStatusChanged)
        assert event.created_at == dt.datetime(2026, 3, 14, 1, 21, 8, 405120, dt.UTC)
        payment = event.data
        assert payment.payment_key == "tacme20260314102040Qw7Zx"
        assert payment.order_id == "ord-20260314-000187"
        assert payment.order_name == "가상 상품 외 1건"
        assert payment.m_id == "tacmeshop01"
        assert payment.status == "DONE"
        assert payment.method == "카드"
        assert payment.currency == "KRW"
        assert payment.total_amount == payment.balance_amount == Decimal(37400)
        assert payment.requested_at == dt.datetime(2026, 3, 14, 1, 20, 40, tzinfo=dt.UTC)
        assert payment.approved_at == dt.datetime(2026, 3, 14, 1, 21, 7, tzinfo=dt.UTC)
        assert payment.receipt is not None
        assert payment.receipt.startswith("https://dashboard.tosspayments.com/receipt/redirection?")
        assert payment.secret == "ps_GWxcd2udH692Qsp70HRh0Ux5DCMA"
        assert payment.cancels == []

    def test_dollars_have_cents(self) -> None:
        event = parse(example("payment_card_usd_done").body)
        assert isinstance(event, events.PaymentStatusChanged)
        assert (event.data.total_amount, event.data.currency) == (Decimal("12.5"), "USD")

    @pytest.mark.parametrize(
        ("code", "read"), [("MUSD", "MUSD"), ("KRW", "KRW"), ("won", None), ("", None), (5, None), ("X" * 11, None)]
    )
    def test_a_currency_is_kept_as_it_is_written_or_left_out(self, code: object, read: str | None) -> None:
        event = parse(payment_body(currency=code, totalAmount=1))
        assert isinstance(event, events.PaymentStatusChanged)
        assert (event.data.currency, event.data.total_amount) == (read, Decimal(1))

    def test_an_issued_account_may_have_its_fields_beside_the_others(self) -> None:
        body = {"paymentKey": "k", "orderId": "o", "accountNumber": "X1", "bankCode": "20", "dueDate": "2026-04-01"}
        event = parse({"eventType": "VIRTUAL_ACCOUNT_ISSUED", "data": body})
        assert isinstance(event, events.VirtualAccountIssued)
        assert event.data.virtual_account == {"accountNumber": "X1", "bankCode": "20", "dueDate": "2026-04-01"}

    def test_a_failed_card_tells_why(self) -> None:
        event = parse(example("payment_card_aborted").body)
        assert isinstance(event, events.PaymentStatusChanged)
        assert event.data.failure is not None
        assert event.data.failure.model_dump() == {
            "code": "REJECT_CARD_COMPANY",
            "message": "결제 승인이 거절되었습니다.",
        }

    def test_a_payout_is_read(self) -> None:
        event = parse(example("payout_changed_completed").body)
        assert isinstance(event, events.PayoutChanged)
        assert event.event_id == "evt_fictional_1001"
        assert event.entity_body.id == "FPA_90001"
        assert event.entity_body.amount is not None
        assert event.entity_body.amount.value == Decimal(125000)
        assert event.entity_body.payout_date == dt.date(2026, 5, 6)

    def test_a_deposit_callback_is_flat(self) -> None:
        event = parse(example("deposit_callback_done").body)
        assert isinstance(event, events.DepositCallback)
        assert event.status == "DONE"
        assert event.order_id == example("deposit_callback_done").body["orderId"]
        assert event.secret == example("deposit_callback_done").body["secret"]


class TestBodiesOfTheGuide:
    def test_payment(self) -> None:
        event = parse(GUIDE_PAYMENT)
        assert isinstance(event, events.PaymentStatusChanged)
        assert event.created_at is None
        assert event.data.payment_key == "tviva20240101000001..."
        assert event.data.order_id == "order_123456"
        assert event.data.status == "DONE"
        assert event.data.total_amount == Decimal(9900)
        assert event.data.approved_at == dt.datetime(2024, 1, 1, 1, tzinfo=dt.UTC)

    def test_deposit(self) -> None:
        event = parse(GUIDE_DEPOSIT)
        assert isinstance(event, events.VirtualAccountDeposit)
        assert event.data.order_id == "order_123456"
        assert event.data.secret == "secret_key_..."
        assert event.data.deposited_at == dt.datetime(2024, 1, 1, 1, tzinfo=dt.UTC)

    def test_billing_key(self) -> None:
        event = parse(GUIDE_BILLING_KEY)
        assert isinstance(event, events.BillingKeyIssued)
        assert (event.data.billing_key, event.data.customer_key) == ("billing_key_...", "customer_123")
        assert event.data.issued_at == dt.datetime(2024, 1, 1, 1, tzinfo=dt.UTC)

    def test_deleted_billing_key(self) -> None:
        event = parse({"eventType": "BILLING_KEY_DELETED", "data": {"billingKey": "bk", "customerKey": "customer_1"}})
        assert isinstance(event, events.BillingKeyDeleted)
        assert (event.data.billing_key, event.data.customer_key) == ("bk", "customer_1")

    def test_issued_account(self) -> None:
        account = {"accountNumber": "X1", "bankCode": "20"}
        data = {"paymentKey": "key-1", "orderId": "order-1", "virtualAccount": account}
        event = parse({"eventType": "VIRTUAL_ACCOUNT_ISSUED", "data": data})
        assert isinstance(event, events.VirtualAccountIssued)
        assert event.data.virtual_account == account

    def test_settlement(self) -> None:
        data = {"paymentKey": "key-1", "amount": -100, "payOutAmount": "-97.5", "soldDate": "2026-05-06"}
        event = parse({"eventType": "SETTLEMENT_COMPLETED", "data": data})
        assert isinstance(event, events.SettlementCompleted)
        assert (event.data.amount, event.data.pay_out_amount) == (Decimal(-100), Decimal("-97.5"))
        assert event.data.sold_date == dt.date(2026, 5, 6)


class TestEnvelopes:
    FIELDS: ClassVar[dict[str, str]] = {
        "secret": "ps_1",
        "status": "DONE",
        "transactionKey": "tx-1",
        "orderId": "order-1",
    }
    AT = "2026-04-02T14:22:10.698211"

    @pytest.mark.parametrize(
        "body",
        [
            {"createdAt": AT, **FIELDS},
            {"eventType": "DEPOSIT_CALLBACK", "createdAt": AT, **FIELDS},
            {"eventType": "DEPOSIT_CALLBACK", "createdAt": AT, "data": FIELDS},
            {"eventType": "DEPOSIT_CALLBACK", "data": {"createdAt": AT, **FIELDS}},
            {"eventType": None, "createdAt": AT, **FIELDS},
            {"eventType": "", "createdAt": AT, **FIELDS},
        ],
        ids=["flat", "flat and named", "data", "all in data", "null type", "empty type"],
    )
    def test_a_deposit_callback_may_be_flat_or_in_data(self, body: dict[str, Any]) -> None:
        event = parse(body)
        assert isinstance(event, events.DepositCallback)
        assert event.event_type == "DEPOSIT_CALLBACK"
        assert event.created_at == dt.datetime(2026, 4, 2, 5, 22, 10, 698211, dt.UTC)
        assert (event.order_id, event.status) == ("order-1", "DONE")
        assert (event.secret, event.transaction_key) == ("ps_1", "tx-1")

    @pytest.mark.parametrize("missing", sorted(FIELDS))
    def test_without_a_type_every_field_of_a_deposit_callback_is_needed(self, missing: str) -> None:
        event = parse({name: value for name, value in self.FIELDS.items() if name != missing})
        assert isinstance(event, UnknownEvent)
        assert event.event_type == "unknown"

    @pytest.mark.parametrize(
        "body",
        [
            {"eventType": "BILLING_DELETED", "createdAt": AT, "data": {"billingKey": "bk=", "reason": None}},
            {"eventType": "BILLING_DELETED", "createdAt": AT, "billingKey": "bk=", "reason": None},
            {"eventType": "BILLING_DELETED", "createdAt": AT, "billingKey": "bk=", "data": None},
        ],
        ids=["data", "flat", "flat beside null"],
    )
    def test_a_deleted_billing_key_may_be_flat_or_in_data(self, body: dict[str, Any]) -> None:
        event = parse(body)
        assert isinstance(event, events.BillingDeleted)
        assert event.billing_key == "bk="
        assert event.created_at == dt.datetime(2026, 4, 2, 5, 22, 10, 698211, dt.UTC)

    @pytest.mark.parametrize("model", [model for name, model in events.TYPES.items() if name != "DEPOSIT_CALLBACK"])
    def test_a_known_type_is_never_taken_for_a_deposit_callback(self, model: type[events.Event]) -> None:
        event = parse({"eventType": model.TYPE, **self.FIELDS})
        assert event.event_type == model.TYPE
        assert isinstance(event, model | MalformedEvent)

    def test_there_are_ten_types_of_toss_and_five_of_the_guide(self) -> None:
        assert set(events.TYPES) == {
            "PAYMENT_STATUS_CHANGED",
            "DEPOSIT_CALLBACK",
            "CANCEL_STATUS_CHANGED",
            "BILLING_DELETED",
            "METHOD_UPDATED",
            "CUSTOMER_STATUS_CHANGED",
            "payout.changed",
            "seller.changed",
            "ORDER_PAYMENT_STATUS_CHANGED",
            "ars-reservation.changed",
            "VIRTUAL_ACCOUNT_ISSUED",
            "VIRTUAL_ACCOUNT_DEPOSIT",
            "BILLING_KEY_ISSUED",
            "BILLING_KEY_DELETED",
            "SETTLEMENT_COMPLETED",
        }

    def test_fields_and_values_that_toss_adds_later_pass(self) -> None:
        payment = payment_of(status="SOMETHING_NEW", newField={"a": [1]})
        assert payment.status == "SOMETHING_NEW"


class TestUnknown:
    @pytest.mark.parametrize(
        ("body", "event_type"),
        [
            ({"eventType": "SOMETHING_NEW_HAPPENED", "data": {"foo": "bar"}}, "SOMETHING_NEW_HAPPENED"),
            ({"eventType": "PAYOUT_STATUS_CHANGED"}, "PAYOUT_STATUS_CHANGED"),
            ({"eventType": "payment_status_changed"}, "payment_status_changed"),
            ({"eventType": " PAYMENT_STATUS_CHANGED"}, " PAYMENT_STATUS_CHANGED"),
            ({"eventType": "가" * 101}, "가" * 100),
            ({}, "unknown"),
            ({"eventType": ""}, "unknown"),
            ({"eventType": None}, "unknown"),
            ({"eventType": 5}, "unknown"),
            ({"eventType": ["PAYMENT_STATUS_CHANGED"]}, "unknown"),
            ({"foo": "bar"}, "unknown"),
        ],
    )
    def test_other_types_are_unknown_events(self, body: dict[str, Any], event_type: str) -> None:
        event = parse(body)
        assert type(event) is UnknownEvent
        assert event.event_type == event_type

    def test_when_it_was_sent_is_still_read(self) -> None:
        event = parse({"eventType": "NEW", "createdAt": "2026-06-05T00:00:00.000000"})
        assert event.created_at == dt.datetime(2026, 6, 4, 15, tzinfo=dt.UTC)


DEEPER: dict[str, Any] = {
    "paymentKey": "key-1",
    "orderId": "order-1",
    "transactionKey": "tx-1",
    "billingKey": "bk-1",
    "customerKey": "customer-1",
}


class TestMalformed:
    @pytest.mark.parametrize(
        ("body", "problem"),
        [
            ({"eventType": "PAYMENT_STATUS_CHANGED"}, "data: Field required"),
            (payment_body(paymentKey=None, orderId=None), "data: paymentKey or orderId is needed"),
            (payment_body(paymentKey="", orderId=""), "data: paymentKey or orderId is needed"),
            (payment_body(paymentKey=5), "data.paymentKey: Input should be a valid string"),
            (payment_body(orderId=["order-1"]), "data.orderId: Input should be a valid string"),
            (payment_body(paymentKey="k" * 201), "data.paymentKey: String should have at most 200 characters"),
            (payment_body(orderId="o" * 101), "data.orderId: String should have at most 100 characters"),
            (payment_body(totalAmount="a lot"), "data.totalAmount: should be a number"),
            (payment_body(totalAmount=-1), "data.totalAmount: should be at least 0"),
            (payment_body(balanceAmount=-1), "data.balanceAmount: should be at least 0"),
            (payment_body(totalAmount=True), "data.totalAmount: should be a number"),
            (payment_body(totalAmount=10**15), "data.totalAmount: should be below 10^15"),
            (
                payment_body(totalAmount={}, balanceAmount=[]),
                "data.totalAmount: should be a number; data.balanceAmount: should be a number",
            ),
            (
                {"eventType": "ORDER_PAYMENT_STATUS_CHANGED", "data": {"orderKey": "lnk"}},
                "data.payment: Field required",
            ),
            (
                {"eventType": "ORDER_PAYMENT_STATUS_CHANGED", "data": {"payment": {}}},
                "data.payment: paymentKey or orderId is needed",
            ),
            ({"eventType": "DEPOSIT_CALLBACK"}, "orderId: Field required; status: Field required"),
            (
                {"secret": "ps_1", "transactionKey": "tx-1", "status": "DONE", "orderId": 5},
                "orderId: Input should be a valid string",
            ),
            (
                {"secret": "ps_1", "transactionKey": "tx-1", "status": "DONE", "orderId": ""},
                "orderId: String should have at least 1 character",
            ),
            ({"eventType": "CANCEL_STATUS_CHANGED", "data": {}}, "data.transactionKey: Field required"),
            ({"eventType": "BILLING_DELETED"}, "billingKey: Field required"),
            ({"eventType": "BILLING_DELETED", "data": {"billingKey": 1}}, "billingKey: Input should be a valid string"),
            (
                {"eventType": "BILLING_KEY_ISSUED", "data": {"billingKey": "b" * 201}},
                "data.billingKey: String should have at most 200 characters; data.customerKey: Field required",
            ),
            ({"eventType": "BILLING_KEY_DELETED", "data": {}}, "data.billingKey: Field required"),
            ({"eventType": "VIRTUAL_ACCOUNT_DEPOSIT", "data": {}}, "data.orderId: Field required"),
            (
                {"eventType": "payout.changed", "entityBody": {}},
                "entityBody.id: Field required; entityBody.status: Field required",
            ),
            (
                {"eventType": "payout.changed", "entityBody": {"id": "FPA_1", "status": "S" * 51}},
                "entityBody.status: String should have at most 50 characters",
            ),
        ],
    )
    def test_says_which_field_is_wrong_and_how(self, body: dict[str, Any], problem: str) -> None:
        assert problem_of(body) == problem

    @pytest.mark.parametrize("value", [None, 5, "text", [], [{}], True])
    @pytest.mark.parametrize(
        "event_type",
        ["PAYMENT_STATUS_CHANGED", "VIRTUAL_ACCOUNT_DEPOSIT", "BILLING_KEY_ISSUED", "SETTLEMENT_COMPLETED"],
    )
    def test_data_that_is_not_an_object_is_named(self, event_type: str, value: object) -> None:
        assert problem_of({"eventType": event_type, "data": value}).startswith("data: ")

    @pytest.mark.parametrize("amount", ["a lot", -1, True, "1e5"])
    def test_an_amount_of_a_payout_that_cannot_be_read_is_named(self, amount: object) -> None:
        body = {"id": "FPA_1", "status": "COMPLETED", "amount": {"currency": "KRW", "value": amount}}
        assert "entityBody.amount" in problem_of({"eventType": "payout.changed", "entityBody": body})

    @pytest.mark.parametrize("model", events.TYPES.values())
    def test_never_shows_a_value_of_the_body(self, model: type[events.Event]) -> None:
        hidden: dict[str, Any] = {name: {"hidden": "hidden"} for name in DEEPER}
        hidden |= {
            "status": "hidden" * 50,
            "totalAmount": "hidden",
            "amount": {"value": "hidden"},
            "currency": "hidden",
        }
        body = {"eventType": model.TYPE, **hidden, "data": {**hidden, "payment": hidden}, "entityBody": hidden}
        event = parse(body)
        assert not isinstance(event, MalformedEvent) or "hidden" not in event.problem

    def test_an_error_of_a_model_does_not_show_its_input(self) -> None:
        with pytest.raises(ValidationError) as caught:
            events.BillingDeleted.model_validate({"billingKey": ["hidden"], "eventType": "BILLING_DELETED"})
        assert "hidden" not in str(caught.value)

    def test_keeps_when_it_was_sent(self) -> None:
        event = parse({"eventType": "PAYMENT_STATUS_CHANGED", "createdAt": "2026-03-14T10:21:08"})
        assert isinstance(event, MalformedEvent)
        assert event.created_at == dt.datetime(2026, 3, 14, 1, 21, 8, tzinfo=dt.UTC)


class TestAmounts:
    @pytest.mark.parametrize(
        ("written", "expected"),
        [
            ("0", "0"),
            ("9900", "9900"),
            ("9900.0", "9900.0"),
            ("12.5", "12.5"),
            ("0.01", "0.01"),
            ("19.99", "19.99"),
            ("0.1", "0.1"),
            ("1e3", "1000"),
            ("999999999999999", "999999999999999"),
            ("999999999999999.99", "999999999999999.99"),
            ('"9900"', "9900"),
            ('"12.50"', "12.5"),
            ('"0"', "0"),
        ],
    )
    def test_are_exact(self, written: str, expected: str) -> None:
        raw = f'{{"eventType":"PAYMENT_STATUS_CHANGED","data":{{"orderId":"o","totalAmount":{written}}}}}'
        event = parse_event(read_body(raw.encode()).fields)
        assert isinstance(event, events.PaymentStatusChanged)
        assert event.data.total_amount == Decimal(expected)
        assert type(event.data.total_amount) is Decimal

    @pytest.mark.parametrize(
        "written",
        [
            "-1",
            "-0.01",
            '"-1"',
            "true",
            "false",
            '""',
            '" 1"',
            '"1,000"',
            '"1e3"',
            '"0x10"',
            '"１"',
            '"1."',
            '".5"',
            '"+1"',
            '"1.1234567"',
            '"123456789012345678901"',
            "1000000000000000",
            "1e15",
            "1e999999999",
            "123456789012345678901234567890",
            "[1]",
            "{}",
        ],
    )
    def test_are_never_guessed(self, written: str) -> None:
        raw = f'{{"eventType":"PAYMENT_STATUS_CHANGED","data":{{"orderId":"o","totalAmount":{written}}}}}'
        event = parse_event(read_body(raw.encode()).fields)
        assert isinstance(event, MalformedEvent)
        assert event.problem.startswith("data.totalAmount: ")

    def test_null_is_absent(self) -> None:
        assert payment_of(totalAmount=None).total_amount is None

    @pytest.mark.parametrize("field", ["amount", "payOutAmount", "fee"])
    def test_of_settlements_may_be_negative_and_nothing_else_may(self, field: str) -> None:
        event = parse({"eventType": "SETTLEMENT_COMPLETED", "data": {"orderId": "o", field: -1.5}})
        assert isinstance(event, events.SettlementCompleted)
        cancel = {"transactionKey": "tx-1", "cancelAmount": -1}
        assert problem_of({"eventType": "CANCEL_STATUS_CHANGED", "data": cancel}).startswith("data.cancelAmount: ")


class TestOptionalFields:
    TEXTS = ("status", "orderName", "mId", "method", "secret", "failureCode", "failureMessage", "receipt")
    TIMES = ("requestedAt", "approvedAt", "canceledAt")
    OBJECTS = ("failure", "virtualAccount", "metadata")

    @pytest.mark.parametrize("value", [None, "", 5, 1.5, True, [], ["x"]])
    @pytest.mark.parametrize("field", TEXTS + TIMES + OBJECTS)
    def test_of_a_wrong_type_count_as_absent(self, field: str, value: object) -> None:
        name = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in field)
        assert getattr(payment_of(**{field: value}), name) is None

    @pytest.mark.parametrize("value", [None, "", 5, {}, "text", [], [None, 5, "text", ["x"]]])
    def test_cancels_that_are_none_count_as_absent(self, value: object) -> None:
        assert payment_of(cancels=value).cancels == []

    def test_cancels_are_kept_as_toss_sent_them(self) -> None:
        assert payment_of(cancels=[{"a": 1}, None, {"b": {"c": []}}]).cancels == [{"a": 1}, {"b": {"c": []}}]

    @pytest.mark.parametrize("receipt", ["https://r.example", {"url": "https://r.example", "more": 1}])
    def test_a_receipt_is_an_address_or_an_object_with_one(self, receipt: object) -> None:
        assert payment_of(receipt=receipt).receipt == "https://r.example"

    def test_a_payment_needs_only_one_of_its_names(self) -> None:
        assert payment_of(paymentKey=None).order_id == "order-1"
        assert payment_of(orderId="").payment_key == "key-1"


@given(any_body())
@also({"eventType": "BILLING_DELETED", "data": {"createdAt": {}}})
@also({"eventType": "payout.changed", "entityBody": {"id": "x", "status": "y", "amount": {"value": []}}})
def test_any_object_is_an_event(body: dict[str, Any]) -> None:
    event = parse_event(read_body(json.dumps(body).encode()).fields)
    assert isinstance(event, BaseModel)
    named = body.get("eventType")
    assert event.event_type == (named if isinstance(named, str) and named in events.TYPES else event.event_type)
    assert 0 < len(event.event_type) <= events.MAX_TYPE_LENGTH


@given(st.text(alphabet=st.characters(), max_size=3))
def test_a_type_of_any_characters_is_an_event(event_type: str) -> None:
    raw = json.dumps({"eventType": event_type}).encode()
    assert isinstance(parse_event(read_body(raw).fields), UnknownEvent)
