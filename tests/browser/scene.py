"""A day of a shop, delivered to the service as Toss would, and spread over the hours by hand."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import httpx

from supatoss.toss.fields import SEOUL
from tests.support import raw_body, signed_headers

PRODUCTS = ("무선 이어폰", "봄 원피스", "원두 1kg", "온라인 강의 수강권", "캠핑 의자", "유기농 쌀 10kg")
BUSY = (1, 0, 0, 1, 0, 1, 2, 3, 4, 3, 4, 5, 4, 3, 4, 4, 5, 6, 5, 4, 3, 3, 2, 1)
"""Payments in each of the last 24 hours, oldest first."""

DIFFERS = "tdestdiffers00000"
"""How the payment keys of the open differences begin; a digit follows."""


@dataclass
class Shop:
    """A running service, its Supabase project, and what is delivered to it."""

    url: str
    supabase_url: str
    supabase_key: str
    http: httpx.Client
    now: dt.datetime = field(default_factory=lambda: dt.datetime.now(SEOUL))

    def deliver(self, body: object, times: int = 1, headers: dict[str, str] | None = None) -> dict[str, Any]:
        """One signed delivery, or several of the same; the answer to the last one."""
        raw = body if isinstance(body, bytes) else raw_body(body)
        sent = headers if headers is not None else signed_headers(raw, sent_at=f"{self.now:%Y-%m-%dT%H:%M:%S}+09:00")
        answers = [self.http.post(f"{self.url}/webhooks/toss", content=raw, headers=sent) for _ in range(times)]
        return cast("dict[str, Any]", answers[-1].json()) if answers[-1].is_success else {}

    def api(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One call of the Data API, as the application or the SQL editor would make it."""
        response = self.http.request(
            method, f"{self.supabase_url}/rest/v1/{path}", headers={"apikey": self.supabase_key}, **options
        )
        response.raise_for_status()
        return response

    def row(self, path: str) -> dict[str, Any]:
        (found,) = self.api("GET", path).json()
        return cast("dict[str, Any]", found)

    def order(self, order_id: str, amount: int) -> None:
        """The application asks for an order to be paid."""
        self.api(
            "POST",
            "payments",
            json={
                "order_id": order_id,
                "payment_key": f"placeholder-{order_id}",
                "order_name": "무선 이어폰",
                "amount": amount,
                "payment_status": "PENDING",
            },
        )

    def payment(
        self, order_id: str, status: str, minutes_ago: float, key: str | None = None, **data: Any
    ) -> dict[str, Any]:
        """A PAYMENT_STATUS_CHANGED."""
        at = self.now - dt.timedelta(minutes=minutes_ago)
        payment: dict[str, Any] = {
            "mId": "tdestiny01",
            "paymentKey": key or f"tdest{order_id.replace('-', '')}a1b2c3",
            "orderId": order_id,
            "orderName": "무선 이어폰",
            "status": status,
            "method": "카드",
            "currency": "KRW",
            "totalAmount": 37_400,
            "requestedAt": f"{at - dt.timedelta(seconds=40):%Y-%m-%dT%H:%M:%S}+09:00",
            "secret": f"ps_{order_id}",
            "card": {"number": "43301234****123*", "approveNo": "00000000"},
            "receipt": {"url": f"https://dashboard.tosspayments.com/receipt/{order_id}"},
            **data,
        }
        if status in ("DONE", "PARTIAL_CANCELED", "CANCELED"):
            payment.setdefault("approvedAt", f"{at:%Y-%m-%dT%H:%M:%S}+09:00")
        return {
            "eventType": "PAYMENT_STATUS_CHANGED",
            "createdAt": f"{at:%Y-%m-%dT%H:%M:%S.%f}",
            "data": payment,
        }

    def cancel(self, key: str, amount: int, minutes_ago: float, reason: str) -> dict[str, Any]:
        at = self.now - dt.timedelta(minutes=minutes_ago)
        return {
            "transactionKey": key,
            "cancelAmount": amount,
            "cancelReason": reason,
            "cancelStatus": "DONE",
            "canceledAt": f"{at:%Y-%m-%dT%H:%M:%S}+09:00",
        }

    def place(self, event: dict[str, Any], minutes_ago: float) -> None:
        """Moves the arrival of an event back, as if it had come then."""
        at = (self.now - dt.timedelta(minutes=minutes_ago)).isoformat()
        self.api(
            "PATCH",
            f"webhook_events?id=eq.{event['event']}",
            json=dict.fromkeys(("created_at", "last_delivered_at", "transmission_time"), at),
        )


