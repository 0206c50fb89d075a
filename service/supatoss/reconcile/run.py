"""Runs a reconciliation: one at a time, resumable at every step, in bounded memory."""

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

import structlog

from supatoss.errors import SupatossError
from supatoss.reconcile.payments import LOOKUPS_AT_ONCE, PaymentReconciler
from supatoss.reconcile.records import Days, Source, TossRecords, Window
from supatoss.reconcile.settlements import SettlementReconciler
from supatoss.store import Store
from supatoss.store.findings import Finding, FindingCount, FindingOutcome, remaining_by_kind
from supatoss.store.reconciliation import AlreadyRunning, Phase, Run, Scope, StartedBy
from supatoss.toss.client import TossClient

RELEASE_SECONDS = 3.0
"""Time to release the lease when a run is interrupted; otherwise it expires."""

_log = structlog.get_logger("supatoss.reconcile")


@dataclass(frozen=True, slots=True)
class Report:
    """Counts of a finished run; `Reconciliation.findings` reads the findings themselves.

    sources: what each key listed while this process worked on it; nothing of a run that another one finished.
    """

    run: Run
    counts: Sequence[FindingCount]
    sources: Sequence[Source] = ()

    @property
    def left(self) -> int:
        """Differences that remain."""
        return sum(remaining_by_kind(self.counts).values())

    @property
    def incomplete(self) -> Sequence[Source]:
        """The keys that could not list all: what belongs to their MIDs was not compared."""
        return [source for source in self.sources if source.problem]

    @property
    def repaired(self) -> int:
        """Differences that the run repaired."""
        return sum(item.count for item in self.counts if item.outcome is FindingOutcome.REPAIRED)


class Reconciliation:
    """Runs over payments or settlements. `on_step` is called after each step, for a progress bar."""

    def __init__(
        self,
        store: Store,
        toss: TossClient,
        *,
        records: TossRecords | None = None,
        on_step: Callable[[Run], None] = lambda _run: None,
    ) -> None:
        self._store = store
        self._records = records or TossRecords(toss)
        self._payments = PaymentReconciler(store, self._records)
        self._settlements = SettlementReconciler(store, self._records)
        self._on_step = on_step

    async def reconcile(
        self,
        scope: Scope,
        days: Days,
        now: dt.datetime,
        *,
        applies: bool = False,
        started_by: StartedBy = StartedBy.OPERATOR,
    ) -> Report:
        """Compares some days, and repairs the differences if `applies`. Resumes an interrupted run.

        Raises AlreadyRunning while another process works on the same run; StoreError and TossError interrupt it.
        """
        run = await self._store.open_reconciliation(
            scope, days.first, days.last, days.closes_at(now), applies=applies, started_by=started_by
        )
        if run.outcome == "busy":
            raise AlreadyRunning(
                "this reconciliation is already running; if its process has died, it can be resumed in five minutes"
            )
        self._records.begin()
        if run.outcome != "done":
            async with self._releasing(run):
                await self._work(run, scope, days, applies=applies)
        return Report(run, await self._store.count_findings(run), self._records.sources)

    async def findings(self, run: Run) -> AsyncIterator[Finding]:
        """Every finding of a run, by subject."""
        page = await self._store.read_findings(run)
        while page:
            for finding in page:
                yield finding
            page = await self._store.read_findings(run, after=page[-1].subject)

    async def _work(self, run: Run, scope: Scope, days: Days, *, applies: bool) -> None:
        self._on_step(run)
        while run.phase is not Phase.REPAIR:
            if scope is Scope.PAYMENTS:
                await self._compare_payments(run)
            else:
                await self._compare_settlements(run)
            run.position = None
            next_day = days.after(run.day)
            if next_day is None:
                run.phase = Phase.REPAIR
            else:
                run.day, run.phase = next_day, Phase.LIST
            await self._step(run, ends_day=True)
        if applies:
            await self._repair(run, scope)
        await self._step(run, is_finished=True)

    async def _compare_payments(self, run: Run) -> None:
        window = Window.of(run.day, run.closes_at)
        if run.phase is Phase.LIST:
            async for key, rows in self._records.transactions(window, run.position):
                run.position = key
                run.listed += len(rows)
                await self._step(run, listed=rows)
            run.phase, run.position = Phase.COMPARE, None
            await self._step(run)
        while True:
            payments, findings = await self._payments.page(run, window)
            if not payments:
                return
            run.position = payments[-1].name
            run.compared += len(payments)
            await self._step(run, findings=findings)

    async def _compare_settlements(self, run: Run) -> None:
        """Toss numbers these pages, so an interrupted day starts over; it finds the same again."""
        async for rows, findings in self._settlements.pages(run.day):
            run.listed += rows
            run.compared += rows
            await self._step(run, findings=findings)

    async def _repair(self, run: Run, scope: Scope) -> None:
        reconciler = self._payments if scope is Scope.PAYMENTS else self._settlements
        while found := await self._store.read_findings(run, outcome=FindingOutcome.FOUND, max_findings=LOOKUPS_AT_ONCE):
            await self._step(run, findings=await reconciler.repair(found))

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
            # Ctrl-C has cancelled this task; release the lease all the same.
            release = asyncio.create_task(self._store.release_reconciliation(run))
            with contextlib.suppress(SupatossError, TimeoutError):
                await asyncio.wait_for(asyncio.shield(release), RELEASE_SECONDS)
            raise
