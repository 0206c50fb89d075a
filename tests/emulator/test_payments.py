"""The states of a payment and the errors of confirm and cancel."""

import datetime as dt
import json
from typing import Any

import httpx
import pytest

from supatoss.toss.models import Payment
from tests.emulator.conftest import Play
from tests.support import example

pytestmark = pytest.mark.anyio

REFUND = {"bank": "20", "accountNumber": "1000123456789", "holderName": "홍길동"}


def error_of(response: httpx.Response) -> tuple[int, str]:
    assert response.json().keys() == {"code", "message"}
    return response.status_code, response.json()["code"]


async def cancel(play: Play, payment: dict[str, Any], amount: Any = None, **more: Any) -> httpx.Response:
    body = {"cancelReason": "구매자 변심", **({} if amount is None else {"cancelAmount": amount}), **more}
    return await play.api("POST", f"payments/{payment['paymentKey']}/cancel", body)


async def test_a_card_payment_is_confirmed_and_found_by_key_and_by_order(play: Play) -> None:
    made = await play.pay(amount=37400)
    confirmed = await play.confirm(made)
    found = await play.api("GET", f"payments/{made['paymentKey']}")
    assert made["status"] == "IN_PROGRESS"
    assert made["secret"] is None
    assert confirmed.status_code == 200
    assert confirmed.json() == found.json() == (await play.api("GET", "payments/orders/ord-000001")).json()
    assert (found.json()["status"], found.json()["balanceAmount"]) == ("DONE", 37400)
    assert (found.json()["suppliedAmount"], found.json()["vat"]) == (34000, 3400)
    assert len(confirmed.headers["x-tosspayments-trace-id"]) == 32


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("CARD", "payment_card_done"),
        ("EASY_PAY", "payment_easypay_money_done"),
        ("TRANSFER", "payment_transfer_done_with_cash_receipt"),
        ("MOBILE_PHONE", "payment_mobile_phone_done"),
        ("CULTURE_GIFT_CERTIFICATE", "payment_gift_certificate_culture_done"),
        ("VIRTUAL_ACCOUNT", "payment_va_waiting_for_deposit"),
    ],
)
async def test_the_object_has_the_fields_and_types_of_toss(play: Play, method: str, name: str) -> None:
    real = example(name).body["data"]
    payment = (await play.confirm(await play.pay(method=method))).json()
    assert payment.keys() == real.keys()
    assert payment["method"] == real["method"]
    differing = {"cashReceipt", "cashReceipts", "metadata"}
    assert {field: type(payment[field]) for field in payment.keys() - differing} == {
        field: type(real[field]) for field in real.keys() - differing
    }
    objects = [field for field in ("card", "virtualAccount", "transfer", "mobilePhone", "easyPay") if real[field]]
    assert all(payment[field].keys() == real[field].keys() for field in objects)


async def test_amounts_in_dollars_have_cents(play: Play) -> None:
    payment = (await play.confirm(await play.pay(amount=12.5, currency="USD", country="US"))).json()
    assert (payment["totalAmount"], payment["suppliedAmount"], payment["vat"]) == (12.5, 12.5, 0)
    parsed = Payment.model_validate(json.loads(json.dumps(payment), parse_float=str))
    assert str(parsed.total_amount) == "12.5"


async def test_a_ready_payment_is_authenticated_first(play: Play) -> None:
    made = await play.pay(status="READY")
    assert made["method"] is None
    assert error_of(await play.confirm(made)) == (404, "NOT_FOUND_PAYMENT_SESSION")
    assert (await play.step(made, "authenticate"))["status"] == "IN_PROGRESS"
    assert (await play.confirm(made)).json()["status"] == "DONE"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"paymentKey": "unknown"}, (404, "NOT_FOUND_PAYMENT")),
        ({"orderId": "ord-another"}, (404, "NOT_FOUND_PAYMENT_SESSION")),
        ({"amount": 1}, (400, "INVALID_REQUEST")),
        ({"amount": "10000"}, (400, "INVALID_REQUEST")),
        ({"amount": True}, (400, "INVALID_REQUEST")),
        ({"paymentKey": None}, (400, "INVALID_REQUEST")),
    ],
)
async def test_confirm_refuses_what_does_not_fit(play: Play, change: dict[str, Any], expected: tuple[int, str]) -> None:
    made = await play.pay()
    assert error_of(await play.confirm(made, **change)) == expected
    assert (await play.confirm(made)).status_code == 200


async def test_confirm_happens_once(play: Play) -> None:
    made = await play.pay()
    await play.confirm(made)
    assert error_of(await play.confirm(made)) == (400, "ALREADY_PROCESSED_PAYMENT")


