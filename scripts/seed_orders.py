"""Made-up orders and customers: the history of each as webhook bodies, in order of occurrence."""

import datetime as dt
import random
from collections.abc import Callable, Iterator
from typing import Any

from supatoss.toss.fields import SEOUL

Body = dict[str, Any]
History = list[Body]

START = dt.datetime(2026, 1, 2, 9, 0, tzinfo=SEOUL)
"""Fixed, so that the same seed creates the same events on any day."""

SPAN_DAYS = 120
METHODS = ("카드", "간편결제", "휴대폰", "계좌이체", "문화상품권", "도서문화상품권", "게임문화상품권")
PRODUCTS = (
    "무선 이어폰",
    "봄 원피스",
    "원두 1kg",
    "온라인 강의 수강권",
    "캠핑 의자",
    "유기농 쌀 10kg",
    "가죽 지갑",
    "한정판 머그",
)
FAILURES = (
    ("REJECT_CARD_COMPANY", "결제 승인이 거절되었습니다."),
    ("REJECT_ACCOUNT_PAYMENT", "잔액부족으로 결제에 실패했습니다."),
    ("EXCEED_MAX_AMOUNT", "거래금액 한도를 초과했습니다."),
)
REASONS = ("구매자 변심", "상품 품절", "배송 지연", "1개 반품")


class Order:
    """One order and the events that Toss sends about it."""

    def __init__(self, number: int, seed: int, method: str | None = None, currency: str = "KRW") -> None:
        self.random = random.Random(f"{seed}:payment:{number}")  # noqa: S311 - test data, and the same each time
        self.now = START + dt.timedelta(seconds=self.random.randrange(SPAN_DAYS * 86_400))
        self.requested_at = self.now
        self.events: History = []
        quantity = self.random.randint(1, 5)
        product = self.random.choice(PRODUCTS)
        amount = self.random.randrange(1_000, 300_000, 100)
        self.amount: float = amount if currency == "KRW" else amount // 1000 + 0.99
        self.payment: Body = {
            "mId": "tseedshop01",
            "version": "2022-11-16",
            "paymentKey": f"tseed{self.now:%Y%m%d%H%M%S}{seed % 10_000:04d}{number:07d}",
            "orderId": f"seed-{seed}-{number:07d}",
            "orderName": product if quantity == 1 else f"{product} 외 {quantity - 1}건",
            "requestedAt": _with_offset(self.now),
            "approvedAt": None,
            "method": method or self.random.choice(METHODS),
            "currency": currency,
            "totalAmount": self.amount,
            "balanceAmount": self.amount,
            "secret": f"ps_seed{self.random.randrange(16**20):020x}",
            "cancels": None,
            "failure": None,
            "receipt": {"url": "https://dashboard.tosspayments.com/receipt/seed"},
        }

    def wait(self, low_seconds: int, high_seconds: int) -> "Order":
        """Lets time pass."""
        self.now += dt.timedelta(seconds=self.random.randint(low_seconds, high_seconds))
        return self

    def report(self, status: str, **changes: Any) -> "Order":
        """Adds a PAYMENT_STATUS_CHANGED with the payment as it is now."""
        self.payment = {**self.payment, **changes, "status": status}
        self.events.append(
            {"eventType": "PAYMENT_STATUS_CHANGED", "createdAt": _without_offset(self.now), "data": self.payment}
        )
        return self

    def approve(self) -> "Order":
        """The money arrives."""
        return self.report("DONE", approvedAt=_with_offset(self.now))

    def cancel(self, part: float) -> "Order":
        """Refunds a part of the balance, 1.0 for all of it."""
        balance = self.payment["balanceAmount"]
        amount = balance if part >= 1 else round(balance * part, 2 if self.payment["currency"] == "USD" else None)
        left = round(balance - amount, 2)
        item = {
            "transactionKey": f"{self.random.randrange(16**32):032X}",
            "cancelAmount": amount,
            "cancelReason": self.random.choice(REASONS),
            "refundableAmount": left,
            "canceledAt": _with_offset(self.now),
            "cancelStatus": "DONE",
        }
        is_whole = part >= 1 and not self.payment["cancels"]
        cancels = [*(self.payment["cancels"] or []), item]
        return self.report("CANCELED" if is_whole else "PARTIAL_CANCELED", cancels=cancels, balanceAmount=left)

    def issue_account(self) -> "Order":
        """A virtual account waits for its deposit."""
        account = {
            "accountType": "일반",
            "accountNumber": f"X{self.random.randrange(10**13):013d}",
            "bankCode": "20",
            "customerName": "홍길동",
            "dueDate": _with_offset(self.now + dt.timedelta(days=7)),
            "expired": False,
        }
        return self.report("WAITING_FOR_DEPOSIT", virtualAccount=account)

    def settle(self) -> "Order":
        """The shop gets the money, less a fee."""
        self.now += dt.timedelta(days=3)
        fee = round(self.amount * 0.03)
        data = {
            "paymentKey": self.payment["paymentKey"],
            "orderId": self.payment["orderId"],
            "amount": self.amount,
            "fee": fee,
            "payOutAmount": self.amount - fee,
            "currency": self.payment["currency"],
            "soldDate": f"{self.requested_at:%Y-%m-%d}",
            "paidOutDate": f"{self.now:%Y-%m-%d}",
        }
        self.events.append({"eventType": "SETTLEMENT_COMPLETED", "createdAt": _without_offset(self.now), "data": data})
        return self