def play_day(shop: Shop) -> None:
    """Everything that the pages show."""
    for number, minutes_ago in _arrivals():
        status = "ABORTED" if number % 17 == 3 else "DONE"
        body = shop.payment(
            f"order-{number:06d}",
            status,
            minutes_ago,
            orderName=PRODUCTS[number % len(PRODUCTS)],
            totalAmount=9_900 + (number * 7_300) % 180_000,
        )
        shop.place(shop.deliver(body, times=2 if number % 9 == 0 else 1), minutes_ago)
    for hours_ago in (2, 7, 13):
        unknown = {
            "eventType": "PROMOTION_CHANGED",
            "createdAt": f"{shop.now:%Y-%m-%dT%H:00:00}",
            "data": {"id": hours_ago},
        }
        shop.place(shop.deliver(unknown), hours_ago * 60)

    _partly_cancelled(shop)
    _amount_mismatch(shop)
    shop.place(shop.deliver(shop.payment("order-twice-0001", "DONE", 190, key="tdestfirst00000001")), 190)
    shop.place(shop.deliver(shop.payment("order-twice-0001", "DONE", 180, key="tdestsecond0000002")), 180)
    _billing(shop)
    _account(shop)
    _reconciled(shop)
    _alerted(shop)
    dollars = shop.payment("order-paypal-0001", "DONE", 75, method="해외간편결제", currency="USD", totalAmount=12.34)
    shop.place(shop.deliver(dollars), 75)
    broken = {
        "eventType": "PAYMENT_STATUS_CHANGED",
        "createdAt": f"{shop.now:%Y-%m-%dT%H:%M:%S}",
        "data": {"status": "DONE"},
    }
    shop.place(shop.deliver(broken), 320)
    for _ in range(3):
        shop.deliver({"eventType": "PAYMENT_STATUS_CHANGED"}, headers={})
    shop.deliver(b"not json")


def _arrivals() -> Iterator[tuple[int, float]]:
    number = 0
    for hours_ago, payments in zip(range(len(BUSY) - 1, -1, -1), BUSY, strict=True):
        for place in range(payments):
            number += 1
            yield number, hours_ago * 60 + 3 + place * 4.5


def _partly_cancelled(shop: Shop) -> None:
    order = "order-parts-0001"
    paid_at = f"{shop.now - dt.timedelta(minutes=540):%Y-%m-%dT%H:%M:%S}+09:00"
    account: dict[str, Any] = {"orderName": "캠핑 의자 외 2건", "totalAmount": 128_000}
    first = shop.cancel("C1", 30_000, 300, "1개 반품")
    second = shop.cancel("C2", 12_500, 45, "배송이 너무 늦어져서 구매자가 나머지 상품의 일부를 취소해 달라고 요청함")
    story: tuple[tuple[int, str, dict[str, Any]], ...] = (
        (
            600,
            "WAITING_FOR_DEPOSIT",
            {
                "method": "가상계좌",
                "virtualAccount": {
                    "accountNumber": "X6505636518308",
                    "bankCode": "20",
                    "customerName": "김토스",
                    "dueDate": f"{shop.now + dt.timedelta(days=3):%Y-%m-%dT%H:%M:%S}+09:00",
                },
            },
        ),
        (540, "DONE", {"method": "가상계좌"}),
        (
            300,
            "PARTIAL_CANCELED",
            {"method": "가상계좌", "approvedAt": paid_at, "cancels": [first], "balanceAmount": 98_000},
        ),
        (
            45,
            "PARTIAL_CANCELED",
            {"method": "가상계좌", "approvedAt": paid_at, "cancels": [first, second], "balanceAmount": 85_500},
        ),
    )
    for minutes_ago, status, data in story:
        shop.place(shop.deliver(shop.payment(order, status, minutes_ago, **account, **data), times=2), minutes_ago)
    settled = {
        "eventType": "SETTLEMENT_COMPLETED",
        "createdAt": f"{shop.now - dt.timedelta(minutes=20):%Y-%m-%dT%H:%M:%S}",
        "data": {
            "orderId": order,
            "amount": 85_500,
            "fee": 2_565,
            "payOutAmount": 82_935,
            "currency": "KRW",
            "soldDate": f"{shop.now:%Y-%m-%d}",
            "paidOutDate": f"{shop.now:%Y-%m-%d}",
        },
    }
    shop.place(shop.deliver(settled), 20)


