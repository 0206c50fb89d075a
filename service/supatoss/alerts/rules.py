"""Alert rules: small named invariants over facts from the database. Pure."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from supatoss.store.alerts import AlertFacts, FailedEvent

MAX_SUBJECTS = 20
"""Alerts per rule: more than a person works on at once. The oldest come first, so that new ones end none of them."""

MIN_DELIVERIES = 20
"""Fewer deliveries in a window say nothing: a scanner's two probes are no reason for an alert."""

MAX_REJECTED_SHARE = 0.5
"""A wrong key rejects every delivery of Toss; strangers' attempts stay below half of a project's traffic."""

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


OWN_RULES = (Rule.REJECTED_SHARE,)
"""Rules about one process: only that process sees its deliveries and ends their alerts."""

_RULE_OF_REASON = {
    "amount_mismatch": Rule.AMOUNT_MISMATCH,
    "approval_amount_mismatch": Rule.AMOUNT_MISMATCH,
    "double_charge": Rule.DOUBLE_CHARGE,
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits from the settings. silence_hours 0 turns the silence rule off."""

    backlog_minutes: float
    silence_hours: float = 0.0


@dataclass(frozen=True, slots=True)
class DeliveryCounts:
    """Deliveries that this process received in one window of time."""

    accepted: int = 0
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that fails for a subject: an event, an order, a process, or everything ("")."""

    rule: Rule
    subject: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    def to_record(self) -> dict[str, Any]:
        """One element of `findings` of supatoss_note_alerts_v1."""
        return {"rule": self.rule.value, "subject": self.subject, "details": self.details}


def evaluate(facts: AlertFacts, deliveries: DeliveryCounts, limits: Limits, observer: str) -> list[Violation]:
    """Every violation of a rule."""
    return [
        *(_failed(event) for event in facts.failed),
        *_more_failed(facts),
        *_backlog(facts, limits),
        *_rejected(deliveries, observer),
        *_silence(facts, limits),
        *(Violation(Rule.DONE_WITHOUT_APPROVAL, order) for order in facts.unapproved),
        *(
            Violation(
                Rule.CANCELS_ABOVE_TOTAL, payment.order_id, {"amount": payment.amount, "canceled": payment.canceled}
            )
            for payment in facts.overcancelled
        ),
    ]


def _failed(event: FailedEvent) -> Violation:
    rule = _RULE_OF_REASON.get(event.reason or "", Rule.EVENT_FAILED)
    return Violation(rule, event.id, {"reason": event.reason, "order_id": event.order_id, "error": event.error})


def _more_failed(facts: AlertFacts) -> Iterator[Violation]:
    if facts.has_more_failed:
        yield Violation(Rule.EVENT_FAILED, "more", {"shown": MAX_SUBJECTS})


def _backlog(facts: AlertFacts, limits: Limits) -> Iterator[Violation]:
    waited = facts.oldest_waiting_seconds
    if waited is not None and waited > limits.backlog_minutes * 60:
        yield Violation(Rule.BACKLOG, "", {"minutes": int(waited // 60), "limit_minutes": limits.backlog_minutes})


def _rejected(deliveries: DeliveryCounts, observer: str) -> Iterator[Violation]:
    total = deliveries.accepted + deliveries.rejected
    if total >= MIN_DELIVERIES and deliveries.rejected > total * MAX_REJECTED_SHARE:
        yield Violation(Rule.REJECTED_SHARE, observer, {"rejected": deliveries.rejected, "deliveries": total})


def _silence(facts: AlertFacts, limits: Limits) -> Iterator[Violation]:
    newest = facts.newest_event_at
    if not limits.silence_hours or newest is None or facts.recent_events < REGULAR_EVENTS:
        return
    silent = facts.read_at - newest
    if silent > dt.timedelta(hours=limits.silence_hours):
        yield Violation(Rule.SILENCE, "", {"hours": int(silent.total_seconds() // 3600), "newest": newest.isoformat()})
