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
from supatoss.inbox.interpret import interpret_payment
from supatoss.store.recording import KnownKeys
from supatoss.toss.client import TossClient
from supatoss.toss.models import Payment, PaymentAnswer
from tests.support import GUIDE_DEPOSIT, example, raw_body, signed_headers
from tests.unit.bodies import any_body
from tests.unit.fakes import Service, deliveries_counted

ASKED_AT = dt.datetime(2026, 4, 2, 5, 22, 11, tzinfo=dt.UTC)
DONE = example("payment_card_done").body
DEPOSIT = example("deposit_callback_done").body
PAID = example("payment_va_done_duplicate_of_deposit").body["data"]
ASKED_AT_IN_KOREA = "2026-04-02T14:22:11.000000"


class KnowingToss(TossClient):
    """Knows payments by key and by order. `trouble` is raised instead."""

    keys = ()

    def __init__(self, *payments: Mapping[str, Any]) -> None:
        self.payments = payments
        self.trouble: Exception | None = None
        self.asked: list[str] = []

    async def payment(self, payment_key: str, **_options: Any) -> PaymentAnswer:
        return self._find("paymentKey", payment_key)

    async def payment_by_order(self, order_id: str, **_options: Any) -> PaymentAnswer:
        return self._find("orderId", order_id)

    def _find(self, field: str, value: str) -> PaymentAnswer:
        self.asked.append(f"{field}={value}")
        if self.trouble:
            raise self.trouble
        for payment in self.payments:
            if payment[field] == value:
                return PaymentAnswer(ASKED_AT, payment, Payment.model_validate(payment))
        raise TossNotFound("payment", code="NOT_FOUND_PAYMENT")


def service_with(
    toss: KnowingToss,
    *payment_keys: str,
    row_payment_key: str | None = None,
    paid_keys: frozenset[str] = frozenset(),
    **known: Any,
) -> Service:
    service = Service(toss=toss)
    held = {"holds_billing_key": False, "cancel_payment_key": None, **known}
    service.store.known = KnownKeys(payment_keys, paid_keys, row_payment_key, **held)
    return service


async def deliver(service: Service, body: object) -> tuple[int, list[Mapping[str, Any]]]:
    """Sends a body unsigned. The status, and the records that were made."""
    response = await service.send(raw_body(body))
    if response.status_code == 401:
        assert response.text == "Invalid signature"
    return response.status_code, list(service.store.records.values())


async def record_of(service: Service, body: object) -> Mapping[str, Any]:
    """The one record that a delivery made."""
    status, records = await deliver(service, body)
    assert status == 200
    (record,) = records
    return record


@pytest.mark.anyio
async def test_what_toss_answers_is_recorded_and_nothing_of_what_the_body_claims() -> None:
    answered = {**DONE["data"], "status": "CANCELED", "method": "간편결제", "approvedAt": DONE["data"]["approvedAt"]}
    claimed = {**DONE, "createdAt": "9999-01-01T00:00:00", "data": {**DONE["data"], "totalAmount": 1, "lie": "x"}}
    record = await record_of(service_with(KnowingToss(answered)), claimed)
    assert (record["event_type"], record["proof"], record["status"]) == (
        "PAYMENT_STATUS_CHANGED",
        "toss_api",
        "processed",
    )
    assert (record["change"]["status"], record["change"]["method"]) == ("CANCELED", "간편결제")
    assert "secret" not in record["change"]
    assert (record["occurred_at"], record["is_observation"]) == (ASKED_AT.isoformat(), True)
    payload = json.loads(record["payload"])
    assert payload == {"eventType": "PAYMENT_STATUS_CHANGED", "createdAt": ASKED_AT_IN_KOREA, "data": answered}