def _failed(order: Order) -> Order:
    code, message = order.random.choice(FAILURES)
    return order.wait(20, 90).report("ABORTED", failure={"code": code, "message": message}, secret=None)


def _account(order: Order) -> Order:
    return order.wait(5, 60).issue_account()


def _paid(order: Order) -> Order:
    return order.wait(20, 90).approve()


def _canceled(order: Order) -> Order:
    return _paid(order).wait(3_600, 500_000).cancel(1)


def _canceled_in_parts(order: Order) -> Order:
    return _paid(order).wait(3_600, 90_000).cancel(0.3).wait(3_600, 90_000).cancel(0.5)


def _canceled_step_by_step(order: Order) -> Order:
    return _paid(order).wait(3_600, 90_000).cancel(0.5).wait(3_600, 90_000).cancel(1)


def _failed_in_the_guides_words(order: Order) -> Order:
    return order.wait(20, 90).report("FAILED", failure={"code": "UNKNOWN", "message": "결제 실패"}, secret=None)


def _deposited(order: Order) -> Order:
    return _account(order).wait(600, 400_000).approve()


def _deposit_error(order: Order) -> Order:
    return _deposited(order).wait(30, 110).report("WAITING_FOR_DEPOSIT", approvedAt=None)


_HISTORIES: tuple[tuple[int, str | None, str, Callable[[Order], Order]], ...] = (
    # weight, method, currency, history
    (38, None, "KRW", _paid),
    (12, None, "KRW", lambda order: _paid(order).settle()),
    (8, None, "KRW", _canceled),
    (6, None, "KRW", _canceled_in_parts),
    (2, None, "KRW", _canceled_step_by_step),
    (8, None, "KRW", _failed),
    (5, None, "KRW", lambda order: order.wait(1_800, 1_800).report("EXPIRED", method=None, secret=None)),
    (1, None, "KRW", lambda order: order.report("READY", method=None)),
    (1, None, "KRW", lambda order: order.wait(20, 90).report("IN_PROGRESS")),
    (1, None, "KRW", _failed_in_the_guides_words),
    (5, "가상계좌", "KRW", _account),
    (7, "가상계좌", "KRW", _deposited),
    (2, "가상계좌", "KRW", _deposit_error),
    (2, "가상계좌", "KRW", lambda order: _account(order).wait(600, 90_000).cancel(1)),
    (2, "카드", "USD", lambda order: _paid(order).wait(3_600, 90_000).cancel(0.25)),
)


def payment_histories(count: int, seed: int) -> Iterator[History]:
    """Histories of `count` orders. The first ones cover every kind in turn, so that few orders show all statuses."""
    chooser = random.Random(f"{seed}:payments")  # noqa: S311 - test data
    for number in range(count):
        choice = chooser.choices(range(len(_HISTORIES)), [weight for weight, *_ in _HISTORIES])[0]
        _, method, currency, tell = _HISTORIES[number if number < len(_HISTORIES) else choice]
        if method is None:
            method = METHODS[number % len(METHODS)]
        yield tell(Order(number, seed, method, currency)).events


_BILLING_STEPS: tuple[tuple[tuple[str, int], ...], ...] = (
    (("issued", 0),),
    (("issued", 0), ("issued", 1), ("deleted", 0)),
    (("issued", 0), ("deleted", 0)),
    (("issued", 0), ("deleted", 0), ("issued", 1)),
)


def subscription_histories(count: int, seed: int) -> Iterator[History]:
    """Histories of `count` customers: one key, a changed card, a deleted key, a customer who returns."""
    for number in range(count):
        chance = random.Random(f"{seed}:subscription:{number}")  # noqa: S311 - test data
        now = START + dt.timedelta(seconds=chance.randrange(SPAN_DAYS * 86_400))
        kind = number % 4 if number < 4 else chance.choices(range(4), (70, 12, 12, 6))[0]
        steps = _BILLING_STEPS[kind]
        history: History = []
        for day, (action, card) in enumerate(steps):
            moment = now + dt.timedelta(days=10 * day)
            key = f"seedBillingKey-{seed}-{number:07d}-{card}="
            if action == "issued":
                data = {
                    "billingKey": key,
                    "customerKey": f"seed-customer-{seed}-{number:07d}",
                    "issuedAt": _with_offset(moment),
                }
                history.append({"eventType": "BILLING_KEY_ISSUED", "data": data})
            else:
                data = {"billingKey": key, "reason": "가맹점 요청"}
                history.append({"eventType": "BILLING_DELETED", "createdAt": _without_offset(moment), "data": data})
        yield history


def _with_offset(moment: dt.datetime) -> str:
    return moment.isoformat(timespec="seconds")


def _without_offset(moment: dt.datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds")
