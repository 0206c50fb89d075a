"""Alert rules: small named invariants over facts from the database. Pure. What processes see themselves: local.py."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from supatoss.store.alerts import AlertFacts, DayDifferences, Failure
from supatoss.toss.events import TYPES

MAX_SUBJECTS = 20
"""Alerts per rule: more than an operator works on at once. The oldest come first, so that new ones end none of them."""

MAX_TYPES = 3
"""Names of unknown types in one alert."""

REGULAR_EVENTS = 20
"""A project with fewer events in the week before its newest one has no regular traffic to miss."""


class Rule(StrEnum):
    """Name of a rule: alerts.rule, log field, metric label."""

    EVENT_FAILED = "event_failed"
    AMOUNT_MISMATCH = "amount_mismatch"
    DOUBLE_CHARGE = "double_charge"
    BACKLOG = "backlog"
    REJECTED_SHARE = "rejected_share"
    SILENCE = "silence"
    DONE_WITHOUT_APPROVAL = "done_without_approval"
    CANCELS_ABOVE_TOTAL = "cancels_above_total"
    REFUND_FAILED = "refund_failed"
    NOT_STORED = "not_stored"
    KEY_REFUSED = "key_refused"
    TOSS_AWAY = "toss_away"
    DATABASE_AWAY = "database_away"
    ALERTS_NOT_SENT = "alerts_not_sent"
    PROCESS_GONE = "process_gone"
    UNKNOWN_TYPE = "unknown_type"
    RECONCILIATION_DIFFERENCE = "reconciliation_difference"


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits from the settings. silence_hours 0 turns the silence rule off. reconciles: whether RECONCILE_AT is set."""

    backlog_minutes: float
    silence_hours: float = 0.0
    reconciles: bool = False


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that fails for a subject: an order, a key, a process, or everything ("").

    limit: what it was judged with, where settings differ between processes; lower is stricter.
    """

    rule: Rule
    subject: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    limit: float | None = None

    def to_record(self) -> dict[str, Any]:
        """One element of `findings` of supatoss_note_alerts_v1."""
        return {"rule": self.rule.value, "subject": self.subject, "details": self.details, "limit": self.limit}


def evaluate(facts: AlertFacts, limits: Limits) -> list[Violation]:
    """Every violation of a rule about the database."""
    return [
        *(_failed(failure) for failure in facts.failed),
        *_more_failed(facts),
        *_backlog(facts, limits),
        *_silence(facts, limits),
        *(Violation(Rule.DONE_WITHOUT_APPROVAL, order) for order in facts.unapproved),
        *(
            Violation(
                Rule.CANCELS_ABOVE_TOTAL, payment.order_id, {"amount": payment.amount, "canceled": payment.canceled}
            )
            for payment in facts.overcancelled
        ),
        *(Violation(Rule.REFUND_FAILED, order) for order in facts.unrefunded),
        *(Violation(Rule.PROCESS_GONE, process) for process in facts.gone),
        *_unknown_types(facts),
        *(_differing(day) for day in facts.reconciliation.days),
    ]


def judged(limits: Limits) -> list[dict[str, Any]]:
    """The rules that `evaluate` checks with these limits: elements of `judged` of supatoss_note_alerts_v1."""
    return [
        *({"rule": rule.value} for rule in _ABSOLUTE_RULES),
        {"rule": Rule.BACKLOG.value, "limit": limits.backlog_minutes},
        *([{"rule": Rule.SILENCE.value, "limit": limits.silence_hours}] if limits.silence_hours else []),
    ]


_ABSOLUTE_RULES = (
    Rule.EVENT_FAILED,
    Rule.AMOUNT_MISMATCH,
    Rule.DOUBLE_CHARGE,
    Rule.DONE_WITHOUT_APPROVAL,
    Rule.CANCELS_ABOVE_TOTAL,
    Rule.REFUND_FAILED,
    Rule.PROCESS_GONE,
    Rule.UNKNOWN_TYPE,
    Rule.RECONCILIATION_DIFFERENCE,
)
"""Rules that don't depend on settings."""


def _failed(failure: Failure) -> Violation:
    details = {
        "reason": failure.reason,
        "order_id": failure.order_id,
        "error": failure.error,
        "events": failure.events,
        "ids": list(failure.ids),
    }
    return Violation(Rule(failure.rule), failure.subject, details)


def _more_failed(facts: AlertFacts) -> Iterator[Violation]:
    if facts.has_more_failed:
        yield Violation(Rule.EVENT_FAILED, "more", {"shown": MAX_SUBJECTS})


def _unknown_types(facts: AlertFacts) -> Iterator[Violation]:
    """One alert for all of them: anybody can send any number of made-up types."""
    unknown = [name for name in facts.acknowledged if name not in TYPES]
    if unknown:
        yield Violation(Rule.UNKNOWN_TYPE, "", {"types": ", ".join(unknown[:MAX_TYPES])})


def _differing(day: DayDifferences) -> Violation:
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(day.kinds.items()))
    return Violation(Rule.RECONCILIATION_DIFFERENCE, day.day, {"findings": day.findings, "kinds": kinds})


def _backlog(facts: AlertFacts, limits: Limits) -> Iterator[Violation]:
    waited = facts.oldest_waiting_seconds
    if waited is not None and waited > limits.backlog_minutes * 60:
        details = {"minutes": int(waited // 60), "limit_minutes": limits.backlog_minutes}
        yield Violation(Rule.BACKLOG, "", details, limits.backlog_minutes)


def _silence(facts: AlertFacts, limits: Limits) -> Iterator[Violation]:
    newest = facts.newest_event_at
    if not limits.silence_hours or newest is None or facts.recent_events < REGULAR_EVENTS:
        return
    silent = facts.read_at - newest
    if silent > dt.timedelta(hours=limits.silence_hours):
        details = {"hours": int(silent.total_seconds() // 3600), "newest": newest.isoformat()}
        yield Violation(Rule.SILENCE, "", details, limits.silence_hours)
