"""Open orders: rows that never moved money, asked for at Toss by order id.

The buyer who closed the window after paying: the row's placeholder finds nothing at Toss, the order id does.
"""

import datetime as dt
from collections.abc import Sequence

from supatoss.reconcile.compare import difference
from supatoss.reconcile.payments import finding_of_order
from supatoss.reconcile.records import TossRecords
from supatoss.store import Store
from supatoss.store.findings import Finding, FindingReason

MAX_ORDERS = 500
"""Of one day; a shop has more orders that nobody pays than Toss should be asked about."""

BURST_ORDERS = 40
"""Asked about without a pause, so that a small shop's day takes seconds."""

_UNKNOWN = (FindingReason.UNKNOWN_TO_TOSS, FindingReason.REFUSED_BY_TOSS)
"""Toss has no such order: nobody ever began to pay, or the id is one that Toss takes from nobody."""


class OpenOrders:
    """Asks Toss for orders, and compares what it answers with their rows."""

    def __init__(self, store: Store, records: TossRecords) -> None:
        self._store = store
        self._records = records

    async def ask(self, order_ids: Sequence[str], day: dt.date) -> tuple[list[Finding], int]:
        """What differs, and how many orders got no answer. Raises TossError if Toss answers nothing at all."""
        findings: list[Finding] = []
        unanswered = 0
        for order_id, answer in zip(order_ids, await self._records.payments_of_orders(list(order_ids)), strict=True):
            if isinstance(answer, FindingReason):
                unanswered += answer not in _UNKNOWN
                continue
            # Read after Toss answered: a webhook may have arrived in the meantime.
            standing = await self._store.read_standing(answer.payment.payment_key, order_id)
            if differs := difference(standing, answer.payment):
                findings.append(finding_of_order(order_id, day, *differs, standing, answer.payment))
        return findings, unanswered