@pytest.mark.parametrize(
    "body",
    [
        DONE,
        {**DONE, "createdAt": "2020-01-01T00:00:00"},
        {**DONE, "data": {**DONE["data"], "status": "READY", "orderId": "another", "totalAmount": 5, "x": [1, 2]}},
        {**DONE, "data": {"paymentKey": DONE["data"]["paymentKey"]}},
        {**DONE, "data": {"paymentKey": DONE["data"]["paymentKey"], "status": 7, "totalAmount": "nonsense"}},
    ],
)
@pytest.mark.anyio
async def test_variations_of_a_body_are_one_event(body: dict[str, Any]) -> None:
    service = service_with(KnowingToss(DONE["data"]))
    await deliver(service, DONE)
    status, records = await deliver(service, body)
    assert (status, len(records)) == (200, 1)
    assert records[0]["order_id"] == DONE["data"]["orderId"]


@pytest.mark.parametrize(
    "claimed", ["CANCELED", "PARTIAL_CANCELED", "WAITING_FOR_DEPOSIT", "ABORTED", "EXPIRED", "DONE"]
)
@pytest.mark.anyio
async def test_toss_is_asked_whatever_the_status(claimed: str) -> None:
    toss = KnowingToss({**DONE["data"], "status": "WAITING_FOR_DEPOSIT"})
    body = {**DONE, "data": {**DONE["data"], "status": claimed, "balanceAmount": 1}}
    status, records = await deliver(service_with(toss, DONE["data"]["paymentKey"]), body)
    assert (status, len(toss.asked)) == (200, 1)
    assert [record["change"]["status"] for record in records if record["change"]] == ["WAITING_FOR_DEPOSIT"]


@pytest.mark.anyio
async def test_a_claim_beyond_the_answer_is_asked_again_later_in_one_row() -> None:
    service = service_with(KnowingToss({**DONE["data"], "status": "IN_PROGRESS"}))
    status, records = await deliver(service, DONE)
    assert (status, service.woken) == (200, 1)
    seen, waiting = records
    assert (seen["status"], seen["change"]["status"]) == ("processed", "IN_PROGRESS")
    assert (waiting["status"], waiting["reason"], waiting["change"]) == ("pending", "toss_disagrees", None)
    assert waiting["claim"]["status"] == "DONE"
    assert waiting["last_error"] == "the delivery says DONE, Toss shows IN_PROGRESS"
    assert json.loads(waiting["payload"])["data"]["status"] == "IN_PROGRESS"
    await deliver(service, {**DONE, "createdAt": "2026-01-01T00:00:00", "data": {**DONE["data"], "lie": 1}})
    assert len(service.store.records) == 2


@pytest.mark.parametrize(("paid", "records"), [(frozenset(), 1), (frozenset({DONE["data"]["paymentKey"]}), 2)])
@pytest.mark.anyio
async def test_a_paid_account_that_toss_shows_as_waiting_is_asked_about_again(
    paid: frozenset[str], records: int
) -> None:
    toss = KnowingToss({**DONE["data"], "status": "WAITING_FOR_DEPOSIT"})
    body = {**DONE, "data": {**DONE["data"], "status": "WAITING_FOR_DEPOSIT"}}
    status, made = await deliver(service_with(toss, paid_keys=paid), body)
    assert (status, len(made)) == (200, records)
    assert made[-1]["status"] == ("pending" if paid else "processed")


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ([], Reason.UNKNOWN_TO_TOSS),
        ([{**DONE["data"], "secret": "ps_another"}], Reason.SECRET_DIFFERS),
    ],
)
@pytest.mark.anyio
async def test_a_forged_payment_is_refused_and_nothing_is_stored(known: list[dict[str, Any]], reason: Reason) -> None:
    before = deliveries_counted("rejected", reason)
    assert await deliver(service_with(KnowingToss(*known)), DONE) == (401, [])
    assert deliveries_counted("rejected", reason) == before + 1


@pytest.mark.anyio
async def test_the_forged_example() -> None:
    forged = example("forged_done_without_toss_headers").body
    assert await deliver(service_with(KnowingToss(DONE["data"])), forged) == (401, [])


