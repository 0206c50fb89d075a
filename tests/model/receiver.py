"""A receiver in memory that does what the expectations ask for, to show that they can be met.

It believes Toss alone: every delivery asks, and the latest answer stands. It asks again later where the delivery, or an
earlier answer, goes beyond this one. Rows are made from the answers when they are read.
"""

import asyncio
import datetime as dt
import json
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import httpx

from tests.model.bench import Bench
from tests.model.expect import DOUBLE, MISMATCH, Row
from tests.model.player import MAX_DELIVERIES, MAX_ROUNDS, Answer, LookUps
from tests.model.shop import Shop
from tests.model.truth import Clock, Payment, Webhook

TRIES = 8
_CANCELED = ("PARTIAL_CANCELED", "CANCELED")
_EARLY = ("READY", "IN_PROGRESS")


def goes_beyond(claim: Payment, answer: Payment) -> bool:
    """Whether a body, or an earlier answer, tells of something that this answer does not know yet."""
    status, known = claim["status"], {item["transactionKey"] for item in answer["cancels"] or ()}
    if {item["transactionKey"] for item in claim.get("cancels") or ()} - known:
        return True
    if status in _CANCELED:
        return answer["status"] not in _CANCELED or claim.get("transactionKey") not in (None, *known)
    if status == "DONE":
        return answer["status"] in (*_EARLY, "WAITING_FOR_DEPOSIT")
    if status == "WAITING_FOR_DEPOSIT" and answer["status"] == "DONE" and "createdAt" in claim:
        # The deposit was taken back, and the answer does not know.
        return _time(claim["createdAt"]) - _time(answer["approvedAt"]) > dt.timedelta(seconds=1)
    return status not in _EARLY and answer["status"] in _EARLY


@dataclass(slots=True)
class Question:
    """What is asked again."""

    payment_key: str
    claim: Payment
    tries: int = 0


