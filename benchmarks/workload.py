"""Deliveries to measure with: the same for the same seed, about 1.4 kB each, like Toss's."""

import datetime as dt
import json
import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from supatoss.toss.fields import SEOUL

SECRET_KEY = "test_sk_made_up_for_benchmarks_0001"  # noqa: S105 - opens nothing
FIRST_APPROVAL = dt.datetime(2026, 3, 14, 10, 0, 0, tzinfo=SEOUL)

_NAMES = ("토스 티셔츠", "가상 머그컵", "무선 이어폰", "제주 감귤 5kg", "온라인 강의", "고양이 사료")
_CANCELED_SHARE = 0.2
_PARTLY_CANCELED_SHARE = 0.1


class OrderMix(StrEnum):
    """What happens to orders. PAID: one DONE event each. MIXED: some are cancelled, at once or in two parts."""

    PAID = "paid"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class Sending:
    """One delivery: its body, when it was sent, and how often its event had been sent before."""

    body: bytes
    transmission_time: str
    retried_count: int


def plan(
    count: int, duplicate_share: float = 0.0, mix: OrderMix = OrderMix.PAID, seed: int = 1, *, shuffle: bool = True
) -> tuple[Sending, ...]:
    """`count` deliveries; `duplicate_share` of them (0 to below 1) repeat another one's event.

    Shuffled, a cancel may come before its approval, and a duplicate long after its original.
    """
    rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
    distinct = max(1, round(count * (1 - duplicate_share)))
    bodies: list[bytes] = []
    order = 0
    while len(bodies) < distinct:
        bodies += [_bytes(event) for event in _events(order, mix, seed, rng)][: distinct - len(bodies)]
        order += 1
    sent = [*bodies, *rng.choices(bodies, k=count - distinct)]
    if shuffle:
        rng.shuffle(sent)
    times_sent: dict[bytes, int] = {}
    sendings = []
    for number, body in enumerate(sent):
        before = times_sent.get(body, 0)
        times_sent[body] = before + 1
        moment = FIRST_APPROVAL + dt.timedelta(milliseconds=number)
        sendings.append(Sending(body, moment.isoformat(timespec="seconds"), before))
    return tuple(sendings)


def orders_of(seed: int) -> tuple[str, str]:
    """The range of a seed's order ids: the first, and the end, which is not included."""
    return f"bench-{seed:04d}", f"bench-{seed + 1:04d}"


def four_events(seed: int) -> tuple[Sending, ...]:
    """One order that is paid and then cancelled in three parts: a template for large tables."""
    rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
    payment = _payment(0, 30_000, FIRST_APPROVAL, seed, rng)
    cancels = [_cancelled(payment, [10_000] * parts, FIRST_APPROVAL, rng) for parts in (1, 2, 3)]
    sent_at = FIRST_APPROVAL.isoformat(timespec="seconds")
    return tuple(Sending(_bytes(event), sent_at, 0) for event in (_event(payment, FIRST_APPROVAL), *cancels))


def deposits(count: int, seed: int) -> tuple[tuple[Sending, ...], ...]:
    """`count` orders paid by deposit: the events that issue the accounts, those that pay, and those that cancel."""
    rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
    stories = []
    for order in range(count):
        approved = FIRST_APPROVAL + dt.timedelta(seconds=order)
        payment = {**_payment(order, 30_000, approved, seed, rng), "method": "가상계좌", "card": None}
        payment["virtualAccount"] = {
            "accountType": "일반",
            "accountNumber": f"{rng.randrange(10**14):014d}",
            "bankCode": "20",
            "customerName": "김토스",
            "dueDate": (approved + dt.timedelta(days=3)).isoformat(),
            "expired": False,
            "settlementStatus": "INCOMPLETED",
            "refundStatus": "NONE",
            "refundReceiveAccount": None,
        }
        issued = {**payment, "status": "WAITING_FOR_DEPOSIT", "approvedAt": None}
        stories.append(
            (
                _event(issued, approved - dt.timedelta(minutes=20)),
                _event(payment, approved),
                _cancelled(payment, [30_000], approved, rng),
            )
        )
    sent_at = FIRST_APPROVAL.isoformat(timespec="seconds")
    return tuple(tuple(Sending(_bytes(event), sent_at, 0) for event in stage) for stage in zip(*stories, strict=True))


def _bytes(event: dict[str, Any]) -> bytes:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