@pytest.mark.anyio
async def test_toss_that_cannot_be_asked_is_503() -> None:
    toss = KnowingToss()
    toss.trouble = TossUnavailable("payment", "no answer")
    assert await deliver(service_with(toss), DONE) == (503, [])
    assert await deliver(service_with(toss, "key-1"), DEPOSIT) == (503, [])


@pytest.mark.anyio
async def test_a_store_that_cannot_be_asked_is_503() -> None:
    service = service_with(KnowingToss(DONE["data"]))
    service.store.trouble = StoreUnavailable("away")
    assert await deliver(service, DONE) == (503, [])


@pytest.mark.anyio
async def test_a_payment_with_a_status_that_nobody_knows_needs_a_person() -> None:
    record = await record_of(service_with(KnowingToss({**DONE["data"], "status": "HALF_DONE"})), DONE)
    assert (record["status"], record["reason"]) == ("failed", "unknown_status")


@pytest.mark.anyio
async def test_a_deposit_of_an_order_that_nobody_knows_asks_once() -> None:
    toss = KnowingToss(PAID)
    record = await record_of(service_with(toss), DEPOSIT)
    assert toss.asked == [f"orderId={DEPOSIT['orderId']}"]
    assert (record["proof"], record["change"]["status"]) == ("toss_api", "DONE")
    assert record["payment_key"] == PAID["paymentKey"]


@pytest.mark.parametrize(
    ("body", "payment"),
    [
        (DONE, DONE["data"]),
        (DEPOSIT, PAID),
        ({**DEPOSIT, "status": "WAITING_FOR_DEPOSIT"}, {**PAID, "status": "WAITING_FOR_DEPOSIT", "approvedAt": None}),
        ({**DONE, "data": {**DONE["data"], "status": "CANCELED"}}, DONE["data"]),
    ],
)
@pytest.mark.anyio
async def test_a_lone_delivery_costs_one_question_and_two_calls_of_the_data_api_at_most(
    body: dict[str, Any], payment: dict[str, Any]
) -> None:
    toss = KnowingToss(payment)
    service = service_with(toss)
    status, _ = await deliver(service, body)
    assert (status, len(toss.asked)) == (200, 1)
    assert service.store.calls <= 2


@pytest.mark.anyio
async def test_a_deposit_asks_for_its_order_and_then_for_other_attempts_that_are_known() -> None:
    toss = KnowingToss(PAID)
    await record_of(service_with(toss, PAID["paymentKey"]), DEPOSIT)
    assert toss.asked == [f"orderId={PAID['orderId']}"]
    toss = KnowingToss({**PAID, "paymentKey": "newer", "secret": "ps_newer"}, PAID)
    await record_of(service_with(toss, "newer", PAID["paymentKey"]), DEPOSIT)
    assert toss.asked == [f"orderId={PAID['orderId']}", f"paymentKey={PAID['paymentKey']}"]


@pytest.mark.parametrize("known", [(), ("other",), ("other", PAID["paymentKey"])], ids=["none", "other", "both"])
@pytest.mark.anyio
async def test_another_attempt_at_the_order_is_no_contradiction(known: tuple[str, ...]) -> None:
    other = {**PAID, "paymentKey": "other", "status": "ABORTED", "secret": "ps_other"}
    toss = KnowingToss(other, PAID)  # by order, Toss shows the other one
    record = await record_of(service_with(toss, *known, row_payment_key=PAID["paymentKey"]), DEPOSIT)
    assert (record["payment_key"], record["change"]["status"]) == (PAID["paymentKey"], "DONE")


@pytest.mark.anyio
async def test_a_deposit_with_a_wrong_secret_is_refused() -> None:
    forged = {**DEPOSIT, "secret": "ps_wrong0000000000000000000000"}
    assert await deliver(service_with(KnowingToss(PAID), PAID["paymentKey"]), forged) == (401, [])


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
    record = await record_of(service_with(KnowingToss(), holds_billing_key=True), body)
    assert (record["proof"], record["change"]["action"]) == ("billing_key", "deleted")
    assert await deliver(service_with(KnowingToss()), body) == (401, [])


