"""What an event means, and its record for the database. Pure."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from supatoss.inbox.claims import Claim
from supatoss.toss.delivery import Body, Delivery
from supatoss.toss.events import Event
from supatoss.toss.signature import read_sent_at
from supatoss.toss.usual import UsualEvent


class Proof(StrEnum):
    """Why an event counts as genuine."""

    SIGNATURE = "signature"
    TOSS_API = "toss_api"
    BILLING_KEY = "billing_key"
    OPERATOR = "operator"


class EventStatus(StrEnum):
    """Status of an event: webhook_events.status."""

    PROCESSED = "processed"
    IGNORED = "ignored"
    PENDING = "pending"
    FAILED = "failed"


class EventReason(StrEnum):
    """Why an event isn't processed: webhook_events.reason."""

    UNKNOWN_TYPE = "unknown_type"
    NO_PROJECTION = "no_projection"
    UNKNOWN_STATUS = "unknown_status"
    MALFORMED = "malformed"
    CHECK_DEPOSIT = "check_deposit"
    FIND_PAYMENT = "find_payment"
    TOSS_DISAGREES = "toss_disagrees"
    NOT_BORNE_OUT = "not_borne_out"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an event means: the rows it is about, when it happened, and the change, if any."""

    status: EventStatus
    change: Mapping[str, Any] | None = field(default=None, repr=False)
    reason: EventReason | None = None
    error: str | None = None
    payment_key: str | None = None
    order_id: str | None = None
    occurred_at: dt.datetime | None = None
    observed_at: dt.datetime | None = None
    """When Toss was asked, if the change is Toss's answer; it overrides the times that the event claims."""
    claim: Claim | None = field(default=None, repr=False)
    """What is to be compared with Toss's answers, while the event is pending."""


@dataclass(frozen=True, slots=True)
class NewEvent:
    """A verified event, ready to be recorded."""

    event: Event | UsualEvent = field(repr=False)
    body: Body
    meaning: Meaning
    proof: Proof
    received_at: dt.datetime
    delivery: Delivery | None = field(default=None, repr=False)

    def to_record(self) -> dict[str, Any]:
        """One element of record_webhook_events_v1's argument."""
        delivery = self.delivery
        sent_at = read_sent_at(delivery.transmission_time) if delivery and delivery.transmission_time else None
        meaning = self.meaning
        occurred_at = meaning.observed_at or self.event.created_at or meaning.occurred_at or sent_at or self.received_at
        return {
            "event_key": self.body.key,
            "event_type": self.event.event_type,
            "payload": self.body.text,
            "proof": self.proof.value,
            "status": meaning.status.value,
            "reason": meaning.reason.value if meaning.reason else None,
            "last_error": meaning.error,
            "payment_key": meaning.payment_key,
            "order_id": meaning.order_id,
            "occurred_at": occurred_at.isoformat(),
            "is_observation": meaning.observed_at is not None,
            "change": meaning.change,
            "claim": meaning.claim.to_json() if meaning.claim else None,
            "transmission_id": delivery.transmission_id if delivery else None,
            "transmission_time": sent_at.isoformat() if sent_at else None,
            "transmission_retried_count": delivery.retried_count if delivery else None,
            "user_agent": delivery.user_agent if delivery else None,
        }
