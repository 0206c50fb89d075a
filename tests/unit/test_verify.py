"""Unsigned deliveries: which are accepted, with which proof, and what is recorded."""

import asyncio
import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supatoss.errors import Reason, StoreUnavailable, TossNotFound, TossUnavailable
from supatoss.store.recording import Vouchers
from supatoss.toss.client import TossClient
from supatoss.toss.models import Payment, PaymentAnswer
from tests.support import GUIDE_DEPOSIT, example, raw_body, signed_headers
from tests.unit.bodies import any_body
from tests.unit.fakes import Service, deliveries_counted

ASKED_AT = dt.datetime(2026, 4, 2, 5, 22, 11, tzinfo=dt.UTC)
DONE = example("payment_card_done").body
DEPOSIT = example("deposit_callback_done").body


class KnowingToss(TossClient):
    """Knows payments by key and by order. `trouble` is raised instead."""

    def __init__(self, *payments: Mapping[str, Any]) -> None:
        self.payments = payments
        self.trouble: Exception | None = None
        self.asked: list[str] = []

    async def payment(self, payment_key: str, *, timeout_seconds: float = 3.0) -> PaymentAnswer:
        return self._find("paymentKey", payment_key)

    async def payment_by_order(self, order_id: str, *, timeout_seconds: float = 3.0) -> PaymentAnswer:
        return self._find("orderId", order_id)

    def _find(self, field: str, value: str) -> PaymentAnswer:
        self.asked.append(f"{field}={value}")
        if self.trouble:
            raise self.trouble
        for payment in self.payments:
            if payment[field] == value:
                return PaymentAnswer(ASKED_AT, payment, Payment.model_validate(payment))
        raise TossNotFound("payment", code="NOT_FOUND_PAYMENT")


def service_with(toss: KnowingToss, secrets: tuple[str, ...] = (), **vouchers: Any) -> Service:
    service = Service(toss=toss)
    held = {"holds_billing_key": False, "cancel_payment_key": None, **vouchers}
    service.store.vouchers = Vouchers(secrets, **held)
    return service


async def deliver(service: Service, body: object) -> tuple[int, Mapping[str, Any] | None]:
    """Sends a body unsigned. The status, and the record, if one was made."""
    response = await service.send(raw_body(body))
    if response.status_code == 401:
        assert response.text == "Invalid signature"
    (record,) = service.store.records.values() or [None]
    return response.status_code, record


@pytest.mark.anyio
async def test_what_toss_answers_is_recorded_and_not_what_the_body_claims() -> None:
    answered = {**DONE["data"], "status": "CANCELED", "method": "간편결제", "approvedAt": DONE["data"]["approvedAt"]}
    status, record = await deliver(service_with(KnowingToss(answered)), DONE)
    assert status == 200
    assert record is not None
    assert (record["proof"], record["status"]) == ("toss_api", "processed")
    assert (record["change"]["status"], record["change"]["method"]) == ("CANCELED", "간편결제")
    assert record["occurred_at"] == ASKED_AT.isoformat()
    assert record["payload"] == raw_body(DONE).decode()


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ([], Reason.UNKNOWN_TO_TOSS),
        ([{**DONE["data"], "status": "READY"}], Reason.CONTRADICTED_BY_TOSS),
        ([{**DONE["data"], "status": "WAITING_FOR_DEPOSIT"}], Reason.CONTRADICTED_BY_TOSS),
        ([{**DONE["data"], "orderId": "another"}], Reason.CONTRADICTED_BY_TOSS),
        ([{**DONE["data"], "totalAmount": 1}], Reason.CONTRADICTED_BY_TOSS),
        ([{**DONE["data"], "secret": "ps_another"}], Reason.CONTRADICTED_BY_TOSS),
    ],
)
@pytest.mark.anyio
async def test_a_forged_payment_is_refused_and_nothing_is_stored(known: list[dict[str, Any]], reason: Reason) -> None:
    before = deliveries_counted("rejected", reason)
    assert await deliver(service_with(KnowingToss(*known)), DONE) == (401, None)
    assert deliveries_counted("rejected", reason) == before + 1


