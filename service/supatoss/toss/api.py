"""Toss's API as this service uses it. Source: docs.tosspayments.com, core API reference."""

import datetime as dt
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from types import TracebackType
from typing import Any, Literal, Self

import httpx

from supatoss.errors import ConfigurationError, TossRefused, TossUnavailable
from supatoss.toss import questions
from supatoss.toss.answers import read_object, read_rows, typed
from supatoss.toss.exchange import Answer, ApiKey, Exchange, OnCall
from supatoss.toss.pace import SingleFlight
from supatoss.toss.payloads import Payment
from supatoss.toss.questions import CONFIRM_TIMEOUT_SECONDS, LOOK_UP_TIMEOUT_SECONDS, Question
from supatoss.toss.resources import PaymentAnswer, SettlementRow, Transaction


class TossApi:
    """A client of Toss's API with the keys of one merchant, newest first; several where one is being re-issued.

    Several MIDs are fine for look-ups: the next key is tried where one finds nothing. Transactions and settlements
    belong to one MID, that of the first key that Toss accepts: make a client for each.

    on_call(call, outcome, seconds) is told of every request; outcome is ok or that of the error, seconds include the
    wait for a turn. Every method raises TossUnavailable, TossNotFound, TossRefused or TossMisconfigured.
    """

    def __init__(
        self,
        base_url: str,
        secret_keys: Sequence[str],
        *,
        max_in_flight: int = 8,
        requests_per_minute: int | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        on_call: OnCall | None = None,
    ) -> None:
        if isinstance(secret_keys, str) or not secret_keys or not all(secret_keys):
            raise ConfigurationError(["TOSS_SECRET_KEY should be a secret key of Toss, or several."])
        self._keys = tuple(map(ApiKey.of, secret_keys))
        self._look_ups: SingleFlight[PaymentAnswer] = SingleFlight()
        self._exchange = Exchange(
            base_url,
            max_in_flight=max_in_flight,
            requests_per_minute=requests_per_minute,
            transport=transport,
            on_call=on_call,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connections; requests in flight end as TossUnavailable."""
        await self._exchange.close()

    async def payment(self, payment_key: str, *, timeout_seconds: float = LOOK_UP_TIMEOUT_SECONDS) -> PaymentAnswer:
        """The payment of this key.

        Look-ups of it in flight at once share one request, so the answer's asked_at can be before this call.
        """
        return await self._look_up(questions.payment(payment_key, timeout_seconds))

    async def payment_by_order(
        self, order_id: str, *, timeout_seconds: float = LOOK_UP_TIMEOUT_SECONDS
    ) -> PaymentAnswer:
        """A payment of this order, shared as `payment` is. Which of several attempts it is, Toss does not document."""
        return await self._look_up(questions.payment_by_order(order_id, timeout_seconds))

    async def confirm(
        self,
        payment_key: str,
        order_id: str,
        amount: Decimal,
        *,
        idempotency_key: str,
        timeout_seconds: float = CONFIRM_TIMEOUT_SECONDS,
    ) -> PaymentAnswer:
        """Approves a payment. Never repeated here: after TossUnavailable, and after ALREADY_PROCESSED_PAYMENT, look up.

        Toss answers a repeated idempotency key with its first answer, even if that was an error, for 15 days.
        """
        return await self._payment(
            questions.confirm(payment_key, order_id, amount, idempotency_key, timeout_seconds),
        )

    async def delete_billing_key(self, billing_key: str) -> None:
        """Deletes a billing key. One that is already gone is a success."""
        try:
            await self._exchange.ask(questions.delete_billing_key(billing_key), self._keys)
        except TossRefused as error:
            if error.code != "ALREADY_REMOVED_BILLING_KEY":
                raise

    async def transactions(
        self, start: dt.datetime, end: dt.datetime, *, starting_after: str | None = None, page_size: int = 1000
    ) -> AsyncIterator[list[Transaction]]:
        """Pages of the approvals and cancels between two aware times. No page is empty.

        To go on later, give the transaction_key of the last row as starting_after.
        """
        keys, is_full = self._keys, True
        while is_full:
            rows, keys = await self._page(questions.transactions(start, end, page_size, starting_after), keys)
            page = [typed("transactions", Transaction, row) for row in rows]
            is_full = len(page) >= page_size
            if is_full and page[-1].transaction_key == starting_after:
                raise TossUnavailable("transactions", "answered the same page again")
            if page:
                starting_after = page[-1].transaction_key
                yield page

    async def settlements(
        self,
        start: dt.date,
        end: dt.date,
        *,
        date_type: Literal["soldDate", "paidOutDate"] = "soldDate",
        page_size: int = 1000,
    ) -> AsyncIterator[list[SettlementRow]]:
        """Pages of what Toss pays out, for days in Korea, both included. No page is empty; test keys get none."""
        keys, is_full = self._keys, True
        number, before = 1, list[Any]()
        while is_full:
            rows, keys = await self._page(questions.settlements(start, end, date_type, page_size, number), keys)
            is_full = len(rows) >= page_size
            if is_full and rows == before:
                raise TossUnavailable("settlements", "answered the same page again")
            if rows:
                yield [typed("settlements", SettlementRow, row) for row in rows]
            number, before = number + 1, rows

    async def _look_up(self, question: Question) -> PaymentAnswer:
        key = (question.call, *question.asked_for.values())
        try:
            return await self._look_ups.join(key, lambda: self._payment(question), question.timeout_seconds)
        except TimeoutError:
            raise TossUnavailable(question.call, "timeout") from None

    async def _payment(self, question: Question) -> PaymentAnswer:
        answer: Answer = await self._exchange.ask(question, self._keys)
        fields = read_object(question.call, answer.body)
        if any(fields.get(name) != value for name, value in question.asked_for.items()):
            # The name came from an unsigned body and made a path; only an answer about that very payment counts.
            raise TossUnavailable(question.call, "answered for another payment")
        return PaymentAnswer(answer.asked_at, fields, typed(question.call, Payment, fields))

    async def _page(self, question: Question, keys: tuple[ApiKey, ...]) -> tuple[list[Any], tuple[ApiKey, ...]]:
        """Rows of one page, and the key to go on with: another key could mean another MID's rows."""
        answer = await self._exchange.ask(question, keys)
        return read_rows(question.call, answer.body), (answer.key,)
