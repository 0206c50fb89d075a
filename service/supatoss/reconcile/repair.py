"""Repairs open findings on an operator's word, a few at a time, and shows first what that would do."""

from collections.abc import Sequence
from dataclasses import dataclass

import anyio

from supatoss.errors import SupatossError, TossUnavailable
from supatoss.inbox.actions import checked_actor
from supatoss.inbox.lookups import Lookups
from supatoss.reconcile.payments import PaymentReconciler
from supatoss.reconcile.records import TossRecords
from supatoss.reconcile.settlements import SettlementReconciler
from supatoss.store import Store
from supatoss.store.findings import FindingOutcome, Repair
from supatoss.store.reconciliation import Scope
from supatoss.store.reviews import FindingFilter, OpenFinding
from supatoss.toss.client import TossClient
from supatoss.toss.ratelimit import RECONCILE

MAX_REPAIRS = 20
"""At once: a look-up each, and what one person can read through beforehand."""

MAX_SECONDS = 40.0
"""For all of them. Somebody waits for the page; Toss usually answers within a second."""


@dataclass(frozen=True, slots=True)
class Repairs:
    """What became of each finding, or would. has_more: the limit left some out. problem: why it stopped early."""

    repairs: Sequence[tuple[OpenFinding, Repair]]
    has_more: bool
    problem: SupatossError | None = None

    @property
    def repaired(self) -> int:
        """How many no longer differ."""
        return sum(repair.finding.outcome is FindingOutcome.REPAIRED for _, repair in self.repairs)


class FindingRepairer:
    """Repairs open findings as `supatoss reconcile --apply` repairs those of a run."""

    def __init__(self, store: Store, toss: TossClient) -> None:
        self._store = store
        self._records = TossRecords(toss, lookups=Lookups(toss, RECONCILE))
        self._payments = PaymentReconciler(store, self._records)
        self._settlements = SettlementReconciler(store, self._records)

    async def repair(self, wanted: FindingFilter, *, actor: str, address: str | None = None, dry_run: bool) -> Repairs:
        """Looks the findings up at Toss, one after the other, and repairs what it answers. dry_run changes nothing.

        Raises StoreError or TossError where not even the first one could be tried.
        """
        found = await self._store.find_open_findings(wanted, MAX_REPAIRS)
        self._records.begin()
        repairs: list[tuple[OpenFinding, Repair]] = []
        try:
            with anyio.fail_after(MAX_SECONDS):
                for item in found.findings:
                    repair = await self._repair(item, dry_run=dry_run)
                    if not dry_run:
                        # At once, so that what is done is on record whatever happens to the next one.
                        noted = {item.id: repair.finding}
                        await self._store.note_repairs(noted, actor=checked_actor(actor), address=address)
                    repairs.append((item, repair))
        except (TimeoutError, SupatossError) as error:
            problem = error if isinstance(error, SupatossError) else TossUnavailable("payment", "timeout")
            if not repairs:
                raise problem from None
            return Repairs(repairs, found.has_more, problem)
        return Repairs(repairs, found.has_more)

    async def _repair(self, item: OpenFinding, *, dry_run: bool) -> Repair:
        reconciler = self._payments if item.scope is Scope.PAYMENTS else self._settlements
        (repair,) = await reconciler.repair([item.finding], dry_run=dry_run)
        return repair
