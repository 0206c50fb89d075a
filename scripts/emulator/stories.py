"""Stories: what can happen to a payment, each in one request, with the webhooks that follow.

POST /emulator/stories/{story} plays one for an order, by default the newest that it fits. `supatoss emulator` and the
buttons of the emulator's page use this.
"""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from scripts.emulator import requests as bodies
from scripts.emulator.control import answer, control, read
from scripts.emulator.errors import NotPossible
from scripts.emulator.formats import now
from scripts.emulator.merchant import Merchant
from scripts.emulator.payment import Method, Payment, Status
from scripts.emulator.shapes import payment_json
from scripts.emulator.webhooks import Delivery, Webhooks

DEFAULT_WON = Decimal(9900)
SHOWN_PAYMENTS = 50


@dataclass(frozen=True)
class Story:
    """One story. `korean` labels its button. `fits`: to which payments it can happen. `opens`: it can start one."""

    name: str
    english: str
    korean: str
    fits: Callable[[Payment], bool]
    play: Callable[[Merchant, Payment, Decimal | None], object]
    opens: Method | None = None


def _is_open(payment: Payment) -> bool:
    return payment.status in (Status.READY, Status.IN_PROGRESS)


def _waits(payment: Payment) -> bool:
    return payment.status is Status.WAITING_FOR_DEPOSIT


def _is_paid(payment: Payment) -> bool:
    return payment.status in (Status.DONE, Status.PARTIAL_CANCELED)


def _pay(merchant: Merchant, payment: Payment, _amount: Decimal | None) -> None:
    if payment.status is Status.READY:
        merchant.authenticate(payment)
    merchant.confirm(payment.payment_key, payment.order_id, payment.total)


def _pay_again(merchant: Merchant, payment: Payment, _amount: Decimal | None) -> None:
    again = merchant.new_payment(payment.order_id, payment.order_name, Method.CARD, payment.currency, payment.total)
    merchant.approve(merchant.authenticate(again))


STORIES = (
    Story(
        "pay", "The buyer pays by card", "카드로 결제", lambda it: _is_open(it) and not it.is_virtual_account, _pay,
        Method.CARD,
    ),
    Story(
        "account", "The buyer asks for a virtual account", "가상계좌 발급",
        lambda it: _is_open(it) and it.is_virtual_account, _pay, Method.VIRTUAL_ACCOUNT,
    ),
    Story(
        "deposit", "The deposit arrives", "입금", lambda it: _waits(it) and not it.is_expired_account,
        lambda merchant, it, _: merchant.deposit(it),
    ),
    Story(
        "deposit-error", "The deposit is reversed", "입금 오류",
        lambda it: it.status is Status.DONE and it.is_virtual_account,
        lambda merchant, it, _: merchant.deposit_error(it),
    ),
    Story(
        "cancel", "The payment is refunded, in full or in part", "전액 취소",
        lambda it: (_is_paid(it) and it.balance > 0) or _waits(it),
        lambda merchant, it, amount: merchant.cancel(it, "구매자 변심", amount),
    ),
    Story(
        "double-charge", "A paid order is paid again", "한 번 더 결제",
        lambda it: it.status is Status.DONE, _pay_again,
    ),
    Story(
        "settle", "Toss settles the payment (no webhook)", "정산", _is_paid,
        lambda merchant, it, _: merchant.ledger.settle(it, None, None),
    ),
    Story(
        "abort", "The card company refuses the payment", "카드사 거절", _is_open,
        lambda merchant, it, _: merchant.abort(it, "REJECT_CARD_COMPANY"), Method.CARD,
    ),
    Story(
        "expire", "The buyer never finishes", "결제 시간 만료", _is_open, lambda merchant, it, _: merchant.expire(it),
        Method.CARD,
    ),
    Story(
        "overdue", "The deposit's due date passes (no webhook)", "입금 기한 경과",
        lambda it: _waits(it) and not it.is_expired_account, lambda merchant, it, _: merchant.pass_due_date(it),
    ),
)  # fmt: skip


