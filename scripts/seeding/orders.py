"""One made-up order: what happens to it, as Toss's webhooks and as Toss's Payment object."""

import datetime as dt
import random
from typing import Any, Self

Body = dict[str, Any]

SEOUL = dt.timezone(dt.timedelta(hours=9), "KST")

PRODUCTS = (
    ("원두 1kg", 24_000),
    ("무선 이어폰", 129_000),
    ("봄 원피스", 59_000),
    ("온라인 강의 수강권", 99_000),
    ("캠핑 의자", 45_000),
    ("유기농 쌀 10kg", 38_900),
    ("가죽 지갑", 79_000),
    ("한정판 머그", 18_000),
    ("드립백 세트", 9_900),
    ("텀블러 500ml", 32_000),
)
CUSTOMERS = ("김민준", "이서연", "박도윤", "최지우", "정하준", "강서현", "조은우", "윤지민", "장시우", "임수아")
FAILURES = (
    ("REJECT_CARD_COMPANY", "결제 승인이 거절되었습니다."),
    ("REJECT_ACCOUNT_PAYMENT", "잔액부족으로 결제에 실패했습니다."),
    ("EXCEED_MAX_AMOUNT", "거래금액 한도를 초과했습니다."),
)
REASONS = ("구매자 변심", "상품 품절", "배송 지연", "1개 반품")


class Order:
    """One payment of an order. Each step is one webhook at the order's current time, which `wait` advances."""

    def __init__(
        self, dice: random.Random, now: dt.datetime, order_id: str, method: str = "카드", currency: str = "KRW"
    ) -> None:
        self.dice = dice
        self.now = now
        self.webhooks: list[tuple[dt.datetime, Body]] = []
        self.settlement: Body | None = None
        name, price = dice.choice(PRODUCTS)
        count = dice.choices((1, 2, 3), (80, 15, 5))[0]
        self.amount: float = price * count if currency == "KRW" else round(price / 1300, 2)
        self.customer = dice.choice(CUSTOMERS)
        self.payment: Body = {
            "mId": "tseedshop01",
            "version": "2022-11-16",
            "lastTransactionKey": self._key("txrd_seed"),
            "paymentKey": self._key(f"tseed{now:%Y%m%d%H%M%S}"),
            "orderId": order_id,
            "orderName": name if count == 1 else f"{name} 외 {count - 1}건",
            "status": "READY",
            "requestedAt": _with_offset(now),
            "approvedAt": None,
            "method": method,
            "type": "NORMAL",
            "country": "KR",
            "currency": currency,
            "totalAmount": self.amount,
            "balanceAmount": self.amount,
            "secret": self._key("ps_seed"),
            "card": {"issuerCode": "61", "acquirerCode": "31", "number": "12345600****789*"}
            if method == "카드"
            else None,
            "virtualAccount": None,
            "cancels": None,
            "failure": None,
            "receipt": {"url": "https://dashboard.tosspayments.com/receipt/seed"},
        }

    def wait(self, low_seconds: int, high_seconds: int) -> Self:
        """Lets time pass."""
        self.now += dt.timedelta(seconds=self.dice.randint(low_seconds, high_seconds))
        return self

    def report(self, status: str, **changes: Any) -> Self:
        """A PAYMENT_STATUS_CHANGED with the payment as it is now."""
        self.payment = {**self.payment, **changes, "status": status}
        return self.send("PAYMENT_STATUS_CHANGED", self.payment)

    def send(self, event_type: str, data: Body) -> Self:
        """A webhook of this moment."""
        body = {"eventType": event_type, "createdAt": _without_offset(self.now), "data": data}
        self.webhooks.append((self.now, body))
        return self

    def pay(self) -> Self:
        """The money arrives."""
        return self.wait(20, 90).report("DONE", approvedAt=_with_offset(self.now))

    def fail(self) -> Self:
        """The approval fails."""
        code, message = self.dice.choice(FAILURES)
        return self.wait(20, 90).report("ABORTED", failure={"code": code, "message": message}, secret=None)

    def expire(self) -> Self:
        """The buyer never finishes."""
        return self.wait(1_800, 1_800).report("EXPIRED", method=None, secret=None)

    def issue_account(self) -> Self:
        """A virtual account waits for its deposit."""
        account = {
            "accountType": "일반",
            "accountNumber": f"X{self.dice.randrange(10**13):013d}",
            "bankCode": "20",
            "customerName": self.customer,
            "dueDate": _with_offset(self.now + dt.timedelta(days=7)),
            "expired": False,
        }
        return self.wait(5, 60).report("WAITING_FOR_DEPOSIT", virtualAccount=account)

    def revert_deposit(self) -> Self:
        """The bank takes the deposit back."""
        return self.wait(30, 110).report("WAITING_FOR_DEPOSIT", approvedAt=None)

    def refund(self, part: float = 1.0) -> Self:
        """Refunds a part of what is left, 1.0 for all of it."""
        balance = self.payment["balanceAmount"]
        amount = balance if part >= 1 else round(balance * part)
        cancel = {
            "transactionKey": self._key("txrd_seedc"),
            "cancelAmount": amount,
            "cancelReason": self.dice.choice(REASONS),
            "refundableAmount": balance - amount,
            "canceledAt": _with_offset(self.now),
            "cancelStatus": "DONE",
        }
        is_whole = part >= 1 and not self.payment["cancels"]
        cancels = [*(self.payment["cancels"] or []), cancel]
        return self.report(
            "CANCELED" if is_whole else "PARTIAL_CANCELED", cancels=cancels, balanceAmount=balance - amount
        )

    def settle(self) -> Self:
        """The shop gets the money two days later, less a fee."""
        sold_on = self.now.date()
        self.now = dt.datetime.combine(sold_on + dt.timedelta(days=2), dt.time(9, 5), SEOUL)
        fee = round(self.amount * 0.03)
        self.settlement = {
            **{name: self.payment[name] for name in ("paymentKey", "orderId", "currency")},
            "transactionKey": self.payment["lastTransactionKey"],
            "amount": self.amount,
            "fee": fee,
            "payOutAmount": self.amount - fee,
            "soldDate": f"{sold_on:%Y-%m-%d}",
            "paidOutDate": f"{self.now:%Y-%m-%d}",
        }
        return self.send("SETTLEMENT_COMPLETED", self.settlement)

    def _key(self, prefix: str) -> str:
        return f"{prefix}{self.dice.randrange(16**10):010x}"


def _with_offset(moment: dt.datetime) -> str:
    return moment.isoformat(timespec="seconds")


def _without_offset(moment: dt.datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds")
