"""Toss's records: days in Korea, the transactions listed for a day, and look-ups of payments with retries."""

import asyncio
import contextlib
import datetime as dt
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from supatoss.errors import TossMisconfigured, TossNotFound, TossRefused, TossUnavailable
from supatoss.inbox.lookups import Lookups
from supatoss.store.findings import FindingReason
from supatoss.toss.client import TossClient
from supatoss.toss.fields import SEOUL
from supatoss.toss.keys import ApiKey
from supatoss.toss.models import PaymentAnswer, SettlementRow, Transaction

LOOKUP_SECONDS = 90.0
"""Per look-up: with test keys it may wait a minute for its turn."""

TRIES = 3
FIRST_PAUSE_SECONDS = 1.0

LOOKUPS_AT_ONCE = 8
"""The client has no more in flight."""

PAUSE_SECONDS = 1.0
TEST_PAUSE_SECONDS = 8.0
"""After that many look-ups that nobody waits for: 60 of the 100 calls a minute that Toss allows test keys."""

PAGE_SIZE = 1000
"""Transactions that Toss returns per page."""

STEP_SIZE = 250
"""Transactions stored, and payments compared, per call of the Data API: well below a second of it."""

MAX_RANGE_DAYS = 31
"""Of a run over days that were never compared."""

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


def ranges_of(days: Iterable[dt.date]) -> list[Days]:
    """Days, newest first, as ranges of a month at most: what one range lacks is done again without the others."""
    ranges: list[Days] = []
    for day in days:
        newest = ranges[-1] if ranges else None
        if newest and newest.first - _DAY == day and (newest.last - day).days < MAX_RANGE_DAYS:
            ranges[-1] = Days(day, newest.last)
        else:
            ranges.append(Days(day, day))
    return ranges


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


