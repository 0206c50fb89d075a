"""Toss's records: days in Korea, the transactions listed for a day, and look-ups of payments with retries."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog

from supatoss.errors import TossNotFound, TossRefused, TossUnavailable
from supatoss.inbox.lookups import Lookups
from supatoss.store.findings import FindingReason
from supatoss.toss.client import TossClient
from supatoss.toss.fields import SEOUL
from supatoss.toss.models import PaymentAnswer, Transaction

LOOKUP_SECONDS = 90.0
"""Per look-up: with test keys it may wait a minute for its turn."""

TRIES = 3
FIRST_PAUSE_SECONDS = 1.0

PAGE_SIZE = 1000
"""Transactions that Toss returns per page."""

STEP_SIZE = 250
"""Transactions stored, and payments compared, per call of the Data API: well below a second of it."""

Sleep = Callable[[float], Awaitable[None]]

_DAY = dt.timedelta(days=1)
_log = structlog.get_logger("supatoss.reconcile")


def today(now: dt.datetime) -> dt.date:
    """The current day in Korea."""
    return now.astimezone(SEOUL).date()


def start_of(day: dt.date) -> dt.datetime:
    """Midnight in Korea, when the day begins."""
    return dt.datetime.combine(day, dt.time(), SEOUL)


@dataclass(frozen=True, slots=True)
class Days:
    """Consecutive days in Korea, both ends included."""

    first: dt.date
    last: dt.date

    def closes_at(self, now: dt.datetime) -> dt.datetime:
        """The end of the last day, or now if that day isn't over: the end must not move while Toss is paged."""
        return min(start_of(self.last + _DAY), now)

    def after(self, day: dt.date) -> dt.date | None:
        """The next of these days."""
        return day + _DAY if day < self.last else None


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time without its end, so that midnight belongs to one day only."""

    start: dt.datetime
    end: dt.datetime

    @classmethod
    def of(cls, day: dt.date, closes_at: dt.datetime) -> "Window":
        """The part of a day before the end of the run."""
        return cls(start_of(day), min(start_of(day + _DAY), closes_at))

    def has(self, moment: dt.datetime | None) -> bool:
        """Whether a point in time lies in it."""
        return moment is not None and self.start <= moment < self.end


class TossRecords:
    """Lists transactions and looks payments up, with retries: no webhook waits for the answer here."""

    def __init__(
        self,
        toss: TossClient,
        sleep: Sleep = asyncio.sleep,
        page_size: int = PAGE_SIZE,
        lookups: Lookups | None = None,
    ) -> None:
        self._toss = toss
        self._lookups = lookups or Lookups(toss)
        self._sleep = sleep
        self._page_size = page_size

    @property
    def step_size(self) -> int:
        """Transactions and payments per step of a run."""
        return min(self._page_size, STEP_SIZE)

    async def transactions(
        self, window: Window, position: str | None
    ) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
        """Transactions in a window, in steps: the key to resume after, and the rows to store."""
        pages = self._toss.transactions(window.start, window.end, starting_after=position, page_size=self._page_size)
        async for page in pages:
            for first in range(0, len(page), STEP_SIZE):
                part = page[first : first + STEP_SIZE]
                # Toss takes whole seconds and includes the end; what lies outside belongs to a neighbouring day.
                inside = [row for row in part if row.transaction_at is None or window.has(row.transaction_at)]
                keys = [row.transaction_key for row in part if row.transaction_key]
                unread = sum(not row.transaction_key for row in inside)
                if unread:
                    # Toss documents a key for every row; without one it can't be stored, and must not stop the day.
                    _log.error("transactions without a key are not compared", transactions=unread)
                yield keys[-1] if keys else position or "", [_record(row) for row in inside if row.transaction_key]

    async def payment(self, payment_key: str) -> PaymentAnswer | FindingReason:
        """The payment, or why there is none to compare with. Raises TossUnavailable and TossMisconfigured."""
        return await self._look_up(lambda: self._lookups.payment(payment_key, LOOKUP_SECONDS))

    async def payment_of_order(self, order_id: str) -> PaymentAnswer | FindingReason:
        """As `payment`, by order id."""
        return await self._look_up(lambda: self._lookups.payment_by_order(order_id, LOOKUP_SECONDS))

    async def payments(self, payment_keys: list[str]) -> list[PaymentAnswer | FindingReason]:
        """As `payment`, for several at once; one without an answer doesn't hold up the others.

        Raises TossUnavailable if Toss answers for none of them.
        """
        results = await asyncio.gather(*(self.payment(key) for key in payment_keys), return_exceptions=True)
        answers: list[PaymentAnswer | FindingReason] = []
        failures: list[TossUnavailable] = []
        for result in results:
            if isinstance(result, TossUnavailable):
                failures.append(result)
                answers.append(FindingReason.NOT_ANSWERED)
            elif isinstance(result, BaseException):
                raise result
            else:
                answers.append(result)
        if failures and len(failures) == len(results):
            raise failures[0]
        return answers

    async def _look_up(self, request: Callable[[], Awaitable[PaymentAnswer]]) -> PaymentAnswer | FindingReason:
        try:
            return await self._with_retries(request)
        except TossNotFound:
            return FindingReason.UNKNOWN_TO_TOSS
        except TossRefused:
            return FindingReason.REFUSED_BY_TOSS

    async def _with_retries(self, request: Callable[[], Awaitable[PaymentAnswer]]) -> PaymentAnswer:
        for attempt in range(1, TRIES):
            try:
                return await request()
            except TossUnavailable as error:
                await self._sleep(error.retry_after_seconds or FIRST_PAUSE_SECONDS * attempt)
        return await request()


def _record(row: Transaction) -> dict[str, Any]:
    """A transaction as the run stores it. Its subject groups a payment's transactions."""
    without_key = f"order:{row.order_id}" if row.order_id else f"transaction:{row.transaction_key}"
    return {
        "transaction_key": row.transaction_key,
        "subject": row.payment_key or without_key,
        "payment_key": row.payment_key,
        "order_id": row.order_id,
        "status": row.status,
        "amount": None if row.amount is None else str(row.amount),
        "currency": row.currency,
        "transaction_at": row.transaction_at.isoformat() if row.transaction_at else None,
    }
