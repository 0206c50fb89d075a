"""The end of one attempt at a pending event, and when the next one is due. Pure: the random number is passed in."""

import json
from dataclasses import dataclass
from typing import Any

from supatoss.errors import SupatossError
from supatoss.inbox.event import EventReason, EventStatus, Meaning
from supatoss.store.recording import ClaimedEvent

MAX_ATTEMPTS = 12
"""The eleven waits add up to about three hours: longer than any outage on Toss's status page, and short enough that an
operator learns of it the same day."""

FIRST_DELAY_SECONDS = 5.0
MAX_DELAY_SECONDS = 3600.0


def next_delay_seconds(attempts: int, dice: float, at_least_seconds: float = 0.0) -> float | None:
    """Seconds until the next attempt after this many, None if there is none.

    Doubles from 5 s to an hour. `dice` in [0, 1) spreads it over the upper half, so that events that failed together
    aren't retried together. `at_least_seconds` is Toss's Retry-After.
    """
    if attempts >= MAX_ATTEMPTS:
        return None
    delay: float = min(FIRST_DELAY_SECONDS * 2.0 ** max(attempts - 1, 0), MAX_DELAY_SECONDS)
    return max(delay * (0.5 + dice / 2), at_least_seconds)


FIRST_DISAGREEMENT_DELAY_SECONDS = 30.0
MAX_DISAGREEMENT_DELAY_SECONDS = 2 * 3600.0
DISAGREEMENT_SECONDS = 24 * 3600.0
"""How long a payment is looked up again if a delivery claims more than Toss shows. Look-ups are only known to lag for
moments; a day also outlasts an incident at Toss."""


def disagreement_delay_seconds(
    attempts: int, waited_seconds: float, dice: float, at_least_seconds: float = 0.0
) -> float | None:
    """As next_delay_seconds, from 30 s to two hours, for a day."""
    if waited_seconds >= DISAGREEMENT_SECONDS:
        return None
    delay: float = min(
        FIRST_DISAGREEMENT_DELAY_SECONDS * 2.0 ** min(max(attempts - 1, 0), 20), MAX_DISAGREEMENT_DELAY_SECONDS
    )
    return max(delay * (0.5 + dice / 2), at_least_seconds)


class CannotFinish(SupatossError):
    """An event that no further attempt can finish: it needs manual review."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """The result of one attempt, as finish_webhook_event_v1 takes it."""

    status: EventStatus
    reason: str | None = None
    last_error: str | None = None
    delay_seconds: float | None = None
    meaning: Meaning | None = None

    def to_text(self, event: ClaimedEvent) -> str:
        """The JSON text for one claimed event."""
        meaning = self.meaning
        fields: dict[str, Any] = {
            "event": event.id,
            "lease": event.lease,
            "status": self.status.value,
            "reason": self.reason,
            "last_error": self.last_error,
            "delay_seconds": self.delay_seconds,
        }
        if meaning:
            observed_at = meaning.observed_at
            fields |= {
                "change": meaning.change,
                "payment_key": meaning.payment_key,
                "order_id": meaning.order_id,
                "occurred_at": observed_at.isoformat() if observed_at else None,
            }
        return json.dumps(fields, ensure_ascii=False)


def again(
    event: ClaimedEvent,
    reason: str,
    problem: str,
    end: EventStatus,
    *,
    dice: float,
    at_least_seconds: float = 0.0,
) -> AttemptResult:
    """Another attempt later, `end` after the last. Refusals are retried too: keys get fixed, and records catch up."""
    if event.reason == EventReason.TOSS_DISAGREES:
        delay = disagreement_delay_seconds(event.attempts, event.waited_seconds, dice, at_least_seconds)
    else:
        delay = next_delay_seconds(event.attempts, dice, at_least_seconds)
    if delay is None:
        return AttemptResult(end, reason, problem)
    return AttemptResult(EventStatus.PENDING, last_error=problem, delay_seconds=delay)