async def test_an_order_is_paid_once_unless_it_is_forced(play: Play) -> None:
    await play.confirm(await play.pay())
    second = await play.pay()
    assert error_of(await play.confirm(second)) == (400, "DUPLICATED_ORDER_ID")
    assert (await play.step(second, "approve", status=400))["code"] == "DUPLICATED_ORDER_ID"
    assert (await play.step(second, "approve", {"force": True}))["status"] == "DONE"
    assert (await play.api("GET", "payments/orders/ord-000001")).json()["paymentKey"] == second["paymentKey"]


async def test_a_refused_payment_is_aborted_with_its_failure(play: Play) -> None:
    made = await play.pay(refuseWith="REJECT_CARD_COMPANY")
    assert error_of(await play.confirm(made)) == (403, "REJECT_CARD_COMPANY")
    found = (await play.api("GET", f"payments/{made['paymentKey']}")).json()
    assert (found["status"], found["failure"]["code"]) == ("ABORTED", "REJECT_CARD_COMPANY")
    assert found["secret"] is None
    assert found["lastTransactionKey"] is None


async def test_an_expired_payment_cannot_be_confirmed(play: Play) -> None:
    made = await play.pay()
    assert (await play.step(made, "expire"))["status"] == "EXPIRED"
    assert error_of(await play.confirm(made)) == (404, "NOT_FOUND_PAYMENT_SESSION")
    assert "EXPIRED" in (await play.step(made, "abort", status=409))["error"]


async def test_one_full_cancel_ends_canceled(play: Play) -> None:
    made = await play.pay()
    await play.confirm(made)
    canceled = (await cancel(play, made)).json()
    assert (canceled["status"], canceled["balanceAmount"]) == ("CANCELED", 0)
    assert canceled["cancels"][0]["transactionKey"] == canceled["lastTransactionKey"]
    assert error_of(await cancel(play, made)) == (400, "ALREADY_CANCELED_PAYMENT")


async def test_a_stepwise_full_cancel_stays_partial(play: Play) -> None:
    made = await play.pay()
    await play.confirm(made)
    first = (await cancel(play, made, 3000)).json()
    last = (await cancel(play, made, 7000)).json()
    assert [payment["status"] for payment in (first, last)] == ["PARTIAL_CANCELED", "PARTIAL_CANCELED"]
    assert [item["refundableAmount"] for item in last["cancels"]] == [7000, 0]
    assert last["balanceAmount"] == 0
    assert error_of(await cancel(play, made)) == (403, "NOT_CANCELABLE_AMOUNT")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"cancelAmount": 10001}, (403, "NOT_CANCELABLE_AMOUNT")),
        ({"refundableAmount": 9000}, (400, "NOT_MATCHES_REFUNDABLE_AMOUNT")),
        ({"currency": "USD"}, (400, "INVALID_REQUEST")),
        ({"cancelReason": ""}, (400, "INVALID_REQUEST")),
        ({"cancelReason": "가" * 201}, (400, "INVALID_REQUEST")),
        ({"cancelAmount": 0}, (400, "INVALID_REQUEST")),
    ],
)
async def test_cancel_refuses_and_changes_nothing(play: Play, body: dict[str, Any], expected: tuple[int, str]) -> None:
    made = await play.pay()
    confirmed = (await play.confirm(made)).json()
    assert error_of(await cancel(play, made, **body)) == expected
    assert (await play.api("GET", f"payments/{made['paymentKey']}")).json() == confirmed


async def test_what_is_not_paid_or_not_divisible_is_not_cancelled(play: Play) -> None:
    made = await play.pay(method="MOBILE_PHONE")
    assert error_of(await cancel(play, made)) == (403, "NOT_CANCELABLE_PAYMENT")
    await play.confirm(made)
    assert error_of(await cancel(play, made, 1)) == (403, "NOT_ALLOWED_PARTIAL_REFUND")


async def test_a_virtual_account_waits_is_paid_and_waits_again(play: Play) -> None:
    made = await play.pay(method="가상계좌")
    waiting = (await play.confirm(made)).json()
    paid = await play.step(made, "deposit")
    again = await play.step(made, "deposit-error")
    assert [payment["status"] for payment in (waiting, paid, again)] == [
        "WAITING_FOR_DEPOSIT",
        "DONE",
        "WAITING_FOR_DEPOSIT",
    ]
    assert waiting["virtualAccount"]["accountNumber"].startswith("X")
    assert paid["approvedAt"]
    assert again["approvedAt"] is None
    assert again["lastTransactionKey"] == paid["lastTransactionKey"] != waiting["lastTransactionKey"]
    assert (await play.step(made, "deposit"))["status"] == "DONE"
    assert error_of(await play.confirm(made)) == (400, "ALREADY_PROCESSED_PAYMENT")