def _amount_mismatch(shop: Shop) -> None:
    shop.order("order-amount-0001", 99_000)
    shop.place(shop.deliver(shop.payment("order-amount-0001", "DONE", 30, totalAmount=9_900), times=3), 30)


def _billing(shop: Shop) -> None:
    issued = {
        "eventType": "BILLING_KEY_ISSUED",
        "data": {
            "billingKey": "billing_key_of_a_customer_0001",
            "customerKey": "customer_123",
            "issuedAt": f"{shop.now - dt.timedelta(minutes=400):%Y-%m-%dT%H:%M:%S}+09:00",
        },
    }
    shop.place(shop.deliver(issued), 400)


def _account(shop: Shop) -> None:
    """A deposit that only Toss can bear out, which does not answer here: it waits."""
    at = shop.now - dt.timedelta(minutes=14)
    deposit = {
        "eventType": "VIRTUAL_ACCOUNT_DEPOSIT",
        "data": {
            "paymentKey": "tdestaccount000001",
            "orderId": "order-account-0001",
            "secret": "secret_of_the_account",
            "depositedAt": f"{at:%Y-%m-%dT%H:%M:%S}+09:00",
        },
    }
    shop.place(shop.deliver(deposit), 14)


def _reconciled(shop: Shop) -> None:
    """A run that lacked a key, with differences that nobody repaired."""
    run = "6f6e6c79-0000-4000-8000-000000000001"
    day = f"{shop.now - dt.timedelta(days=1):%Y-%m-%d}"
    at = shop.now.isoformat()
    row: dict[str, Any] = {
        "id": run,
        "kind": "payments",
        "started_by": "schedule",
        "first_day": day,
        "last_day": day,
        "day": day,
    }
    row |= {"closes_at": at, "status": "finished", "finished_at": at, "compared": 1200}
    shop.api("POST", "peek_reconciliations", json={**row, "incomplete": {"key 2 (…wxyz)": "UNAUTHORIZED_KEY"}})
    done = {"status": "DONE", "amount": "37400", "currency": "KRW", "approved_at": at}
    asked = {"status": "PENDING", "amount": "37400", "currency": "KRW", "approved_at": None}
    for number, (kind, ours, theirs, outcome, reason) in enumerate(
        (
            ("missing", {}, done, "found", None),
            ("status", asked, done, "found", None),
            ("extra", done, {}, "needs_person", "unknown_to_toss"),
        )
    ):
        finding = {"reconciliation_id": run, "subject": f"{DIFFERS}{number}", "kind": kind, "day": day}
        named = {"payment_key": f"{DIFFERS}{number}", "order_id": f"order-differs-000{number}"}
        said = {"ours": ours, "theirs": theirs, "outcome": outcome, "reason": reason}
        shop.api("POST", "peek_reconciliation_findings", json=finding | named | said)


def _alerted(shop: Shop) -> None:
    """An alert of yesterday that is over."""
    began, ended = (shop.now - dt.timedelta(hours=hours) for hours in (30, 29))
    alert = {
        "rule": "toss_away",
        "subject": "",
        "details": {"minutes": 12, "keys": "key 1 (…0001)", "problem": "timeout"},
        "started_at": began.isoformat(),
        "seen_at": ended.isoformat(),
        "ended_at": ended.isoformat(),
        "start_told_at": began.isoformat(),
        "end_told_at": ended.isoformat(),
    }
    shop.api("POST", "peek_alerts", json=alert)