@dataclass(slots=True)
class Receiver:
    """Stands where the player of the service stands."""

    bench: Bench
    clock: Clock
    look_ups: LookUps
    shop: Shop
    is_signed: bool
    answers: list[Answer] = field(default_factory=list)
    _asked: int = 0
    _shown: dict[str, tuple[int, Payment]] = field(default_factory=dict)
    _questions: list[Question] = field(default_factory=list)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def deliver(self, webhooks: Sequence[Webhook]) -> None:
        for webhook in webhooks:
            self._start(self._receive(webhook))
        await self.settle()

    async def work(self, hours: int = 1) -> bool:
        self.clock.advance(3600 * hours)
        had_any = bool(self._questions)
        for question in list(self._questions):
            self._start(self._ask_again(question))
        await self.settle()
        return had_any

    async def sweep(self) -> None:
        """An account that waits may show EXPIRED or not."""

    async def settle(self) -> None:
        ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
        while ready:  # noqa: ASYNC110 - there is nothing to be woken by
            await asyncio.sleep(0)

    async def finish(self, webhooks: Sequence[Webhook]) -> None:
        for _ in range(MAX_DELIVERIES):
            acknowledged = {answer.webhook for answer in self.answers if answer.status == 200}
            await self.deliver([webhook for webhook in webhooks if webhook not in acknowledged])
        for _ in range(MAX_ROUNDS):
            if not await self.work():
                break
        await asyncio.gather(*self._tasks)

    def has_row(self, order_id: str) -> bool:
        return any(payment["orderId"] == order_id for _, payment in self._shown.values())

    def rows(self, query: str) -> list[Row]:
        """The rows or the events, whichever is asked for."""
        written = {row["order_id"]: row for row in self.bench.database.rows("select * from payments")}
        orders = written.keys() | {payment["orderId"] for _, payment in self._shown.values()}
        made = [self._row_and_verdicts(order_id, written.get(order_id)) for order_id in orders]
        return (
            [verdict for _, verdicts in made for verdict in verdicts] if "events" in query else [row for row, _ in made]
        )

    def _row_and_verdicts(self, order_id: str, written: Row | None) -> tuple[Row, list[Row]]:
        shown = [payment for _, payment in self._shown.values() if payment["orderId"] == order_id]
        misfits = [payment for payment in shown if payment["approvedAt"] and not _fits(payment, written)]
        counting = sorted((payment for payment in shown if payment not in misfits), key=_weight)
        reasons = [MISMATCH] * len(misfits) + [DOUBLE] * (sum(_weight(payment) == 3 for payment in counting) > 1)
        verdicts = [{"order_id": order_id, "status": "failed", "reason": reason} for reason in reasons]
        if not counting:
            assert written is not None, "an order without a price has no misfits"
            return written, verdicts
        payment = counting[-1]
        price = written or {"amount": _amount(payment["totalAmount"]), "currency": payment["currency"]}
        row = {
            "order_id": order_id,
            "payment_key": payment["paymentKey"],
            "payment_status": payment["status"],
            "amount": price["amount"],
            "currency": price["currency"],
            "balance_amount": _amount(payment["balanceAmount"]) if payment["approvedAt"] else None,
            "approved_at": _time(payment["approvedAt"]) if payment["approvedAt"] else None,
            "canceled_at": _time(payment["cancels"][-1]["canceledAt"]) if payment["cancels"] else None,
            "cancels": payment["cancels"],
        }
        return row, verdicts

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    async def _receive(self, webhook: Webhook) -> None:
        is_excused = self.look_ups.is_away
        is_hidden = webhook.payment_key not in self._shown and self.look_ups.shows_another(webhook)
        body = json.loads(webhook.body)
        claim = {**body["data"], "createdAt": body["createdAt"]} if "data" in body else body
        try:
            payment = await self._payment_of(claim)
        except ConnectionError:
            status = 503
        else:
            status = 200 if payment else 401
            if payment and (self._note(*payment) or goes_beyond(claim, payment[1])):
                self._questions.append(Question(payment[1]["paymentKey"], claim))
        self.answers.append(Answer(webhook, status, is_excused or is_hidden or self.look_ups.is_away))

    async def _payment_of(self, claim: Payment) -> tuple[int, Payment] | None:
        if "paymentKey" in claim:
            return await self._ask(claim["paymentKey"])
        known = [key for key, (_, payment) in self._shown.items() if payment["orderId"] == claim["orderId"]]
        for name in (*known, f"orders/{claim['orderId']}"):
            found = await self._ask(name)
            if found and found[1]["secret"] == claim["secret"]:
                return found
        return None

    async def _ask(self, name: str) -> tuple[int, Payment] | None:
        self._asked += 1
        asked = self._asked
        response = await self.look_ups.answer(httpx.Request("GET", f"https://toss.test/v1/payments/{name}"))
        if response.status_code == 503:
            raise ConnectionError
        return (asked, json.loads(response.content)) if response.status_code == 200 else None

    async def _ask_again(self, question: Question) -> None:
        try:
            payment = await self._ask(question.payment_key)
        except ConnectionError:
            return
        question.tries += 1
        is_open = payment is None or self._note(*payment) or goes_beyond(question.claim, payment[1])
        if (not is_open or question.tries >= TRIES) and question in self._questions:
            self._questions.remove(question)

    def _note(self, asked: int, payment: Payment) -> bool:
        """Keeps the latest answer. Whether an earlier one went beyond it: then either of them lags."""
        before, earlier = self._shown.get(payment["paymentKey"], (0, None))
        if asked > before:
            self._shown[payment["paymentKey"]] = asked, payment
        return earlier is not None and goes_beyond(earlier, payment)


def _fits(payment: Payment, written: Row | None) -> bool:
    return written is None or (_amount(payment["totalAmount"]), payment["currency"]) == (
        written["amount"],
        written["currency"],
    )


def _weight(payment: Payment) -> int:
    """Holds money, held money, may come to hold it, never did."""
    if payment["status"] == "DONE" or (payment["status"] == "PARTIAL_CANCELED" and payment["balanceAmount"]):
        return 3
    return 2 if payment["approvedAt"] else int(payment["status"] in ("WAITING_FOR_DEPOSIT", "CANCELED"))


def _amount(number: float) -> Decimal:
    return Decimal(str(number))


def _time(text: str) -> dt.datetime:
    """A time of Toss; without an offset it is Korean."""
    moment = dt.datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.timezone(dt.timedelta(hours=9)))
