"""A reconciliation from its first day to its last: resumable at every step, in bounded memory, one at a time."""

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

import structlog

from supatoss.errors import SupatossError
from supatoss.reconcile.asking import Asking
from supatoss.reconcile.days import Days, Window
from supatoss.reconcile.payments import PAGE_SIZE, TOGETHER, PaymentComparison
from supatoss.reconcile.settlements import SettlementComparison
from supatoss.store import Store
from supatoss.store.findings import Count, Finding, Outcome, by_kind
from supatoss.store.reconciliation import Busy, Phase, Run, StartedBy, Subjects
from supatoss.toss.client import TossClient

RELEASE_SECONDS = 3.0
"""Time to give the lease back when a run is broken off; it ends by itself otherwise."""

_log = structlog.get_logger("supatoss.reconcile")


@dataclass(frozen=True, slots=True)
class Report:
    """What a finished run found. Read the findings themselves with `Reconciliation.findings`."""

    run: Run
    counts: Sequence[Count]

    @property
    def left(self) -> int:
        """Differences that are still there."""
        return sum(by_kind(self.counts).values())

    @property
    def repaired(self) -> int:
        """Differences that the run repaired."""
        return sum(item.count for item in self.counts if item.outcome is Outcome.REPAIRED)


class Reconciliation:
    """Runs over payments or settlements. on_step is told where a run is after each step, for a progress bar."""

    def __init__(
        self,
        store: Store,
        toss: TossClient,
        *,
        asking: Asking | None = None,
        page_size: int = PAGE_SIZE,
        on_step: Callable[[Run], None] = lambda _run: None,
    ) -> None:
        self._store = store
        self._payments = PaymentComparison(store, toss, asking or Asking(toss), page_size)
        self._settlements = SettlementComparison(store, toss)
        self._on_step = on_step

    async def reconcile(
        self,
        subjects: Subjects,
        days: Days,
        now: dt.datetime,
        *,
        applies: bool = False,
        started_by: StartedBy = StartedBy.OPERATOR,
    ) -> Report:
        """Compares some days, and repairs what differs if `applies`. Goes on where an earlier call broke off.

        Raises Busy while somebody else is at the same run, and StoreError, TossError where it breaks off.
        """
        run = await self._store.open_reconciliation(
            subjects, days.first, days.last, days.closes_at(now), applies=applies, started_by=started_by
        )
        if run.outcome == "busy":
            raise Busy("this reconciliation is running already; if its process is gone, it is free in five minutes")
        if run.outcome != "done":
            async with self._releasing(run):
                await self._work(run, subjects, days, applies=applies)
        return Report(run, await self._store.count_findings(run))

    async def findings(self, run: Run) -> AsyncIterator[Finding]:
        """Every finding of a run, by subject."""
        page = await self._store.read_findings(run)
        while page:
            for finding in page:
                yield finding
            page = await self._store.read_findings(run, after=page[-1].subject)

    async def _work(self, run: Run, subjects: Subjects, days: Days, *, applies: bool) -> None:
        self._on_step(run)
        while run.phase is not Phase.REPAIR:
            if subjects is Subjects.PAYMENTS:
                await self._payments_of_the_day(run)
            else:
                await self._settlements_of_the_day(run)
            run.position = None
            following = days.after(run.day)
            if following is None:
                run.phase = Phase.REPAIR
            else:
                run.day, run.phase = following, Phase.LIST
            await self._step(run, ends_day=True)
        if applies:
            await self._repair(run, subjects)
        await self._step(run, is_finished=True)

    async def _payments_of_the_day(self, run: Run) -> None:
        window = Window.of(run.day, run.closes_at)
        if run.phase is Phase.LIST:
            async for key, rows in self._payments.listed(window, run.position):
                run.position = key
                run.listed += len(rows)
                await self._step(run, listed=rows)
            run.phase, run.position = Phase.COMPARE, None
            await self._step(run)
        while True:
            subjects, findings = await self._payments.page(run, window)
            if not subjects:
                return
            run.position = subjects[-1].name
            run.compared += len(subjects)
            await self._step(run, findings=findings)

    async def _settlements_of_the_day(self, run: Run) -> None:
        """Toss counts these pages, so a day that broke off begins anew; its findings are the same ones."""
        async for rows, findings in self._settlements.pages(run.day):
            run.listed += rows
            run.compared += rows
            await self._step(run, findings=findings)

    async def _repair(self, run: Run, subjects: Subjects) -> None:
        comparison = self._payments if subjects is Subjects.PAYMENTS else self._settlements
        while found := await self._store.read_findings(run, outcome=Outcome.FOUND, max_findings=TOGETHER):
            await self._step(run, findings=await comparison.repair(found))

    async def _step(
        self,
        run: Run,
        *,
        listed: Sequence[dict[str, object]] = (),
        findings: Sequence[Finding] = (),
        ends_day: bool = False,
        is_finished: bool = False,
    ) -> None:
        await self._store.advance_reconciliation(run, listed, findings, ends_day=ends_day, is_finished=is_finished)
        self._on_step(run)

    @contextlib.asynccontextmanager
    async def _releasing(self, run: Run) -> AsyncIterator[None]:
        try:
            yield
        except BaseException:
            # Ctrl-C has cancelled this task; the lease is given back all the same.
            release = asyncio.create_task(self._store.release_reconciliation(run))
            with contextlib.suppress(SupatossError, TimeoutError):
                await asyncio.wait_for(asyncio.shield(release), RELEASE_SECONDS)
            raise
