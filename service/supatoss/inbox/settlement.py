"""The end of one attempt at a pending event."""

import json
from dataclasses import dataclass
from typing import Any

from supatoss.errors import SupatossError
from supatoss.inbox.meaning import Intent, Meaning
from supatoss.store import ClaimedEvent


class Unsettled(SupatossError):
    """An event that no further attempt can finish: it needs a person."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Settlement:
    """The end of one attempt, as finish_webhook_event_v1 takes it."""

    status: Intent
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
