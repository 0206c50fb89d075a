"""Compares Toss's records with ours in two steps, both pure.

The list of transactions marks suspects; the payment itself, looked up at Toss, decides. So nothing depends on what Toss
doesn't document about the list: the sign of a cancel's amount, the status of an approval that was cancelled later.
"""

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal

from supatoss.inbox.event import EventStatus
from supatoss.inbox.interpret import interpret_payment
from supatoss.reconcile.records import Window
from supatoss.store.findings import FindingKind, FindingReason
from supatoss.store.standings import (
    MOVED,
    ComparedPayment,
    ListedTransaction,
    Standing,
    StoredPayment,
    cancels_of,
    holds_money,
)
from supatoss.toss.fields import PaymentStatus, parse_time
from supatoss.toss.models import Payment

TOLERANCE = dt.timedelta(seconds=60)
"""Times within a minute are equal: an application that marks its own row as paid writes the time of its own clock."""


def is_suspect(payment: ComparedPayment, window: Window) -> bool:
    """Whether Toss's list and our rows disagree."""
    moves = [item for item in payment.listed if item.is_moved]
    row = payment.standing.shown(payment.payment_key)
    if row is None:
        # Another attempt of the order, or unknown to us. An attempt refunded in full before the next one paid is fine.
        attempt = payment.standing.attempt
        known = attempt.cancels if attempt else {}
        is_refunded = attempt is not None and attempt.is_canceled and not attempt.reasons
        return bool(moves) and not (
            is_refunded and all(item.transaction_key in known for item in moves if item.is_cancel)
        )
    if row.is_moved != bool(moves) and payment.listed:
        return True
    # Toss sends no webhook and lists nothing when a refund that failed is paid out after all.
    if row.is_moved and (not _is_consistent(row) or row.is_refund_failed):
        return True
    return not all(_matches(row, item) for item in moves) or _says_more(row, payment.listed, window)


def _is_consistent(row: StoredPayment) -> bool:
    """Whether the row's status, cancels and balance agree with each other."""
    if (row.status == PaymentStatus.DONE) == bool(row.cancels):
        return False
    canceled = [item.amount for item in row.cancels.values()]
    left = row.amount - sum((amount for amount in canceled if amount is not None), Decimal(0))
    return row.balance is None or None in canceled or row.balance == left


def _matches(row: StoredPayment, item: ListedTransaction) -> bool:
    amount = None if item.amount is None else abs(item.amount)
    if item.currency is not None and row.currency is not None and item.currency != row.currency:
        return False
    if not item.is_cancel:
        return row.is_moved and amount in (None, row.amount) and _same_time(row.approved_at, item.transaction_at)
    stored = row.cancels.get(item.transaction_key)
    return stored is not None and (stored.amount is None or amount in (None, stored.amount))


def _says_more(row: StoredPayment, listed: Sequence[ListedTransaction], window: Window) -> bool:
    """Whether the row says that money moved in the window and Toss's list doesn't."""
    if not row.is_moved:
        return False
    keys = {item.transaction_key for item in listed}
    if row.approved_at is None and row.status != PaymentStatus.CANCELED:
        return True
    if window.has(row.approved_at) and not any(not item.is_cancel for item in listed):
        return True
    if window.has(row.canceled_at) and not any(item.is_cancel for item in listed):
        return True
    return any(window.has(cancel.canceled_at) and key not in keys for key, cancel in row.cancels.items())


def difference(standing: Standing, payment: Payment) -> tuple[FindingKind, FindingReason | None] | None:
    """How our rows differ from the payment at Toss; the worst difference first."""
    if interpret_payment(payment).status is not EventStatus.PROCESSED:
        return FindingKind.STATUS, FindingReason.UNKNOWN_STATUS
    row = standing.shown(payment.payment_key)
    kind = _attempt_difference(standing, payment) if row is None else _row_difference(row, payment)
    return None if kind is None else (kind, None)


def _attempt_difference(standing: Standing, payment: Payment) -> FindingKind | None:
    if payment.status not in MOVED:
        return None
    attempt, row = standing.attempt, standing.row
    if attempt is None or not attempt.is_moved:
        return FindingKind.MISSING
    if not holds_money(payment.status, payment.balance_amount):
        theirs = cancels_of(payment.cancels)
        is_known = (attempt.is_canceled or payment.status != PaymentStatus.CANCELED) and (
            attempt.cancels.keys() >= theirs.keys()
        )
        is_over = is_known or attempt.is_set_aside
        return None if is_over and row is not None else FindingKind.STATUS
    if "amount_mismatch" in attempt.reasons:
        return FindingKind.AMOUNT
    if "double_charge" in attempt.reasons and row is not None and row.holds_money:
        return FindingKind.DOUBLE_CHARGE
    return FindingKind.STATUS


def _row_difference(row: StoredPayment, payment: Payment) -> FindingKind | None:
    is_moved = payment.status in MOVED
    if row.is_moved and not is_moved:
        return FindingKind.EXTRA
    if not is_moved:
        return None
    if _amounts_differ(row, payment):
        return FindingKind.AMOUNT
    if row.status != payment.status or _cancels_differ(row, payment):
        return FindingKind.STATUS
    if row.is_refund_failed and row.refund_status != refund_status_of(payment):
        return FindingKind.STATUS
    if row.balance is not None and payment.balance_amount is not None and row.balance != payment.balance_amount:
        return FindingKind.AMOUNT
    return FindingKind.TIME if _times_differ(row, payment) else None


def refund_status_of(payment: Payment) -> str | None:
    """What became of a deposit that was paid back to an account."""
    return text if isinstance(text := (payment.virtual_account or {}).get("refundStatus"), str) else None


def _amounts_differ(row: StoredPayment, payment: Payment) -> bool:
    if payment.total_amount is not None and payment.total_amount != row.amount:
        return True
    return payment.currency is not None and row.currency is not None and payment.currency != row.currency


def _cancels_differ(row: StoredPayment, payment: Payment) -> bool:
    theirs = cancels_of(payment.cancels)
    if not row.cancels and row.status == PaymentStatus.CANCELED:
        return False
    return row.cancels.keys() != theirs.keys() or any(
        row.cancels[key].amount != item.amount for key, item in theirs.items()
    )


def _times_differ(row: StoredPayment, payment: Payment) -> bool:
    if not _same_time(row.approved_at, payment.approved_at):
        return True
    if row.status != PaymentStatus.CANCELED:
        return False
    canceled = [moment for item in payment.cancels if (moment := parse_time(item.get("canceledAt")))]
    return not _same_time(row.canceled_at, max(canceled, default=None))


def _same_time(ours: dt.datetime | None, theirs: dt.datetime | None) -> bool:
    if theirs is None:
        return True
    return ours is not None and abs(ours - theirs) <= TOLERANCE
