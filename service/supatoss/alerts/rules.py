"""The invariants, as small named rules over facts. Pure."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from supatoss.store.alerts import AlertFacts, FailedEvent

MAX_SUBJECTS = 20
"""Alerts a rule: more than a person works on at once. The oldest come first, so that none ends because others came."""

MIN_DELIVERIES = 20
"""Deliveries of one window below which their share says nothing: two probes of a scanner are no alarm."""

MAX_REJECTED_SHARE = 0.5
"""Wrong keys reject all deliveries of Toss; strangers' attempts stay below half of a project's traffic."""

REGULAR_EVENTS = 20
"""Events in the week before the last one from which a project counts as one that regularly has them."""


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
"""Rules about one process: it alone sees its deliveries, and it alone ends their alerts."""

_RULE_OF_REASON = {
    "amount_mismatch": Rule.AMOUNT_MISMATCH,
    "approval_amount_mismatch": Rule.AMOUNT_MISMATCH,
    "double_charge": Rule.DOUBLE_CHARGE,
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What the settings say. silence_hours 0 means that silence is no alert."""

    backlog_minutes: float
    silence_hours: float = 0.0


@dataclass(frozen=True, slots=True)
class Deliveries:
    """What this process was sent in one window of time."""

    accepted: int = 0
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class Finding:
    """An invariant that does not hold for a subject: an event, an order, a process, or all ("")."""

    rule: Rule
    subject: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    def to_record(self) -> dict[str, Any]:
        """One element of `findings` of supatoss_note_alerts_v1."""
        return {"rule": self.rule.value, "subject": self.subject, "details": self.details}


def evaluate(facts: AlertFacts, deliveries: Deliveries, limits: Limits, observer: str) -> list[Finding]:
    """Every invariant that does not hold."""
    return [
        *(_failed(event) for event in facts.failed),
        *_more_failed(facts),
        *_backlog(facts, limits),
        *_rejected(deliveries, observer),
        *_silence(facts, limits),
        *(Finding(Rule.DONE_WITHOUT_APPROVAL, order) for order in facts.unapproved),
        *(
            Finding(
                Rule.CANCELS_ABOVE_TOTAL, payment.order_id, {"amount": payment.amount, "canceled": payment.canceled}
            )
            for payment in facts.overcancelled
        ),
    ]


def _failed(event: FailedEvent) -> Finding:
    rule = _RULE_OF_REASON.get(event.reason or "", Rule.EVENT_FAILED)
    return Finding(rule, event.id, {"reason": event.reason, "order_id": event.order_id, "error": event.error})


def _more_failed(facts: AlertFacts) -> Iterator[Finding]:
    if facts.has_more_failed:
        yield Finding(Rule.EVENT_FAILED, "more", {"shown": MAX_SUBJECTS})


def _backlog(facts: AlertFacts, limits: Limits) -> Iterator[Finding]:
    waited = facts.oldest_waiting_seconds
    if waited is not None and waited > limits.backlog_minutes * 60:
        yield Finding(Rule.BACKLOG, "", {"minutes": int(waited // 60), "limit_minutes": limits.backlog_minutes})


def _rejected(deliveries: Deliveries, observer: str) -> Iterator[Finding]:
    total = deliveries.accepted + deliveries.rejected
    if total >= MIN_DELIVERIES and deliveries.rejected > total * MAX_REJECTED_SHARE:
        yield Finding(Rule.REJECTED_SHARE, observer, {"rejected": deliveries.rejected, "deliveries": total})


def _silence(facts: AlertFacts, limits: Limits) -> Iterator[Finding]:
    newest = facts.newest_event_at
    if not limits.silence_hours or newest is None or facts.recent_events < REGULAR_EVENTS:
        return
    silent = facts.read_at - newest
    if silent > dt.timedelta(hours=limits.silence_hours):
        yield Finding(Rule.SILENCE, "", {"hours": int(silent.total_seconds() // 3600), "newest": newest.isoformat()})
