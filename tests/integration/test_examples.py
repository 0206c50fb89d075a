"""Every delivery of Toss's examples, as Toss sends it: the answer it gets, and the rows that it makes.

The service's own parts on the real SQL; only Toss's API is a stand-in that knows the payments of the examples.
"""

import asyncio
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from supatoss.errors import TossNotFound
from supatoss.inbox.budget import LookupBudget
from supatoss.inbox.recorder import Recorder
from supatoss.inbox.refused import RefusedLog
from supatoss.inbox.verify import Verifier
from supatoss.receiving import SourceFilter
from supatoss.store import Store
from supatoss.toss.client import TossClient
from supatoss.toss.delivery import read_body
from supatoss.toss.models import Payment, PaymentAnswer
from supatoss.toss.signature import Keys
from supatoss.webhook import WebhookEndpoint
from tests.integration.conftest import SUPABASE_KEY, Stack
from tests.support import ANY_AGE_HOURS, OLDER_SECURITY_KEY, SECRET_KEY, SECURITY_KEY, example, examples, raw_body

DEPOSITED = example("payment_va_done_duplicate_of_deposit").body["data"]
CANCELED_ACCOUNT = example("payment_va_canceled_before_deposit").body["data"]


def known(name: str) -> list[Mapping[str, Any]]:
    """The payments that Toss knows when an example arrives: the one it tells of, as it tells."""
    if name.startswith("forged"):
        return [example("payment_card_done").body["data"]]
    body = example(name).body
    if body.get("eventType") == "PAYMENT_STATUS_CHANGED":
        return [body["data"]]
    return _ACCOUNTS.get(name, [])


_ACCOUNTS: dict[str, list[Mapping[str, Any]]] = {
    "deposit_callback_waiting_for_deposit": [example("payment_va_waiting_for_deposit").body["data"]],
    "deposit_callback_done": [DEPOSITED],
    "deposit_callback_back_to_waiting_after_deposit_error": [
        {**DEPOSITED, "status": "WAITING_FOR_DEPOSIT", "approvedAt": None}
    ],
    "deposit_callback_done_offset_created_at": [
        {
            **DEPOSITED,
            "paymentKey": "tacme20260403090000Va002",
            "orderId": "ord-20260403-000320",
            "secret": "ps_FicT1onAlVaSecReT00000000002",
        }
    ],
    "deposit_callback_canceled": [CANCELED_ACCOUNT],
    "deposit_callback_wrong_secret_forged": [
        {**DEPOSITED, "orderId": "ord-20260405-000341", "paymentKey": "tacme20260405090000Va004"}
    ],
}


@dataclass(frozen=True)
class Expected:
    """What an example leads to: the answer, the proof, and the order's row or the settlement's."""

    http_status: int
    proof: str | None = None
    status: str | None = None
    order: Mapping[str, Any] = field(default_factory=dict)
    settlement: Mapping[str, Any] = field(default_factory=dict)


def paid(status: str, amount: float, method: str | None = "카드", **columns: Any) -> Expected:
    row = {"payment_status": status, "amount": amount, "payment_method": method, **columns}
    return Expected(200, "toss_api", "processed", row)


REFUSED = Expected(401)
ACKNOWLEDGED = Expected(200)
"""It changes no row, and nothing proves it."""
EXPECTED: dict[str, Expected] = {
    "payment_card_done": paid("DONE", 37400, balance_amount=37400),
    "payment_card_done_resend_1_same_body": paid("DONE", 37400, balance_amount=37400),
    "payment_card_canceled_full": paid("CANCELED", 37400, balance_amount=0),
    "payment_card_partial_canceled_first": paid("PARTIAL_CANCELED", 10000, balance_amount=7000),
    "payment_card_partial_canceled_second": paid("PARTIAL_CANCELED", 10000, balance_amount=5000),
    "payment_card_aborted": paid("ABORTED", 15000, failure_code="REJECT_CARD_COMPANY"),
    "payment_expired_method_null": paid("EXPIRED", 22000, None),
    "payment_card_installment_discount_metadata": paid("DONE", 300000, metadata={"cart": "c-77", "channel": "app"}),
    "payment_easypay_money_done": paid("DONE", 50000, "간편결제"),
    "payment_transfer_done_with_cash_receipt": paid("DONE", 42000, "계좌이체"),
    "payment_mobile_phone_done": paid("DONE", 12000, "휴대폰"),
    "payment_gift_certificate_culture_done": paid("DONE", 10000, "문화상품권"),
    "payment_va_waiting_for_deposit": paid("WAITING_FOR_DEPOSIT", 55000, "가상계좌", balance_amount=None),
    "deposit_callback_waiting_for_deposit": paid("WAITING_FOR_DEPOSIT", 55000, "가상계좌", approved_at=None),
    "payment_va_done_duplicate_of_deposit": paid("DONE", 55000, "가상계좌"),
    "deposit_callback_done": paid("DONE", 55000, "가상계좌"),
    "deposit_callback_back_to_waiting_after_deposit_error": paid(
        "WAITING_FOR_DEPOSIT", 55000, "가상계좌", approved_at=None, balance_amount=None
    ),
    "deposit_callback_done_offset_created_at": paid("DONE", 55000, "가상계좌"),
    "deposit_callback_canceled": paid("CANCELED", 33000, "가상계좌", balance_amount=0),
    "deposit_callback_wrong_secret_forged": REFUSED,
    "payment_va_canceled_before_deposit": paid("CANCELED", 33000, "가상계좌", approved_at=None),
    "payment_card_usd_done": paid("DONE", 12.5, currency="USD"),
    "cancel_status_changed_done": REFUSED,  # no payment has this cancel
    "cancel_status_changed_aborted": REFUSED,
    "payment_brandpay_card_done": paid("DONE", 8800),
    "billing_deleted_with_reason": REFUSED,  # nobody has this key
    "method_updated_enabled": ACKNOWLEDGED,
    "method_updated_disabled": ACKNOWLEDGED,
    "method_updated_alias_updated": ACKNOWLEDGED,
    "customer_status_changed_created": ACKNOWLEDGED,
    "customer_status_changed_removed": ACKNOWLEDGED,
    "customer_status_changed_one_touch_activated": ACKNOWLEDGED,
    "customer_status_changed_one_touch_deactivated": ACKNOWLEDGED,
    "payout_changed_completed": Expected(
        200, "signature", "processed", settlement={"settlement_key": "payout:FPA_90001", "status": "COMPLETED"}
    ),
    "payout_changed_failed": Expected(
        200, "signature", "processed", settlement={"settlement_key": "payout:FPA_90002", "status": "FAILED"}
    ),
    "payout_changed_bad_signature": REFUSED,
    "payout_changed_signature_missing": REFUSED,
    "seller_changed_partially_approved_individual": Expected(200, "signature", "ignored"),
    "seller_changed_kyc_required": Expected(200, "signature", "ignored"),
    "ars_reservation_changed_done": ACKNOWLEDGED,
    "ars_reservation_changed_canceled": ACKNOWLEDGED,
    "unknown_future_event_type": ACKNOWLEDGED,
    "forged_done_without_toss_headers": REFUSED,
}


