"""Runs a reconciliation: one at a time, resumable at every step, in bounded memory."""

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

import structlog

from supatoss import tracing
from supatoss.errors import SupatossError
from supatoss.reconcile.orders import BURST_ORDERS, MAX_ORDERS, OpenOrders
from supatoss.reconcile.payments import PaymentReconciler
from supatoss.reconcile.records import LOOKUPS_AT_ONCE, Days, Source, TossRecords, Window
from supatoss.reconcile.review import Review, Reviewed
from supatoss.reconcile.settlements import SettlementReconciler
from supatoss.store import Store
from supatoss.store.findings import Finding, FindingCount, FindingOutcome, remaining_by_kind
from supatoss.store.reconciliation import AlreadyRunning, Phase, Run, Scope, StartedBy
from supatoss.store.reviews import UncomparedDays
from supatoss.toss.client import TossClient

RELEASE_SECONDS = 3.0
"""Time to release the lease when a run is interrupted; otherwise it expires."""

OPEN_ORDERS = "open orders"
"""What was incomplete about a run, where it is not a key."""

_log = structlog.get_logger("supatoss.reconcile")


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something was not compared. key: the key of TOSS_SECRET_KEY whose merchant id it was, or OPEN_ORDERS."""

    key: str
    problem: str


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
    def incomplete(self) -> Sequence[Problem]:
        """What the run could not compare: what belongs to the MIDs of some keys, or open orders."""
        return [Problem(key, problem) for key, problem in sorted(self.run.incomplete.items())]

    @property
    def is_compared(self) -> bool:
        """Whether the run is finished, and nothing is missing in it."""
        return self.run.outcome != "later" and not self.run.incomplete

    @property
    def repaired(self) -> int:
        """Differences that the run repaired."""
        return self._count(FindingOutcome.REPAIRED)

    @property
    def set_aside(self) -> int:
        """Differences that an operator has ignored."""
        return self._count(FindingOutcome.SET_ASIDE)

    def _count(self, outcome: FindingOutcome) -> int:
        return sum(item.count for item in self.counts if item.outcome is outcome)


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
        self._orders = OpenOrders(store, self._records)
        self._on_step = on_step

    async def reconcile(
        self,
        scope: Scope,
        days: Days,
        now: dt.datetime,
        *,
        applies: bool = False,
        started_by: StartedBy = StartedBy.OPERATOR,
        retry_seconds: float = 0.0,
    ) -> Report:
        """Compares some days, and repairs the differences if `applies`. Resumes an interrupted run.

        Raises AlreadyRunning while another process works on the same run; StoreError and TossError interrupt it.
        """
        run = await self._store.open_reconciliation(
            scope,
            days.first,
            days.last,
            days.closes_at(now),
            applies=applies,
            started_by=started_by,
            retry_seconds=retry_seconds,
        )
        if run.outcome == "busy":
            raise AlreadyRunning(
                "this reconciliation is already running; if its process has died, it can be resumed in five minutes"
            )
        self._records.begin()
        if run.is_ours:
            attributes = {"scope": scope.value, "first_day": f"{days.first}", "last_day": f"{days.last}"}
            with tracing.span("reconcile", attributes={**attributes, "applies": applies}):
                async with self._releasing(run):
                    await self._work(run, scope, days, applies=applies)
                tracing.note({"compared": run.compared, "listed": run.listed, "orders_asked": run.orders_asked})
        return Report(run, await self._store.count_findings(run), self._records.sources)

    async def findings(self, run: Run) -> AsyncIterator[Finding]:
        """Every finding of a run, by subject."""
        page = await self._store.read_findings(run)
        while page:
            for finding in page:
                yield finding
            page = await self._store.read_findings(run, after=page[-1].subject)

    async def uncompared(self, last_day: dt.date, max_days: int) -> UncomparedDays:
        """Days since the first event that were never compared."""
        return await self._store.uncompared_days(last_day, max_days)

    async def review(self, older_than_seconds: float) -> Reviewed:
        """Looks up open findings again that were last looked up longer ago than that."""
        self._records.begin()
        return await Review(self._store, self._records).look(older_than_seconds)

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
        if run.phase is Phase.COMPARE:
            while (page := await self._payments.page(run, window))[0]:
                payments, findings = page
                run.position = payments[-1].name
                run.compared += len(payments)
                await self._step(run, findings=findings)
            run.phase, run.position = Phase.ASK, None
            await self._step(run)
        await self._ask_for_orders(run, window)

    async def _ask_for_orders(self, run: Run, window: Window) -> None:
        asked = 0
        while orders := await self._store.read_open_orders(run, window.start, window.end, LOOKUPS_AT_ONCE):
            if asked >= MAX_ORDERS:
                run.orders_left_out = True
                return
            if asked >= BURST_ORDERS:
                await self._records.pause()
            findings, unanswered = await self._orders.ask(orders, run.day)
            if unanswered:
                run.incomplete[OPEN_ORDERS] = "Toss did not answer about all of them with every key"
            asked += len(orders)
            run.orders_asked += len(orders)
            run.position = orders[-1]
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
            await self._step(run, findings=[repair.finding for repair in await reconciler.repair(found)])

    async def _step(
        self,
        run: Run,
        *,
        listed: Sequence[dict[str, object]] = (),
        findings: Sequence[Finding] = (),
        ends_day: bool = False,
        is_finished: bool = False,
    ) -> None:
        run.incomplete |= {source.key: source.problem for source in self._records.sources if source.problem}
        await self._store.advance_reconciliation(run, listed, findings, ends_day=ends_day, is_finished=is_finished)
        self._on_step(run)

    @contextlib.asynccontextmanager
    async def _releasing(self, run: Run) -> AsyncIterator[None]:
        try:
            yield
        except BaseException as error:
            # Ctrl-C has cancelled this task; release the lease all the same.
            release = asyncio.create_task(self._store.release_reconciliation(run, _problem(error)))
            with contextlib.suppress(SupatossError, TimeoutError):
                await asyncio.wait_for(asyncio.shield(release), RELEASE_SECONDS)
            raise


def _problem(error: BaseException) -> str | None:
    """Why a run was interrupted; None if its process only stops."""
    if isinstance(error, SupatossError):
        return str(error)
    return type(error).__name__ if isinstance(error, Exception) else None