@dataclass(slots=True)
class Source:
    """What one key of TOSS_SECRET_KEY has listed. problem: why it could not list all of its MID's."""

    key: str
    merchant_ids: set[str] = field(default_factory=set)
    rows: int = 0
    problem: str | None = None


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
        self._sources: dict[str, Source] = {}

    def begin(self) -> None:
        """Counts anew, for another run."""
        self._sources = {key.name: Source(key.name) for key in self._toss.keys}

    @property
    def sources(self) -> Sequence[Source]:
        """What each key has listed since `begin`, in the order of TOSS_SECRET_KEY."""
        return tuple(self._sources.values())

    @property
    def step_size(self) -> int:
        """Transactions and payments per step of a run."""
        return min(self._page_size, STEP_SIZE)

    async def transactions(
        self, window: Window, position: str | None
    ) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
        """Transactions of every key in a window, in steps: the position to resume after, and the rows to store.

        Two keys of one MID list the same rows, which are stored once. A key that Toss refuses, or doesn't answer,
        doesn't stop the others. Raises TossUnavailable or TossMisconfigured where no key can list any.
        """
        first, after = self._resume_at(position)
        for key in self._toss.keys[first:]:
            with self._noting(key):
                async for part in self._transactions_of(key, window, after):
                    yield part
            after = None

    async def settlements(self, day: dt.date) -> AsyncIterator[list[SettlementRow]]:
        """Pages of the settlements of a day's sales, of every key; what fails for one key, as in `transactions`."""
        for key in self._toss.keys:
            with self._noting(key):
                async for page in self._toss.settlements(key, day, day):
                    self._count(key, [row.m_id for row in page])
                    yield page

    def _resume_at(self, position: str | None) -> tuple[int, str | None]:
        """The place of the key, and its last transaction: the position is both, with a space between."""
        for place, key in enumerate(self._toss.keys):
            if position and position.startswith(f"{key.name} "):
                return place, position.removeprefix(f"{key.name} ") or None
        return 0, None  # The keys have changed since then: rows that are listed again are stored once.

    async def _transactions_of(
        self, key: ApiKey, window: Window, after: str | None
    ) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
        pages = self._toss.transactions(key, window.start, window.end, starting_after=after, page_size=self._page_size)
        async for page in pages:
            self._count(key, [row.m_id for row in page])
            for first in range(0, len(page), STEP_SIZE):
                part = page[first : first + STEP_SIZE]
                # Toss takes whole seconds and includes the end; what lies outside belongs to a neighbouring day.
                inside = [row for row in part if row.transaction_at is None or window.has(row.transaction_at)]
                keys = [row.transaction_key for row in part if row.transaction_key]
                unread = sum(not row.transaction_key for row in inside)
                if unread:
                    # Toss documents a key for every row; without one it can't be stored, and must not stop the day.
                    _log.error("transactions without a key are not compared", transactions=unread)
                after = keys[-1] if keys else after
                yield f"{key.name} {after or ''}", [_record(row) for row in inside if row.transaction_key]

    def _count(self, key: ApiKey, merchant_ids: Sequence[str | None]) -> None:
        source = self._sources[key.name]
        source.rows += len(merchant_ids)
        source.merchant_ids.update(name for name in merchant_ids if name)

    @contextlib.contextmanager
    def _noting(self, key: ApiKey) -> Iterator[None]:
        """Keeps what is wrong with a key, and raises it if no key works."""
        source = self._sources[key.name]
        try:
            yield
        except (TossMisconfigured, TossUnavailable) as error:
            source.problem = error.code or str(error)
            if all(other.problem for other in self.sources):
                raise
            _log.error("a key lists nothing: its merchant id is not compared", key=key.name, error=str(error))

    async def payment(self, payment_key: str, merchant_id: str | None = None) -> PaymentAnswer | FindingReason:
        """The payment, or why there is none to compare with: Toss may refuse the key of its MID, one of several.

        merchant_id: whose key is tried first. Raises TossUnavailable, or TossMisconfigured where the only key is
        refused.
        """
        return await self._look_up(lambda: self._lookups.payment(payment_key, LOOKUP_SECONDS, merchant_id))

    async def payment_of_order(self, order_id: str) -> PaymentAnswer | FindingReason:
        """As `payment`, by order id."""
        return await self._look_up(lambda: self._lookups.payment_by_order(order_id, LOOKUP_SECONDS))

    async def payments(
        self, payment_keys: Sequence[str], merchant_ids: Sequence[str | None] = ()
    ) -> list[PaymentAnswer | FindingReason]:
        """As `payment`, for several at once; one without an answer doesn't hold up the others.

        Raises TossUnavailable if Toss answers for none of them, unless that is known already: a key that lists nothing.
        """
        return await self._all([self.payment(*names) for names in itertools.zip_longest(payment_keys, merchant_ids)])

    async def payments_of_orders(self, order_ids: list[str]) -> list[PaymentAnswer | FindingReason]:
        """As `payments`, by order id."""
        return await self._all([self.payment_of_order(order_id) for order_id in order_ids])

    async def pause(self) -> None:
        """Leaves deliveries their share of the calls that Toss allows."""
        is_test = any(key.is_test for key in self._toss.keys)
        await self._sleep(TEST_PAUSE_SECONDS if is_test else PAUSE_SECONDS)

    async def _all(
        self, look_ups: list[Coroutine[Any, Any, PaymentAnswer | FindingReason]]
    ) -> list[PaymentAnswer | FindingReason]:
        results = await asyncio.gather(*look_ups, return_exceptions=True)
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
        if failures and len(failures) == len(results) and not any(source.problem for source in self.sources):
            raise failures[0]
        return answers

    async def _look_up(self, request: Callable[[], Awaitable[PaymentAnswer]]) -> PaymentAnswer | FindingReason:
        try:
            return await self._with_retries(request)
        except TossNotFound:
            return FindingReason.UNKNOWN_TO_TOSS
        except TossRefused:
            return FindingReason.REFUSED_BY_TOSS
        except TossMisconfigured as error:
            if len(self._toss.keys) == 1:
                raise
            _log.warning("a payment could not be looked up with every key", error=str(error))
            return FindingReason.KEY_REFUSED

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
