"""What Toss answered, as an event: its key, change and payload come from the answer and from nothing else. Pure.

So a thousand variations of a body are one event, and nothing that an outsider wrote is stored.
"""

import datetime as dt
import hashlib
import json
from dataclasses import replace

from supatoss.inbox.claims import Claim
from supatoss.inbox.event import EventReason, EventStatus, Meaning, NewEvent, Proof
from supatoss.inbox.interpret import interpret_payment
from supatoss.toss.delivery import Body, Delivery, plain_number, read_body
from supatoss.toss.events import UnknownEvent
from supatoss.toss.fields import SEOUL, PaymentStatus
from supatoss.toss.models import PaymentAnswer


def observed(answer: PaymentAnswer) -> Meaning:
    """What an answer means; it counts as of the time when the request was sent."""
    return replace(interpret_payment(answer.payment), observed_at=answer.asked_at)


def is_final(answer: PaymentAnswer) -> bool:
    """Whether the payment no longer waits for its approval."""
    return answer.payment.status not in (PaymentStatus.READY, PaymentStatus.IN_PROGRESS)


def observation(
    event_type: str, answer: PaymentAnswer, received_at: dt.datetime, delivery: Delivery | None = None
) -> NewEvent:
    """The event that an answer makes of a delivery. The same state of a payment is the same event."""
    meaning = observed(answer)
    key = _digest(event_type, meaning.payment_key, meaning.change)
    return NewEvent(
        UnknownEvent(event_type=event_type),
        replace(envelope(event_type, answer), key=key),
        meaning,
        Proof.TOSS_API,
        received_at,
        delivery,
    )


def disagreement(seen: NewEvent, claim: Claim) -> NewEvent:
    """The event that asks again, where a claim says more than the answer: one for a payment and a claimed status."""
    shown = seen.meaning
    status = (shown.change or {}).get("status")
    meaning = Meaning(
        EventStatus.PENDING,
        reason=EventReason.TOSS_DISAGREES,
        error=f"the delivery says {claim.status}, Toss shows {status}",
        payment_key=shown.payment_key,
        order_id=shown.order_id,
        occurred_at=shown.observed_at,
        claim=claim,
    )
    key = _digest(EventReason.TOSS_DISAGREES.value, shown.payment_key, claim.status)
    return replace(seen, body=replace(seen.body, key=key), meaning=meaning)


def envelope(event_type: str, answer: PaymentAnswer) -> Body:
    """Toss's Payment object in the envelope of an event of this type."""
    created_at = answer.asked_at.astimezone(SEOUL).replace(tzinfo=None).isoformat(timespec="microseconds")
    fields = {"eventType": event_type, "createdAt": created_at, "data": answer.fields}
    return read_body(json.dumps(fields, default=plain_number).encode("ascii"))


def _digest(*parts: object) -> str:
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=dict)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