@pytest.mark.anyio
async def test_the_forged_example() -> None:
    forged = example("forged_done_without_toss_headers").body
    assert await deliver(service_with(KnowingToss(DONE["data"])), forged) == (401, None)


@pytest.mark.anyio
async def test_toss_that_cannot_be_asked_is_503() -> None:
    toss = KnowingToss()
    toss.trouble = TossUnavailable("payment", "no answer")
    assert await deliver(service_with(toss), DONE) == (503, None)


@pytest.mark.anyio
async def test_a_store_that_cannot_be_asked_is_503() -> None:
    service = service_with(KnowingToss(DONE["data"]))
    service.store.trouble = StoreUnavailable("away")
    assert await deliver(service, DONE) == (503, None)


@pytest.mark.anyio
async def test_a_stored_secret_vouches_without_asking() -> None:
    waiting = example("deposit_callback_back_to_waiting_after_deposit_error").body
    toss = KnowingToss()
    status, record = await deliver(service_with(toss, (waiting["secret"],)), waiting)
    assert (status, toss.asked) == (200, [])
    assert record is not None
    assert (record["proof"], record["change"]["status"]) == ("secret", "WAITING_FOR_DEPOSIT")


@pytest.mark.parametrize("body", [DEPOSIT, DONE, example("payment_va_done_duplicate_of_deposit").body])
@pytest.mark.anyio
async def test_money_that_arrived_is_asked_for_although_the_secret_is_right(body: dict[str, Any]) -> None:
    payment = body.get("data") or example("payment_va_done_duplicate_of_deposit").body["data"]
    toss = KnowingToss(payment)
    status, record = await deliver(service_with(toss, (payment["secret"],)), body)
    assert (status, len(toss.asked)) == (200, 1)
    assert record is not None
    assert (record["proof"], record["status"], record["change"]["status"]) == ("toss_api", "processed", "DONE")
    assert record["payment_key"] == payment["paymentKey"]


@pytest.mark.anyio
async def test_a_proven_deposit_waits_for_the_worker_when_toss_is_slow() -> None:
    toss = KnowingToss()
    toss.trouble = TossUnavailable("payment by order", "no answer")
    service = service_with(toss, (DEPOSIT["secret"],))
    status, record = await deliver(service, DEPOSIT)
    assert status == 200
    assert record is not None
    assert (record["proof"], record["status"], record["reason"]) == ("secret", "pending", "check_deposit")
    assert service.woken == 1


@pytest.mark.anyio
async def test_a_deposit_with_a_wrong_secret_is_refused() -> None:
    payment = {**example("payment_va_done_duplicate_of_deposit").body["data"]}
    forged = {**DEPOSIT, "secret": "ps_wrong0000000000000000000000"}
    assert await deliver(service_with(KnowingToss(payment), (payment["secret"],)), forged) == (401, None)


@pytest.mark.anyio
async def test_an_unproven_deposit_is_borne_out_by_toss() -> None:
    payment = example("payment_va_done_duplicate_of_deposit").body["data"]
    toss = KnowingToss(payment)
    status, record = await deliver(service_with(toss), DEPOSIT)
    assert (status, toss.asked) == (200, [f"orderId={DEPOSIT['orderId']}"])
    assert record is not None
    assert record["proof"] == "toss_api"


@pytest.mark.anyio
async def test_a_signed_deposit_of_the_guide_is_checked_with_toss() -> None:
    data = GUIDE_DEPOSIT["data"]
    paid = {"paymentKey": data["paymentKey"], "orderId": data["orderId"], "status": "DONE", "totalAmount": 9900}
    service = service_with(KnowingToss(paid))
    raw = raw_body(GUIDE_DEPOSIT)
    assert (await service.send(raw, signed_headers(raw))).status_code == 200
    (record,) = service.store.records.values()
    assert (record["proof"], record["status"], record["change"]["amount"]) == ("signature", "processed", "9900")


