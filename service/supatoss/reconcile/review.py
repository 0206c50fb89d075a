"""Looks open findings up again: what no longer differs is resolved, and its alert ends."""

from collections.abc import Sequence
from dataclasses import dataclass

from supatoss.reconcile.compare import difference
from supatoss.reconcile.records import LOOKUPS_AT_ONCE, TossRecords
from supatoss.reconcile.settlements import is_settled
from supatoss.store import Store
from supatoss.store.findings import Finding, FindingKind, FindingReason
from supatoss.store.reconciliation import Scope
from supatoss.store.reviews import OpenFinding
from supatoss.toss.models import PaymentAnswer

MAX_FINDINGS = 100
"""Of one review: a look-up each. Those that have waited longest come first, so that all get their turn."""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """How many findings were looked up, and how many of them no longer differ."""

    looked_at: int = 0
    resolved: int = 0


class Review:
    """One pass over open findings."""

    def __init__(self, store: Store, records: TossRecords) -> None:
        self._store = store
        self._records = records

    async def look(self, older_than_seconds: float) -> Reviewed:
        """Looks up those that were last looked up longer ago than that. Raises TossError and StoreError."""
        found = await self._store.read_open_findings(older_than_seconds, MAX_FINDINGS)
        resolved = 0
        for first in range(0, len(found), LOOKUPS_AT_ONCE):
            if first:
                await self._records.pause()
            batch = found[first : first + LOOKUPS_AT_ONCE]
            resolved += await self._store.note_findings(await self._judge(batch))
        return Reviewed(len(found), resolved)

    async def _judge(self, batch: Sequence[OpenFinding]) -> dict[str, bool]:
        """Whether each of them, by id, no longer differs. Those for which Toss names no payment are left out."""
        named = [item for item in batch if item.scope is Scope.PAYMENTS and item.finding.payment_key]
        answers = await self._records.payments([item.finding.payment_key or "" for item in named])
        judged = dict.fromkeys((item.id for item in batch), False)
        for item, answer in zip(named, answers, strict=True):
            judged[item.id] = await self._is_resolved(item.finding, answer)
        for item in batch:
            if item.scope is Scope.SETTLEMENTS:
                judged[item.id] = await is_settled(self._store, item.finding)
        return judged

    async def _is_resolved(self, finding: Finding, answer: PaymentAnswer | FindingReason) -> bool:
        if isinstance(answer, PaymentAnswer):
            # Read after Toss answered: a webhook may have arrived in the meantime.
            standing = await self._store.read_standing(answer.payment.payment_key, answer.payment.order_id)
            return difference(standing, answer.payment) is None
        if answer is not FindingReason.UNKNOWN_TO_TOSS or finding.kind is not FindingKind.EXTRA:
            return False
        # Toss knows no such payment, and no row says any more that it was paid.
        standing = await self._store.read_standing(finding.payment_key, finding.order_id)
        row = standing.shown(finding.payment_key)
        return row is None or not row.is_moved
