"""A Toss whose days are over: transactions at times of a test's own, and the payments behind them."""

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import httpx

from supatoss.toss.client import TossClient
from supatoss.toss.fields import SEOUL
from tests.reconcile.conftest import LIVE_KEY, TOSS_URL

Trouble = Callable[[httpx.Request], httpx.Response | None]


@dataclass
class Book(httpx.AsyncBaseTransport):
    """Answers from its rows. `trouble` may answer a request in its place, or raise."""

    payments: dict[str, dict[str, Any]] = field(default_factory=dict)
    transactions: list[dict[str, Any]] = field(default_factory=list)
    settlements: list[dict[str, Any]] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)
    trouble: Trouble = lambda _request: None

    def paid(self, order: str, at: str, amount: int = 10_000, **transaction: Any) -> dict[str, Any]:
        """A payment that was approved at a time in Korea."""
        key = f"pay-{order}"
        payment = {
            "paymentKey": key,
            "orderId": order,
            "status": "DONE",
            "totalAmount": amount,
            "balanceAmount": amount,
            "currency": "KRW",
            "approvedAt": f"{at}+09:00",
            "lastTransactionKey": f"tx-{order}",
            "cancels": None,
        }
        self.payments[key] = payment
        self._list(payment, f"tx-{order}", "DONE", amount, at)
        self.transactions[-1] |= transaction
        return payment

    def canceled(
        self, payment: dict[str, Any], at: str, *, amount: int, listed_as: int | None = None
    ) -> dict[str, Any]:
        """A cancel of all or a part of it; `listed_as` is the amount that the list shows, signed or not."""
        key = f"tx-{payment['orderId']}-c{len(payment['cancels'] or []) + 1}"
        item = {
            "transactionKey": key,
            "cancelAmount": amount,
            "cancelStatus": "DONE",
            "canceledAt": f"{at}+09:00",
            "cancelReason": "구매자 변심",
        }
        payment["cancels"] = [*(payment["cancels"] or []), item]
        payment["balanceAmount"] -= amount
        payment["status"] = "CANCELED" if amount == payment["totalAmount"] else "PARTIAL_CANCELED"
        payment["lastTransactionKey"] = key
        self._list(payment, key, payment["status"], amount if listed_as is None else listed_as, at)
        return payment

    def listings(self) -> list[dict[str, str]]:
        """The queries for transactions."""
        return [dict(request.url.params) for request in self.requests if request.url.path == "/v1/transactions"]

    def look_ups(self) -> list[str]:
        """The payments that were asked for."""
        return [
            request.url.path.rsplit("/", 1)[1]
            for request in self.requests
            if request.url.path.startswith("/v1/payments/")
        ]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.trouble(request)
        return answer or self._answer(request)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        query = dict(request.url.params)
        match request.url.path.split("/"):
            case ["", "v1", "transactions"]:
                start, end = (dt.datetime.fromisoformat(query[name]) for name in ("startDate", "endDate"))
                rows = [row for row in self.transactions if start <= _naive(row["transactionAt"]) <= end]
                keys = [row["transactionKey"] for row in rows]
                after = keys.index(query["startingAfter"]) + 1 if query.get("startingAfter") in keys else 0
                return _ok(rows[after : after + int(query["limit"])])
            case ["", "v1", "settlements"]:
                rows = [row for row in self.settlements if query["startDate"] <= row["soldDate"] <= query["endDate"]]
                first = (int(query["page"]) - 1) * int(query["size"])
                return _ok(rows[first : first + int(query["size"])])
            case ["", "v1", "payments", "orders", order]:
                found = [item for item in self.payments.values() if item["orderId"] == unquote(order)]
            case ["", "v1", "payments", key]:
                found = [item for name, item in self.payments.items() if name == unquote(key)]
            case _:
                found = []
        if found:
            return _ok(found[-1])
        return httpx.Response(404, json={"code": "NOT_FOUND_PAYMENT", "message": "존재하지 않는 결제"})

    def _list(self, payment: dict[str, Any], key: str, status: str, amount: int, at: str) -> None:
        row = {
            "mId": "made-up",
            "transactionKey": key,
            "paymentKey": payment["paymentKey"],
            "orderId": payment["orderId"],
            "method": "카드",
            "status": status,
            "transactionAt": f"{at}+09:00",
            "currency": "KRW",
            "amount": amount,
        }
        self.transactions.append(row)


def open_book(book: Book) -> TossClient:
    return TossClient(TOSS_URL, [LIVE_KEY], transport=book)


def _ok(body: object) -> httpx.Response:
    return httpx.Response(200, content=json.dumps(body, ensure_ascii=False).encode())


def _naive(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).astimezone(SEOUL).replace(tzinfo=None)
