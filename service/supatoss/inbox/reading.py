"""What a stored event means when it is read again with today's code. Pure."""

import datetime as dt
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from supatoss.errors import NotReadable
from supatoss.eventlog import StoredEvent
from supatoss.inbox.changes import interpret
from supatoss.inbox.claims import claim_of
from supatoss.inbox.meaning import Cause, Intent, Meaning, Proof
from supatoss.toss.delivery import read_body
from supatoss.toss.events import Event, parse_event

EMPTY_PAYLOADS = frozenset({None, "", "{}", "null"})
"""What retention leaves of a payload."""

_VERDICTS = frozenset({"amount_mismatch", "double_charge"})
"""Reasons that the fold gives: the change of such an event is complete, and Toss has been asked where it had to be."""


class Refusal(StrEnum):
    """Why an event cannot be replayed."""

    PAYLOAD_EMPTIED = "payload_emptied"
    NOT_READABLE = "not_readable"
    NO_PROOF = "no_proof"
    STATUS_NOT_ASKED_FOR = "status_not_asked_for"


@dataclass(frozen=True, slots=True)
class Reading:
    """An event as it is to be recorded anew. Without a meaning, the change that is stored counts again."""

    event: StoredEvent
    status: Intent
    reason: str | None = None
    last_error: str | None = None
    meaning: Meaning | None = field(default=None, repr=False)
    occurred_at: dt.datetime | None = None

    def to_record(self) -> dict[str, Any]:
        """One element of replay_webhook_events_v1's argument."""
        meaning = self.meaning
        return {
            "event": self.event.id,
            "seen_status": self.event.status,
            "seen_reason": self.event.reason,
            "status": self.status.value,
            "reason": self.reason,
            "last_error": self.last_error,
            "change": meaning.change if meaning else None,
            "payment_key": meaning.payment_key if meaning else None,
            "order_id": meaning.order_id if meaning else None,
            "occurred_at": self.occurred_at.isoformat() if self.occurred_at else None,
        }


def read_again(event: StoredEvent) -> Reading | Refusal:
    """How to record an event anew. It must have been found with its payload."""
    if event.proof is None:
        # Written by somebody else, or before supatoss was here: nobody has vouched for it.
        return Refusal.NO_PROOF
    if event.payload in EMPTY_PAYLOADS:
        return Refusal.PAYLOAD_EMPTIED
    if event.proof in (Proof.TOSS_API, Proof.OPERATOR):
        # Toss, or a person, vouched for the stored change. The body was only what somebody claimed.
        return Reading(event, Intent.PROCESSED) if event.change else _wait(event, Cause.FIND_PAYMENT)
    try:
        body = read_body((event.payload or "").encode())
    except NotReadable:
        return Refusal.NOT_READABLE
    parsed = parse_event(body.fields)
    meaning = _meaning(parsed, event.proof)
    if meaning.intent is Intent.PENDING:
        return Reading(event, Intent.PROCESSED) if _holds_an_answer(event) else _wait(event, meaning.cause, meaning)
    return Reading(
        event,
        meaning.intent,
        meaning.cause.value if meaning.cause else None,
        meaning.error,
        meaning,
        parsed.created_at or meaning.occurred_at,
    )


def _meaning(parsed: Event, proof: str) -> Meaning:
    """A secret vouches for who sent it, never for money that arrived: Toss is asked, as when it was delivered."""
    meaning = interpret(parsed)
    claim = claim_of(parsed)
    if proof == Proof.SECRET and claim is not None and claim.is_deposit and meaning.change is not None:
        return replace(meaning, intent=Intent.PENDING, cause=Cause.CHECK_DEPOSIT)
    return meaning


def _holds_an_answer(event: StoredEvent) -> bool:
    """Whether the stored change is Toss's answer: then it counts again, and Toss is not asked."""
    return event.status == Intent.PROCESSED or (event.status == Intent.FAILED and event.reason in _VERDICTS)


def _wait(event: StoredEvent, cause: Cause | None, meaning: Meaning | None = None) -> Reading:
    # The last error stays: the worker sees in it whether Toss has a refusal stored under the idempotency key.
    return Reading(event, Intent.PENDING, cause.value if cause else None, event.last_error, meaning)