class Stories:
    """Plays stories. Raises NotPossible or TossError."""

    def __init__(self, merchant: Merchant, webhooks: Webhooks) -> None:
        self._merchant = merchant
        self._webhooks = webhooks

    def routes(self) -> Iterator[Route]:
        """The control API's routes."""
        yield Route("/emulator/stories", control(self.list_all), methods=["GET"])
        yield Route("/emulator/stories/{story}", control(self.tell), methods=["POST"])
        yield Route("/emulator/payments", control(self.payments), methods=["GET"])

    async def list_all(self, _request: Request) -> Response:
        """All stories."""
        return answer([{"story": it.name, "english": it.english, "korean": it.korean} for it in STORIES])

    async def payments(self, _request: Request) -> Response:
        """The newest payments, with the stories that fit each."""
        return answer(
            [
                {**payment_json(payment), "stories": [story.name for story in self.fitting(payment)]}
                for payment in self.shown()
            ]
        )

    async def tell(self, request: Request) -> Response:
        """Plays one. Responds once its webhooks are answered."""
        body = await read(request, bodies.PlayStory)
        payment, sent = await self.play(request.path_params["story"], body.order_id, body.amount)
        return answer({"payment": payment_json(payment), "webhooks": [_told(delivery) for delivery in sent]})

    def shown(self) -> list[Payment]:
        """The newest payments, as many as the page shows."""
        return [payment for payment, _ in zip(self._merchant.newest(), range(SHOWN_PAYMENTS), strict=False)]

    def fitting(self, payment: Payment) -> list[Story]:
        """The stories that fit a payment now."""
        return [story for story in STORIES if story.fits(payment)]

    async def play(
        self, name: str, order_id: str | None = None, amount: Decimal | None = None, payment_key: str | None = None
    ) -> tuple[Payment, list[Delivery]]:
        """Plays a story; returns the payment and its webhooks, once the first attempt of each has ended."""
        story = next((story for story in STORIES if story.name == name), None)
        if story is None:
            raise NotPossible(f"there is no story {name}: {', '.join(story.name for story in STORIES)}")
        payment = self._merchant.payment(payment_key) if payment_key else self._choose(story, order_id, amount)
        before = set(self._webhooks.deliveries)
        story.play(self._merchant, payment, amount)
        sent = [delivery for key, delivery in self._webhooks.deliveries.items() if key not in before]
        if name == "double-charge":
            payment = self._merchant.payment_of_order(payment.order_id)
        for delivery in sent:
            await delivery.answered.wait()
        return payment, sent

    def _choose(self, story: Story, order_id: str | None, amount: Decimal | None) -> Payment:
        attempts = self._merchant.newest() if order_id is None else reversed(self._merchant.attempts(order_id))
        is_part = amount is not None and not story.opens
        # A payment that waits for its deposit can only be cancelled in full.
        found = next((it for it in attempts if story.fits(it) and not (is_part and _waits(it))), None)
        # Without an order id, start a new payment: an open one may belong to a buyer in the shop.
        if story.opens and (order_id is None or (found is None and not self._merchant.attempts(order_id))):
            return self._open(story.opens, order_id or f"order-{now():%m%d%H%M%S}-{secrets.token_hex(2)}", amount)
        if found is not None:
            return found
        if order_id is None:
            raise NotPossible(f"no payment fits {story.name}; start with pay or account")
        statuses = ", ".join(attempt.status for attempt in self._merchant.attempts(order_id))
        raise NotPossible(
            f"{story.name} does not fit {order_id}, which is {statuses}" if statuses else f"no payment for {order_id}"
        )

    def _open(self, method: Method, order_id: str, amount: Decimal | None) -> Payment:
        payment = self._merchant.new_payment(order_id, "원두 1kg", method, "KRW", amount or DEFAULT_WON)
        return self._merchant.authenticate(payment)


def _told(delivery: Delivery) -> dict[str, Any]:
    last = delivery.attempts[-1] if delivery.attempts else None
    return {
        "eventType": delivery.event.event_type,
        "url": delivery.target.url,
        "state": delivery.state,
        "status": last.status if last else None,
        "error": last.error if last else None,
    }
