"""Open orders: unpaid rows, looked up at Toss by order id.

If the buyer closed the window after paying, the row still has its placeholder, but the order id finds the payment.
"""

import datetime as dt
from collections.abc import Sequence

from supatoss.reconcile.compare import difference
from supatoss.reconcile.payments import finding_of_order
from supatoss.reconcile.records import TossRecords
from supatoss.store import Store
from supatoss.store.findings import Finding, FindingReason

MAX_ORDERS = 500
"""Of one day; a shop has more unpaid orders than should be looked up."""

BURST_ORDERS = 40
"""Looked up without a pause, so that a small shop's day takes seconds."""

_UNKNOWN = (FindingReason.UNKNOWN_TO_TOSS, FindingReason.REFUSED_BY_TOSS)
"""Toss has no such order: nobody ever began to pay, or Toss doesn't accept such an id."""


class OpenOrders:
    """Looks orders up at Toss, and compares the answers with their rows."""

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
