"""Values of filters: completed in the shell, and refused with a suggestion if misspelt."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches

from supatoss.errors import NotAllowed

STATUSES = ("processed", "ignored", "pending", "failed")

TYPES = (
    *("PAYMENT_STATUS_CHANGED", "DEPOSIT_CALLBACK", "CANCEL_STATUS_CHANGED", "BILLING_DELETED", "METHOD_UPDATED"),
    *("CUSTOMER_STATUS_CHANGED", "payout.changed", "seller.changed", "ORDER_PAYMENT_STATUS_CHANGED"),
    *("ars-reservation.changed", "VIRTUAL_ACCOUNT_ISSUED", "VIRTUAL_ACCOUNT_DEPOSIT", "BILLING_KEY_ISSUED"),
    *("BILLING_KEY_DELETED", "SETTLEMENT_COMPLETED", "supatoss.account_checked", "supatoss.account_expired"),
    *("supatoss.payment_reconciled", "supatoss.settlement_reconciled"),
)
"""Toss's, the merchant guide's, and our own."""

REASONS = (
    *("amount_mismatch", "double_charge", "approval_amount_mismatch", "no_stored_amount", "ambiguous_subscription"),
    *("hook_failed", "malformed", "not_borne_out", "not_found", "refused", "misconfigured", "unavailable"),
    *("too_many_events", "refused_by_database", "unknown_status", "unknown_order", "unknown_type", "no_projection"),
    *("check_deposit", "find_payment", "toss_disagrees", "operator", "adopted", "not_recorded_by_supatoss"),
)


def completion(values: Sequence[str]) -> Callable[[str], list[str]]:
    """What the shell offers: the values that begin like this, in any case."""

    def complete(incomplete: str) -> list[str]:
        return [value for value in values if value.upper().startswith(incomplete.upper())]

    return complete


def check(option: str, given: Sequence[str] | None, values: Sequence[str]) -> tuple[str, ...]:
    """The values as they are stored, whatever their case. Raises NotAllowed with the list, and what was meant."""
    return tuple(_check(option, text, values) for text in given or ())


def _check(option: str, text: str, values: Sequence[str]) -> str:
    by_case = {value.casefold(): value for value in values}
    found = by_case.get(text.strip().casefold())
    if found:
        return found
    meant = closest(text, values)
    question = f"Did you mean {meant}? " if meant else ""
    raise NotAllowed(f"{option} {text[:40]!r} is unknown. {question}It takes {', '.join(values)}")


def closest(text: str, values: Sequence[str]) -> str | None:
    """The value that was probably meant: a longer one that begins so, or one with few other letters."""
    by_case = {value.casefold(): value for value in values}
    wanted = text.strip().casefold()
    longer = [value for key, value in by_case.items() if wanted and key.startswith(wanted)]
    if len(longer) == 1:
        return longer[0]
    found = get_close_matches(wanted, by_case, n=1, cutoff=0.6)
    return by_case[found[0]] if found else None
