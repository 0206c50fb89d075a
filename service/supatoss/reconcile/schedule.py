"""Scheduled jobs: the daily reconciliation, the review of what it found, and the retention of payloads."""

import asyncio
import contextlib
import datetime as dt
import time
from collections.abc import Awaitable, Callable

import structlog

from supatoss.errors import SupatossError
from supatoss.reconcile.records import Days, today
from supatoss.reconcile.run import Reconciliation, Report
from supatoss.store import Store
from supatoss.store.findings import remaining_by_kind
from supatoss.store.reconciliation import AlreadyRunning, Scope, StartedBy
from supatoss.telemetry import PAYLOADS_EMPTIED, describe
from supatoss.toss.fields import SEOUL

BATCH_EVENTS = 500
"""Per transaction: some tens of milliseconds, during which a late duplicate of one of them waits."""

PAUSE_SECONDS = 0.2
"""Between batches, so that a first run over millions of rows doesn't crowd out deliveries."""


TICK_SECONDS = 60.0
"""Between checks of the clock; also the wait after Toss or the database could not be reached."""

HOUR_SECONDS = 3600.0
"""Between runs of the retention, between reviews of findings, and before a reconciliation that was incomplete is tried
again."""

CATCH_UP_DAYS = 31
"""Days, up to yesterday, that are caught up on. Older ones are for `supatoss reconcile --since-last`."""

CATCH_UP_RETRY_SECONDS = 24 * HOUR_SECONDS
"""Before an older day that was incomplete is tried again: a key that stays refused would have all of them listed every
hour."""

_log = structlog.get_logger("supatoss.schedule")


class Retention:
    """Empties payloads older than a number of days. Any number of processes may run it at once."""

    def __init__(
        self, store: Store, older_than_days: int, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._store = store
        self._older_than_days = older_than_days
        self._sleep = sleep

    async def empty(self) -> int:
        """Empties all due payloads in batches and returns how many. Raises StoreUnavailable or StoreRefused."""
        total = 0
        while True:
            emptied = await self._store.empty_payloads(self._older_than_days, BATCH_EVENTS)
            total += emptied
            PAYLOADS_EMPTIED.inc(emptied)
            if emptied < BATCH_EVENTS:
                break
            await self._sleep(PAUSE_SECONDS)
        if total:
            _log.info("payloads emptied", events=total, older_than_days=self._older_than_days)
        return total


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Schedule:
    """Runs jobs when they are due, until `stop`; an interrupted reconciliation is resumed by the next process.

    reconcile_at: time of day in Korea, None for never. Once a day, however many processes run this.
    """

    def __init__(
        self,
        reconciliation: Reconciliation,
        reconcile_at: dt.time | None,
        retention: Retention | None,
        now: Callable[[], dt.datetime] = _now,
    ) -> None:
        self._reconciliation = reconciliation
        self._reconcile_at = reconcile_at
        self._retention = retention
        self._now = now
        self._reconciled: dt.date | None = None
        self._next_try = dt.datetime.min.replace(tzinfo=dt.UTC)
        self._reviewed_at = self._emptied_at = float("-inf")
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """Ends the loop."""
        self._stopped.set()

    async def run(self) -> None:
        """Works until `stop`. Errors are logged; a failed job is due again at the next tick."""
        while not self._stopped.is_set():
            work = asyncio.create_task(self.tick())
            stopping = asyncio.create_task(self._stopped.wait())
            try:
                await asyncio.wait((work, stopping), return_when=asyncio.FIRST_COMPLETED)
            finally:
                work.cancel()
                stopping.cancel()
                await asyncio.gather(work, stopping, return_exceptions=True)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self._stopped.wait()

    async def tick(self) -> None:
        """Runs the jobs that are due."""
        jobs: tuple[tuple[str, Callable[[], Awaitable[object]]], ...] = (
            ("reconciliation", self.reconcile_days),
            ("review", self.review_findings),
            ("retention", self.empty_payloads),
        )
        for name, job in jobs:
            try:
                await job()
            except AlreadyRunning:
                pass  # Another process runs it.
            except SupatossError as error:
                _log.warning("job postponed", job=name, error=str(error))
            except Exception as error:  # noqa: BLE001 - a defect in one job must not stop the others
                _log.error("job failed", job=name, **describe(error))

    async def reconcile_days(self) -> list[Report]:
        """Compares yesterday's payments if that is due, then days that were never compared. Changes nothing."""
        now = self._now()
        yesterday = today(now) - dt.timedelta(days=1)
        is_due = self._reconcile_at is not None and now.astimezone(SEOUL).time() >= self._reconcile_at
        if not is_due or self._reconciled == yesterday or now < self._next_try:
            return []
        reports = [await self._reconcile(yesterday, now, HOUR_SECONDS)]
        uncompared = await self._reconciliation.uncompared(yesterday - dt.timedelta(days=1), CATCH_UP_DAYS)
        oldest = yesterday - dt.timedelta(days=CATCH_UP_DAYS - 1)
        for day in (day for day in uncompared.days if day >= oldest):
            reports += [await self._reconcile(day, now, CATCH_UP_RETRY_SECONDS)]
        if all(report.is_compared for report in reports):
            self._reconciled = yesterday
        else:
            self._next_try = now + dt.timedelta(seconds=HOUR_SECONDS)
        return reports

    async def review_findings(self) -> None:
        """Looks open findings up again, once an hour."""
        if time.monotonic() - self._reviewed_at < HOUR_SECONDS:
            return
        self._reviewed_at = time.monotonic()
        reviewed = await self._reconciliation.review(HOUR_SECONDS)
        if reviewed.resolved:
            _log.info("findings resolved", looked_at=reviewed.looked_at, resolved=reviewed.resolved)

    async def empty_payloads(self) -> None:
        """Empties old payloads, once an hour."""
        if self._retention is None or time.monotonic() - self._emptied_at < HOUR_SECONDS:
            return
        await self._retention.empty()
        self._emptied_at = time.monotonic()

    async def _reconcile(self, day: dt.date, now: dt.datetime, retry_seconds: float) -> Report:
        report = await self._reconciliation.reconcile(
            Scope.PAYMENTS, Days(day, day), now, started_by=StartedBy.SCHEDULE, retry_seconds=retry_seconds
        )
        if report.run.is_ours:  # Otherwise another process has logged it.
            _report(day, report)
        return report


def _report(day: dt.date, report: Report) -> None:
    log = _log.error if report.left or report.incomplete else _log.info
    log(
        "reconciled" if report.is_compared else "reconciled in part",
        day=day.isoformat(),
        payments=report.run.compared,
        orders_asked=report.run.orders_asked,
        differences=report.left,
        **{kind.value: count for kind, count in remaining_by_kind(report.counts).items() if count},
        **({"not_compared": report.run.incomplete} if report.incomplete else {}),
    )