@pytest.mark.anyio
async def test_a_deposit_that_still_needs_approval_is_the_worker_s() -> None:
    data = GUIDE_DEPOSIT["data"]
    open_payment = {"paymentKey": data["paymentKey"], "orderId": data["orderId"], "status": "IN_PROGRESS"}
    service = service_with(KnowingToss(open_payment))
    raw = raw_body(GUIDE_DEPOSIT)
    assert (await service.send(raw, signed_headers(raw))).status_code == 200
    (record,) = service.store.records.values()
    assert (record["status"], record["reason"]) == ("pending", "check_deposit")


@pytest.mark.anyio
async def test_a_billing_key_that_we_hold_vouches_for_its_deletion() -> None:
    body = example("billing_deleted_with_reason").body
    status, record = await deliver(service_with(KnowingToss(), holds_billing_key=True), body)
    assert status == 200
    assert record is not None
    assert (record["proof"], record["change"]["action"]) == ("billing_key", "deleted")
    assert await deliver(service_with(KnowingToss()), body) == (401, None)


@pytest.mark.anyio
async def test_a_cancel_is_looked_up_by_the_payment_that_has_it() -> None:
    body = example("cancel_status_changed_done").body
    payment = {**DONE["data"], "status": "CANCELED", "balanceAmount": 0}
    toss = KnowingToss(payment)
    status, record = await deliver(service_with(toss, cancel_payment_key=payment["paymentKey"]), body)
    assert (status, toss.asked) == (200, [f"paymentKey={payment['paymentKey']}"])
    assert record is not None
    assert (record["order_id"], record["change"]["status"]) == (payment["orderId"], "CANCELED")
    assert await deliver(service_with(KnowingToss(payment)), body) == (401, None)


@pytest.mark.parametrize(
    "name",
    [
        "payout_changed_signature_missing",
        "seller_changed_kyc_required",
        "ars_reservation_changed_done",
        "method_updated_enabled",
        "customer_status_changed_created",
        "unknown_future_event_type",
    ],
)
@pytest.mark.anyio
async def test_what_nothing_can_vouch_for_is_refused(name: str) -> None:
    assert await deliver(service_with(KnowingToss(DONE["data"])), example(name).body) == (401, None)


@pytest.mark.parametrize(
    ("allowed", "header", "headers", "status"),
    [
        ((), "", {}, 200),
        (("127.0.0.1/32",), "", {}, 200),
        (("13.124.18.147/32",), "", {}, 401),
        (("13.124.18.147/32",), "", {"x-forwarded-for": "13.124.18.147"}, 401),
        (("13.124.18.147/32",), "", {"fly-client-ip": "13.124.18.147"}, 401),
        (("13.124.18.147/32",), "fly-client-ip", {"fly-client-ip": "13.124.18.147"}, 200),
        (("13.124.18.147/32",), "fly-client-ip", {"fly-client-ip": "13.124.18.148"}, 401),
        (("13.124.18.147/32",), "fly-client-ip", {}, 401),
        (("13.124.18.147/32",), "fly-client-ip", {"fly-client-ip": "nonsense"}, 401),
    ],
)
@pytest.mark.anyio
async def test_the_list_of_addresses(
    allowed: tuple[str, ...], header: str, headers: dict[str, str], status: int
) -> None:

    service = Service(toss_allowed_ips=",".join(allowed), client_ip_header=header)
    raw = raw_body(DONE)
    assert (await service.send(raw, {**signed_headers(raw), **headers})).status_code == status


BODIES = any_body().map(lambda body: json.dumps(body).encode()) | st.binary(max_size=200)


@given(raw=BODIES, secret=st.sampled_from(["", "key-1", "DONE"]), holds=st.booleans())
def test_no_unsigned_bytes_make_it_fail(raw: bytes, secret: str, *, holds: bool) -> None:
    payment = {"paymentKey": "key-1", "orderId": "key-1", "status": "DONE", "totalAmount": 9900}
    service = service_with(KnowingToss(payment), (secret,), holds_billing_key=holds, cancel_payment_key="key-1")
    service.log_output()
    response = asyncio.run(service.send(raw))
    assert response.status_code in (200, 400, 401)
    assert len(service.store.records) == (response.status_code == 200)