@pytest.mark.anyio
async def test_whoever_knows_a_billing_key_gets_one_row_whatever_else_they_say() -> None:
    service = service_with(KnowingToss(), holds_billing_key=True)
    body = example("billing_deleted_with_reason").body
    for number in range(3):
        status, records = await deliver(
            service, {**body, "note": number, "createdAt": f"2026-11-0{number + 1}T10:00:00"}
        )
        assert (status, len(records)) == (200, 1)
    _, records = await deliver(service, {**body, "data": {**body["data"], "billingKey": "another-key"}})
    assert len(records) == 2


@pytest.mark.anyio
async def test_a_cancel_is_looked_up_by_the_payment_that_has_it() -> None:
    body = example("cancel_status_changed_done").body
    payment = {**DONE["data"], "status": "CANCELED", "balanceAmount": 0}
    toss = KnowingToss(payment)
    record = await record_of(service_with(toss, cancel_payment_key=payment["paymentKey"]), body)
    assert toss.asked == [f"paymentKey={payment['paymentKey']}"]
    assert (record["order_id"], record["change"]["status"]) == (payment["orderId"], "CANCELED")
    assert await deliver(service_with(KnowingToss(payment)), body) == (401, [])


@pytest.mark.parametrize(
    "body",
    [
        example("payout_changed_signature_missing").body,
        example("seller_changed_kyc_required").body,
        {"eventType": "SETTLEMENT_COMPLETED", "data": {"orderId": DONE["data"]["orderId"], "amount": 1}},
        {"eventType": "BILLING_KEY_ISSUED", "data": {"billingKey": "b", "customerKey": "c"}},
        {"eventType": "BILLING_DELETED", "data": {}},
        {"eventType": "PAYMENT_STATUS_CHANGED", "data": {"status": "DONE"}},
        {"eventType": "PAYMENT_STATUS_CHANGED"},
    ],
)
@pytest.mark.anyio
async def test_what_changes_a_row_and_cannot_be_proven_is_refused(body: dict[str, Any]) -> None:
    assert await deliver(service_with(KnowingToss(DONE["data"]), holds_billing_key=True), body) == (401, [])


@pytest.mark.parametrize(
    "name",
    [
        "ars_reservation_changed_done",
        "method_updated_enabled",
        "customer_status_changed_created",
        "unknown_future_event_type",
    ],
)
@pytest.mark.anyio
async def test_what_changes_no_row_is_acknowledged(name: str) -> None:
    toss = KnowingToss(DONE["data"])
    service = service_with(toss)
    before = deliveries_counted("acknowledged")
    response = await service.send(raw_body(example(name).body))
    assert (response.status_code, response.json()) == (200, {"status": "acknowledged"})
    assert (service.store.records, toss.asked) == ({}, [])
    assert deliveries_counted("acknowledged") == before + 1


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


@given(raw=BODIES, holds=st.booleans(), status=st.sampled_from(["DONE", "READY", "PARTIAL_CANCELED", "NEW"]))
def test_no_unsigned_bytes_change_more_than_toss_answers(raw: bytes, status: str, *, holds: bool) -> None:
    payment = {"paymentKey": "key-1", "orderId": "key-1", "status": status, "totalAmount": 9900, "secret": "DONE"}
    service = service_with(KnowingToss(payment), "key-1", holds_billing_key=holds, cancel_payment_key="key-1")
    service.log_output()
    response = asyncio.run(service.send(raw))
    assert response.status_code in (200, 400, 401)
    truth = interpret_payment(Payment.model_validate(payment)).change
    for record in service.store.records.values():
        if record["proof"] == "toss_api":
            assert record["change"] in (truth, None)
            assert (record["payment_key"], record["order_id"]) == ("key-1", "key-1")
            assert json.loads(record["payload"])["data"] == payment
            assert record["occurred_at"] == ASKED_AT.isoformat()
        else:
            assert (record["proof"], record["change"]["kind"]) == ("billing_key", "billing")