def _events(order: int, mix: OrderMix, seed: int, rng: random.Random) -> list[dict[str, Any]]:
    """The events of one order, oldest first."""
    amount = rng.randrange(1_000, 500_000, 100)
    approved = FIRST_APPROVAL + dt.timedelta(seconds=order)
    payment = _payment(order, amount, approved, seed, rng)
    events = [_event(payment, approved)]
    drawn = rng.random() if mix is OrderMix.MIXED else 1.0
    if drawn < _PARTLY_CANCELED_SHARE:
        events.append(_cancelled(payment, [amount // 2], approved, rng))
        events.append(_cancelled(payment, [amount // 2, amount - amount // 2], approved, rng))
    elif drawn < _PARTLY_CANCELED_SHARE + _CANCELED_SHARE:
        events.append(_cancelled(payment, [amount], approved, rng))
    return events


def _event(payment: dict[str, Any], moment: dt.datetime) -> dict[str, Any]:
    """Toss's envelope: `createdAt` has microseconds and no offset."""
    created_at = (moment + dt.timedelta(milliseconds=405)).replace(tzinfo=None).isoformat(timespec="microseconds")
    return {"createdAt": created_at, "eventType": "PAYMENT_STATUS_CHANGED", "data": payment}


def _cancelled(
    payment: dict[str, Any], amounts: list[int], approved: dt.datetime, rng: random.Random
) -> dict[str, Any]:
    left = payment["totalAmount"]
    cancels = []
    moment = approved
    for number, amount in enumerate(amounts):
        left -= amount
        moment = approved + dt.timedelta(hours=1 + number)
        cancels.append(
            {
                "transactionKey": f"{payment['lastTransactionKey']}{number}",
                "cancelReason": rng.choice(("구매자 변심", "품절")),
                "cancelAmount": amount,
                "taxFreeAmount": 0,
                "refundableAmount": left,
                "canceledAt": moment.isoformat(),
                "cancelStatus": "DONE",
            }
        )
    status = "PARTIAL_CANCELED" if left else "CANCELED"
    return _event({**payment, "status": status, "balanceAmount": left, "cancels": cancels}, moment)


def _payment(order: int, amount: int, approved: dt.datetime, seed: int, rng: random.Random) -> dict[str, Any]:
    """A complete Payment object of a card payment that is DONE."""
    mark = f"{seed:04d}{order:08d}"
    payment_key = f"tbench20260314{mark}Qw7Zx"
    vat = amount // 11
    return {
        "mId": "tbenchshop01",
        "lastTransactionKey": f"txrd_a01kkmyxj{mark}zab5rrb",
        "paymentKey": payment_key,
        "orderId": f"bench-{mark}",
        "orderName": f"{rng.choice(_NAMES)} 외 {rng.randint(1, 9)}건",
        "taxExemptionAmount": 0,
        "status": "DONE",
        "requestedAt": (approved - dt.timedelta(seconds=27)).isoformat(),
        "approvedAt": approved.isoformat(),
        "useEscrow": False,
        "cultureExpense": False,
        "card": {
            "issuerCode": "61",
            "acquirerCode": "31",
            "number": "12345600****789*",
            "installmentPlanMonths": 0,
            "isInterestFree": False,
            "interestPayer": None,
            "approveNo": f"{rng.randrange(10**8):08d}",
            "useCardPoint": False,
            "cardType": "신용",
            "ownerType": "개인",
            "acquireStatus": "READY",
            "amount": amount,
        },
        **dict.fromkeys(("virtualAccount", "transfer", "mobilePhone", "giftCertificate", "cashReceipt")),
        **dict.fromkeys(("cashReceipts", "discount", "cancels")),
        "secret": f"ps_{rng.getrandbits(144):036x}"[:31],
        "type": "NORMAL",
        "easyPay": None,
        "country": "KR",
        "failure": None,
        "isPartialCancelable": True,
        "receipt": {
            "url": f"https://dashboard.tosspayments.com/receipt/redirection?transactionId={payment_key}&ref=PX"
        },
        "checkout": {"url": f"https://api.tosspayments.com/v1/payments/{payment_key}/checkout"},
        "currency": "KRW",
        "totalAmount": amount,
        "balanceAmount": amount,
        "suppliedAmount": amount - vat,
        "vat": vat,
        "taxFreeAmount": 0,
        "method": "카드",
        "version": "2022-11-16",
        "metadata": None,
    }
