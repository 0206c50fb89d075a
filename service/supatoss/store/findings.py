"""Findings of a reconciliation: what differs, and what became of it."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

MERCHANT_ID = "merchant_id"
"""Field of a finding's `theirs`: the MID, where Toss's record names it."""


class FindingKind(StrEnum):
    """How Toss's record and ours differ."""

    MISSING = "missing"
    """Paid or cancelled at Toss, but not in our rows."""
    EXTRA = "extra"
    """Paid or cancelled in our row, but not at Toss."""
    AMOUNT = "amount"
    """Amount, currency or the balance after cancels."""
    STATUS = "status"
    """The row's status, its cancels, or which of the order's payments counts."""
    TIME = "time"
    """The time of approval or cancellation."""
    DOUBLE_CHARGE = "double_charge"
    """Two payments hold money for one order."""


class FindingOutcome(StrEnum):
    """What was done about a finding."""

    FOUND = "found"
    """Nothing, or nothing yet."""
    REPAIRED = "repaired"
    NEEDS_PERSON = "needs_person"
    RESOLVED = "resolved"
    """A later run found it again, or it no longer differs."""
    SET_ASIDE = "set_aside"
    """An operator ignored it."""


class FindingReason(StrEnum):
    """Why a finding needs manual review, or could not be checked."""

    AMOUNT_MISMATCH = "amount_mismatch"
    DOUBLE_CHARGE = "double_charge"
    REFUSED_BY_DATABASE = "refused_by_database"
    HOOK_FAILED = "hook_failed"
    UNKNOWN_TO_TOSS = "unknown_to_toss"
    UNKNOWN_STATUS = "unknown_status"
    REFUSED_BY_TOSS = "refused_by_toss"
    KEY_REFUSED = "key_refused"
    NOT_ANSWERED = "not_answered"
    NO_PAYMENT_NAMED = "no_payment_named"
    STILL_DIFFERENT = "still_different"


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference of a payment or a settlement. `ours` and `theirs` hold the compared fields, never a secret."""

    subject: str
    kind: FindingKind
    day: dt.date
    payment_key: str | None
    order_id: str | None
    transaction_key: str | None = None
    ours: Mapping[str, Any] = field(default_factory=dict)
    theirs: Mapping[str, Any] = field(default_factory=dict)
    outcome: FindingOutcome = FindingOutcome.FOUND
    reason: FindingReason | None = None
    event_id: str | None = None

    def with_outcome(
        self, outcome: FindingOutcome, reason: FindingReason | None = None, event_id: str | None = None
    ) -> "Finding":
        """The same finding after a repair was tried."""
        return replace(self, outcome=outcome, reason=reason, event_id=event_id or self.event_id)

    def differing(self) -> list[tuple[str, Any, Any]]:
        """The fields that differ, ours and theirs; status and amount where one side is missing."""
        names = [name for name in self.theirs if name in self.ours and self.theirs[name] != self.ours[name]]
        return [(name, self.ours.get(name), self.theirs.get(name)) for name in names or ("status", "amount")]

    def to_json(self) -> dict[str, Any]:
        """As stored and printed."""
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
        """Reads a stored finding. Raises KeyError, TypeError or ValueError."""
        return cls(
            subject=row["subject"],
            kind=FindingKind(row["kind"]),
            day=dt.date.fromisoformat(row["day"]),
            payment_key=row["payment_key"],
            order_id=row["order_id"],
            transaction_key=row["transaction_key"],
            ours=row["ours"],
            theirs=row["theirs"],
            outcome=FindingOutcome(row["outcome"]),
            reason=FindingReason(row["reason"]) if row["reason"] else None,
            event_id=row["event_id"],
        )


@dataclass(frozen=True, slots=True)
class Repair:
    """What became of a finding, and our row before and after: its compared fields, empty where there is no row."""

    finding: Finding
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FindingCount:
    """Number of findings of one kind and outcome."""

    kind: FindingKind
    outcome: FindingOutcome
    count: int


def remaining_by_merchant(findings: Iterable[Finding]) -> dict[str, int]:
    """Remaining differences of every MID that Toss's records name."""
    left = Counter(
        str(finding.theirs[MERCHANT_ID])
        for finding in findings
        if finding.outcome in (FindingOutcome.FOUND, FindingOutcome.NEEDS_PERSON) and finding.theirs.get(MERCHANT_ID)
    )
    return dict(sorted(left.items()))


def remaining_by_kind(counts: Sequence[FindingCount]) -> dict[FindingKind, int]:
    """Remaining differences of every kind."""
    left: Counter[FindingKind] = Counter()
    for item in counts:
        if item.outcome in (FindingOutcome.FOUND, FindingOutcome.NEEDS_PERSON):
            left[item.kind] += item.count
    return {kind: left[kind] for kind in FindingKind}
