"""Toss's records against ours, in two steps, both pure.

The list of transactions raises a suspicion; the payment itself, as Toss shows it, decides. So nothing depends on what
Toss does not document of the list: the sign of a cancel's amount, the status of an approval that was cancelled later.
"""

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal

from supatoss.inbox.event import EventStatus
from supatoss.inbox.interpret import interpret_payment
from supatoss.reconcile.days import Window
from supatoss.store.findings import MOVED, Cause, Held, Kind, Listed, Standing, Subject, cancels_of, holds_money
from supatoss.toss.fields import PaymentStatus, parse_time
from supatoss.toss.models import Payment

TOLERANCE = dt.timedelta(seconds=60)
"""Times of the same minute are the same: an application that marks its row paid itself writes its own clock's time."""


def is_suspect(subject: Subject, window: Window) -> bool:
    """Whether the list and what we hold do not bear each other out."""
    moves = [item for item in subject.listed if item.is_moved]
    row = subject.standing.shown(subject.payment_key)
    if row is None:
        # Another attempt of the order, or nobody's. One that was refunded in full before the next one paid is in order.
        attempt = subject.standing.attempt
        known = attempt.cancels if attempt else {}
        is_refunded = attempt is not None and attempt.is_canceled and not attempt.reasons
        return bool(moves) and not (
            is_refunded and all(item.transaction_key in known for item in moves if item.is_cancel)
        )
    if row.is_moved != bool(moves) and subject.listed:
        return True
    if row.is_moved and not _is_sound(row):
        return True
    return not all(_bears_out(row, item) for item in moves) or _has_more(row, subject.listed, window)


def _is_sound(row: Held) -> bool:
    """Whether the row's own parts bear each other out: its status, its cancels and what they leave."""
    if (row.status == PaymentStatus.DONE) == bool(row.cancels):
        return False
    canceled = [item.amount for item in row.cancels.values()]
    left = row.amount - sum((amount for amount in canceled if amount is not None), Decimal(0))
    return row.balance is None or None in canceled or row.balance == left


def _bears_out(row: Held, item: Listed) -> bool:
    amount = None if item.amount is None else abs(item.amount)
    if item.currency is not None and row.currency is not None and item.currency != row.currency:
        return False
    if not item.is_cancel:
        return row.is_moved and amount in (None, row.amount) and _same_time(row.approved_at, item.transaction_at)
    held = row.cancels.get(item.transaction_key)
    return held is not None and (held.amount is None or amount in (None, held.amount))


def _has_more(row: Held, listed: Sequence[Listed], window: Window) -> bool:
    """Whether the row says that money moved in the window, and Toss's list does not."""
    if not row.is_moved:
        return False
    keys = {item.transaction_key for item in listed}
    if row.approved_at is None and row.status != PaymentStatus.CANCELED:
        return True
    if window.has(row.approved_at) and not any(not item.is_cancel for item in listed):
        return True
    if window.has(row.canceled_at) and not any(item.is_cancel for item in listed):
        return True
    return any(window.has(held.canceled_at) and key not in keys for key, held in row.cancels.items())


def difference(standing: Standing, payment: Payment) -> tuple[Kind, Cause | None] | None:
    """How what we hold differs from the payment that Toss shows; the worst first."""
    if interpret_payment(payment).status is not EventStatus.PROCESSED:
        return Kind.STATUS, Cause.UNKNOWN_STATUS
    row = standing.shown(payment.payment_key)
    kind = _of_another_attempt(standing, payment) if row is None else _of_the_row(row, payment)
    return None if kind is None else (kind, None)


def _of_another_attempt(standing: Standing, payment: Payment) -> Kind | None:
    if payment.status not in MOVED:
        return None
    attempt, row = standing.attempt, standing.row
    if attempt is None or not attempt.is_moved:
        return Kind.MISSING
    if not holds_money(payment.status, payment.balance_amount):
        theirs = cancels_of(payment.cancels)
        is_known = (attempt.is_canceled or payment.status != PaymentStatus.CANCELED) and (
            attempt.cancels.keys() >= theirs.keys()
        )
        return None if is_known and row is not None else Kind.STATUS
    if "amount_mismatch" in attempt.reasons:
        return Kind.AMOUNT
    if "double_charge" in attempt.reasons and row is not None and row.holds_money:
        return Kind.DOUBLE_CHARGE
    return Kind.STATUS


def _of_the_row(row: Held, payment: Payment) -> Kind | None:
    is_moved = payment.status in MOVED
    if row.is_moved and not is_moved:
        return Kind.EXTRA
    if not is_moved:
        return None
    if _amounts_differ(row, payment):
        return Kind.AMOUNT
    if row.status != payment.status or _cancels_differ(row, payment):
        return Kind.STATUS
    if row.balance is not None and payment.balance_amount is not None and row.balance != payment.balance_amount:
        return Kind.AMOUNT
    return Kind.TIME if _times_differ(row, payment) else None


def _amounts_differ(row: Held, payment: Payment) -> bool:
    if payment.total_amount is not None and payment.total_amount != row.amount:
        return True
    return payment.currency is not None and row.currency is not None and payment.currency != row.currency


def _cancels_differ(row: Held, payment: Payment) -> bool:
    theirs = cancels_of(payment.cancels)
    if not row.cancels and row.status == PaymentStatus.CANCELED:
        return False
    return row.cancels.keys() != theirs.keys() or any(
        row.cancels[key].amount != item.amount for key, item in theirs.items()
    )


def _times_differ(row: Held, payment: Payment) -> bool:
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