async def test_an_overdue_account_keeps_its_status_and_takes_no_money(play: Play) -> None:
    made = await play.pay(method="VIRTUAL_ACCOUNT")
    waiting = (await play.confirm(made)).json()
    overdue = await play.step(made, "due-date-passed")
    assert not waiting["virtualAccount"]["expired"]
    assert (overdue["status"], overdue["virtualAccount"]["expired"]) == ("WAITING_FOR_DEPOSIT", True)
    due_at = dt.datetime.fromisoformat(overdue["virtualAccount"]["dueDate"])
    assert due_at < dt.datetime.now(dt.UTC)
    assert "overdue" in (await play.step(made, "deposit", status=409))["error"]


async def test_a_waiting_account_is_cancelled_whole_and_a_paid_one_to_an_account(play: Play) -> None:
    made = await play.pay(method="VIRTUAL_ACCOUNT")
    await play.confirm(made)
    assert error_of(await cancel(play, made, 1)) == (403, "NOT_ALLOWED_PARTIAL_REFUND_WAITING_DEPOSIT")
    assert (await cancel(play, made)).json()["status"] == "CANCELED"

    paid = await play.pay("ord-000002", method="VIRTUAL_ACCOUNT")
    await play.confirm(paid)
    await play.step(paid, "deposit")
    assert error_of(await cancel(play, paid, 1)) == (400, "INVALID_REFUND_ACCOUNT_INFO")
    wrong = {**REFUND, "accountNumber": "12-34"}
    assert error_of(await cancel(play, paid, 1, refundReceiveAccount=wrong)) == (400, "INVALID_REFUND_ACCOUNT_NUMBER")
    unnamed = {**REFUND, "holderName": ""}
    assert error_of(await cancel(play, paid, 1, refundReceiveAccount=unnamed)) == (400, "INVALID_REFUND_ACCOUNT_INFO")
    refunded = (await cancel(play, paid, 1, refundReceiveAccount=REFUND)).json()
    assert refunded["virtualAccount"]["refundStatus"] == "COMPLETED"


async def test_only_a_deposit_can_be_taken_back(play: Play) -> None:
    card = await play.pay()
    assert "DONE" in (await play.step(card, "deposit-error", status=409))["error"]
    await play.confirm(card)
    assert "virtual account" in (await play.step(card, "deposit-error", status=409))["error"]


@pytest.mark.parametrize(("result", "status", "balance"), [("DONE", "CANCELED", 0), ("ABORTED", "DONE", 25)])
async def test_an_asynchronous_cancel_waits_for_its_result(play: Play, result: str, status: str, balance: int) -> None:
    made = await play.pay(amount=25, currency="USD", method="FOREIGN_EASY_PAY", cancelsLater=True)
    await play.confirm(made)
    assert error_of(await cancel(play, made)) == (400, "INVALID_REQUEST")
    begun = (await cancel(play, made, cancelRequestId="creq-0001")).json()
    assert (begun["status"], begun["balanceAmount"], begun["cancels"][0]["cancelStatus"]) == ("DONE", 25, "IN_PROGRESS")
    assert error_of(await cancel(play, made, cancelRequestId="creq-0002")) == (403, "FORBIDDEN_CONSECUTIVE_REQUEST")
    ended = await play.step(made, "cancel-result", {"status": result})
    assert (ended["status"], ended["balanceAmount"]) == (status, balance)
    assert ended["cancels"][0]["cancelRequestId"] == "creq-0001"
    assert "progress" in (await play.step(made, "cancel-result", status=409))["error"]


async def test_a_refund_to_an_account_can_fail_and_be_paid_later(play: Play) -> None:
    made = await play.pay(method="VIRTUAL_ACCOUNT")
    await play.confirm(made)
    assert "deposit" in (await play.step(made, "refund-result", {"status": "FAILED"}, status=409))["error"]
    await play.step(made, "deposit")
    await play.step(made, "refund-result", {"status": "FAILED"})
    ended = await play.step(made, "cancel")
    assert (ended["status"], ended["virtualAccount"]["refundStatus"]) == ("CANCELED", "FAILED")
    paid = await play.step(made, "refund-result", {"status": "COMPLETED"})
    assert paid["virtualAccount"]["refundStatus"] == "COMPLETED"


async def test_an_unknown_payment_or_call_is_not_found(play: Play) -> None:
    assert error_of(await play.api("GET", "payments/nobody")) == (404, "NOT_FOUND_PAYMENT")
    assert error_of(await play.api("GET", "payments/orders/nobody")) == (404, "NOT_FOUND_PAYMENT")
    assert error_of(await play.api("GET", "nothing")) == (404, "NOT_FOUND")
    assert (await play.do("payments/nobody/deposit", status=404))["code"] == "NOT_FOUND_PAYMENT"