class KnowingToss(TossClient):
    """Answers about some payments."""

    keys = ()

    def __init__(self, payments: list[Mapping[str, Any]]) -> None:
        self.payments = payments

    async def payment(self, payment_key: str, **_options: Any) -> PaymentAnswer:
        return self._find("paymentKey", payment_key)

    async def payment_by_order(self, order_id: str, **_options: Any) -> PaymentAnswer:
        return self._find("orderId", order_id)

    def _find(self, name: str, value: str) -> PaymentAnswer:
        for payment in self.payments:
            if payment[name] == value:
                fields = read_body(raw_body(payment)).fields
                return PaymentAnswer(dt.datetime.now(dt.UTC), fields, Payment.model_validate(fields))
        raise TossNotFound("payment", code="NOT_FOUND_PAYMENT")


async def deliver(stack: Stack, name: str) -> httpx.Response:
    """Sends an example exactly as it came from Toss."""
    item = example(name)
    store = Store.open(stack.supabase_url, SUPABASE_KEY, 5.0)
    try:
        endpoint = WebhookEndpoint(
            Verifier(
                store,
                Keys((SECRET_KEY,), (SECURITY_KEY, OLDER_SECURITY_KEY)),
                LookupBudget(store, KnowingToss(known(name)), strangers_per_minute=300),
                accepts_unsigned=True,
                look_up_seconds=3.0,
                max_age=dt.timedelta(hours=ANY_AGE_HOURS),
            ),
            Recorder(store),
            SourceFilter(),
            max_body_bytes=262_144,
            deadline_seconds=8.0,
            on_pending=lambda: None,
            refused=RefusedLog(store),
        )
        app = Starlette(routes=[Route("/webhooks/toss", endpoint, methods=["POST"])])
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
            return await client.post("/webhooks/toss", content=item.raw, headers=item.headers)
    finally:
        await store.close()


@pytest.fixture
def empty(stack: Stack) -> Stack:
    """A project without rows: the examples contradict each other's history otherwise."""
    for table in ("payments", "settlements", "subscriptions", "webhook_events"):
        stack.data_api("DELETE", f"{table}?created_at=gt.1970-01-01").raise_for_status()
    return stack


def test_every_example_has_its_expectation() -> None:
    assert list(EXPECTED) == [item.name for item in examples()]


@pytest.mark.parametrize("name", EXPECTED)
def test_an_example_as_toss_sends_it(empty: Stack, name: str) -> None:
    expected = EXPECTED[name]
    answer = asyncio.run(deliver(empty, name))
    assert answer.status_code == expected.http_status
    if expected in (REFUSED, ACKNOWLEDGED):
        assert answer.text == ("Invalid signature" if expected is REFUSED else '{"status":"acknowledged"}')
        assert empty.rows("webhook_events") == empty.rows("payments") == empty.rows("settlements") == []
        return
    event = empty.row("webhook_events")
    assert (event["proof"], event["status"]) == (expected.proof, expected.status)
    if expected.proof == "toss_api":
        (answered,) = known(name)
        assert event["payload"]["data"] == answered
        assert event["payload"]["eventType"] == example(name).body.get("eventType", "DEPOSIT_CALLBACK")
    else:
        assert event["payload"] == example(name).body
    if expected.order:
        row = empty.row("payments")
        assert {column: row[column] for column in expected.order} == expected.order
        (payment,) = known(name)
        assert (row["payment_key"], row["order_id"]) == (payment["paymentKey"], payment["orderId"])
    else:
        assert empty.rows("payments") == []
    settlements = empty.rows("settlements")
    shown = [{column: row[column] for column in expected.settlement} for row in settlements]
    assert shown == ([expected.settlement] if expected.settlement else [])
