"""The calls of Toss's API, each with its keys.

Source: docs.tosspayments.com, core API reference.
"""

import contextlib
import datetime as dt
import secrets
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any, Literal

from supatoss.errors import TossError, TossMisconfigured, TossNotFound, TossUnavailable
from supatoss.toss import requests
from supatoss.toss.connection import TossConnection, TossResponse
from supatoss.toss.keys import ApiKey, race, weightiest
from supatoss.toss.models import Payment, PaymentAnswer, SettlementRow, Transaction
from supatoss.toss.ratelimit import ALONE, WORKER, Purpose, loop_time
from supatoss.toss.requests import CONFIRM_TIMEOUT_SECONDS, LOOK_UP_TIMEOUT_SECONDS, TossRequest
from supatoss.toss.responses import read_object, read_rows, typed


class TossClient(TossConnection):
    """A client of Toss's API with the keys of one merchant: one for each MID, and two while one is being replaced.

    A payment is looked up with all of them; its MID, if known, only decides which key is tried first. Which key belongs
    to which MID is learned from Toss's answers. Transactions and settlements are listed for each key separately,
    because Toss lists only those of the key's MID.

    Every method raises TossUnavailable, TossNotFound, TossRefused or TossMisconfigured.
    """

    async def payment(
        self,
        payment_key: str,
        *,
        timeout_seconds: float = LOOK_UP_TIMEOUT_SECONDS,
        merchant_id: str | None = None,
        purpose: Purpose = ALONE,
    ) -> PaymentAnswer:
        """The payment with this key. merchant_id: its MID, if known; that one's key is tried first."""
        return await self._payment(requests.payment(payment_key, timeout_seconds, purpose), merchant_id)

    async def payment_by_order(
        self,
        order_id: str,
        *,
        timeout_seconds: float = LOOK_UP_TIMEOUT_SECONDS,
        fits: Callable[[Payment], bool] = lambda _payment: True,
        purpose: Purpose = ALONE,
    ) -> PaymentAnswer:
        """A payment of this order. Which of several attempts Toss returns is not documented.

        Two MIDs may have the same order id: the first key whose payment fits decides, or if none does, the first.
        """
        return await self._payment(requests.payment_by_order(order_id, timeout_seconds, purpose), fits=fits)

    async def check_key(self, key: ApiKey, *, timeout_seconds: float = LOOK_UP_TIMEOUT_SECONDS) -> None:
        """Returns if Toss accepts the key: it looks up an order that does not exist."""

        async def send(request: TossRequest, deadline: float) -> TossResponse:
            return await self._send_with(request, key, deadline)

        order_id = f"supatoss-probe-{secrets.token_hex(8)}"
        with contextlib.suppress(TossNotFound):
            await self._within_time(requests.payment_by_order(order_id, timeout_seconds, WORKER), send)

    async def confirm(
        self,
        payment_key: str,
        order_id: str,
        amount: Decimal,
        *,
        idempotency_key: str,
        timeout_seconds: float = CONFIRM_TIMEOUT_SECONDS,
        merchant_id: str | None = None,
    ) -> PaymentAnswer:
        """Approves a payment. Never retried here: after TossUnavailable or ALREADY_PROCESSED_PAYMENT, look it up.

        Toss answers a repeated idempotency key with its first answer, even if that was an error, for 15 days.
        """
        request = requests.confirm(payment_key, order_id, amount, idempotency_key, timeout_seconds)
        return await self._payment(request, merchant_id)

    async def transactions(
        self,
        key: ApiKey,
        start: dt.datetime,
        end: dt.datetime,
        *,
        starting_after: str | None = None,
        page_size: int = 1000,
    ) -> AsyncIterator[list[Transaction]]:
        """Pages of the approvals and cancels between two aware times, of the key's MID. No page is empty.

        To resume later, pass the transaction_key of the last row as starting_after.
        """
        is_full = True
        while is_full:
            rows = await self._page(requests.transactions(start, end, page_size, starting_after), key)
            page = [Transaction.model_validate(row) for row in rows if isinstance(row, dict)]
            if rows and not page:
                raise TossUnavailable("transactions", "answered in an unexpected form: no objects")
            keys_of_page = [row.transaction_key for row in page if row.transaction_key]
            is_full = len(rows) >= page_size
            if is_full and keys_of_page[-1:] in ([], [starting_after]):
                raise TossUnavailable("transactions", "answered the same page again")
            if keys_of_page:
                starting_after = keys_of_page[-1]
            if page:
                self._learn(key, page[-1].m_id)
                yield page

    async def settlements(
        self,
        key: ApiKey,
        start: dt.date,
        end: dt.date,
        *,
        date_type: Literal["soldDate", "paidOutDate"] = "soldDate",
        page_size: int = 1000,
    ) -> AsyncIterator[list[SettlementRow]]:
        """Pages of Toss's payouts to the key's MID, for days in Korea, both included. No page is empty.

        Test keys get none.
        """
        is_full, number, before = True, 1, list[Any]()
        while is_full:
            rows = await self._page(requests.settlements(start, end, date_type, page_size, number), key)
            is_full = len(rows) >= page_size
            if is_full and rows == before:
                raise TossUnavailable("settlements", "answered the same page again")
            if rows:
                yield [typed("settlements", SettlementRow, row) for row in rows]
            number, before = number + 1, rows

    async def _payment(
        self,
        request: TossRequest,
        merchant_id: str | None = None,
        fits: Callable[[Payment], bool] = lambda _payment: True,
    ) -> PaymentAnswer:
        async def send(request: TossRequest, deadline: float) -> PaymentAnswer:
            return await self._ask_any(request, deadline, merchant_id, fits)

        return await self._within_time(request, send)

    async def _ask_any(
        self, request: TossRequest, deadline: float, merchant_id: str | None, fits: Callable[[Payment], bool]
    ) -> PaymentAnswer:
        """The first success among the keys. "Not found" holds only if every key could look."""
        keys = self._keys_for(merchant_id)
        if request.method == "GET" and len(keys) > 1:
            return await race(
                keys,
                lambda key: self._ask(request, key, deadline),
                deadline - loop_time(),
                lambda answer: fits(answer.payment),
            )
        problems: list[TossError] = []
        for key in keys:
            try:
                return await self._ask(request, key, deadline)
            except (TossMisconfigured, TossNotFound) as error:
                # This key did nothing. After any other error it may have.
                problems.append(error)
        raise weightiest(problems)

    async def _ask(self, request: TossRequest, key: ApiKey, deadline: float) -> PaymentAnswer:
        response = await self._send_with(request, key, deadline)
        fields = read_object(request.call, response.body)
        if any(fields.get(name) != value for name, value in request.expected.items()):
            # The name came from an unsigned body and became part of a path: only an answer about that payment counts.
            raise TossUnavailable(request.call, "answered for another payment")
        answer = PaymentAnswer(response.asked_at, fields, typed(request.call, Payment, fields))
        self._learn(key, answer.payment.m_id)
        return answer

    async def _page(self, request: TossRequest, key: ApiKey) -> list[Any]:
        async def send(request: TossRequest, deadline: float) -> TossResponse:
            return await self._send_with(request, key, deadline)

        response = await self._within_time(request, send)
        return read_rows(request.call, response.body)
