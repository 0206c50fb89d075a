"""What a reconciliation finds, and what became of it."""

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """How Toss's record and ours differ."""

    MISSING = "missing"
    """Toss moved money, and nothing of ours says so."""
    EXTRA = "extra"
    """Our row says that money moved, and Toss does not."""
    AMOUNT = "amount"
    """Amount, currency or what is left after cancels."""
    STATUS = "status"
    """The row does not show what Toss did: its status, a cancel, or which of the order's payments counts."""
    TIME = "time"
    """When it was approved or cancelled."""
    DOUBLE_CHARGE = "double_charge"
    """Two payments hold the money of one order."""


class Outcome(StrEnum):
    """What became of a finding. FOUND: nothing was done, or not yet."""

    FOUND = "found"
    REPAIRED = "repaired"
    NEEDS_PERSON = "needs_person"


class Cause(StrEnum):
    """Why a finding needs a person, or could not be checked."""

    AMOUNT_MISMATCH = "amount_mismatch"
    DOUBLE_CHARGE = "double_charge"
    REFUSED_BY_DATABASE = "refused_by_database"
    UNKNOWN_TO_TOSS = "unknown_to_toss"
    UNKNOWN_STATUS = "unknown_status"
    REFUSED_BY_TOSS = "refused_by_toss"
    NOT_ANSWERED = "not_answered"
    NO_PAYMENT_NAMED = "no_payment_named"
    STILL_DIFFERENT = "still_different"


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference: of a payment or a settlement. ours and theirs hold what is compared, never a secret."""

    subject: str
    kind: Kind
    day: dt.date
    payment_key: str | None
    order_id: str | None
    transaction_key: str | None = None
    ours: Mapping[str, Any] = field(default_factory=dict)
    theirs: Mapping[str, Any] = field(default_factory=dict)
    outcome: Outcome = Outcome.FOUND
    reason: Cause | None = None
    event_id: str | None = None

    def ended(self, outcome: Outcome, reason: Cause | None = None, event_id: str | None = None) -> "Finding":
        """The same finding after something was done about it."""
        return replace(self, outcome=outcome, reason=reason, event_id=event_id or self.event_id)

    def to_json(self) -> dict[str, Any]:
        """As it is stored and shown."""
        return {
            "subject": self.subject,
            "kind": self.kind.value,
            "day": self.day.isoformat(),
            "payment_key": self.payment_key,
            "order_id": self.order_id,
            "transaction_key": self.transaction_key,
            "ours": dict(self.ours),
            "theirs": dict(self.theirs),
            "outcome": self.outcome.value,
            "reason": self.reason.value if self.reason else None,
            "event_id": self.event_id,
        }

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Finding":
        """A stored finding. Raises KeyError, TypeError or ValueError."""
        return cls(
            subject=row["subject"],
            kind=Kind(row["kind"]),
            day=dt.date.fromisoformat(row["day"]),
            payment_key=row["payment_key"],
            order_id=row["order_id"],
            transaction_key=row["transaction_key"],
            ours=row["ours"],
            theirs=row["theirs"],
            outcome=Outcome(row["outcome"]),
            reason=Cause(row["reason"]) if row["reason"] else None,
            event_id=row["event_id"],
        )


@dataclass(frozen=True, slots=True)
class Count:
    """How many findings of a kind ended in an outcome."""

    kind: Kind
    outcome: Outcome
    count: int


def by_kind(counts: Sequence[Count]) -> dict[Kind, int]:
    """Differences that are left, by kind, those with none included."""
    left: Counter[Kind] = Counter()
    for item in counts:
        if item.outcome is not Outcome.REPAIRED:
            left[item.kind] += item.count
    return {kind: left[kind] for kind in Kind}
