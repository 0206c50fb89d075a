"""One event on its way to one URL, with every attempt."""

from dataclasses import dataclass, field
from typing import Any

from scripts.emulator.events import Event


@dataclass(frozen=True)
class Target:
    """A registered URL; `event_types` empty means every type, as all boxes checked in the developer centre."""

    url: str
    event_types: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Attempt:
    """One request that was sent. `status` is None where no answer came in time; then `error` says why."""

    sent_at: str
    headers: dict[str, str]
    status: int | None
    error: str | None
    seconds: float


@dataclass
class Delivery:
    """One event on its way to one URL. `state`: sending, success, failed, suppressed."""

    id: str
    target: Target
    event: Event
    state: str = "sending"
    attempts: list[Attempt] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The delivery with every attempt, for the control API."""
        return {
            "id": self.id,
            "url": self.target.url,
            "eventType": self.event.event_type,
            "state": self.state,
            "body": self.event.body.decode(),
            "attempts": [
                {
                    "attempt": number,
                    "sentAt": attempt.sent_at,
                    "headers": attempt.headers,
                    "status": attempt.status,
                    "error": attempt.error,
                    "seconds": attempt.seconds,
                }
                for number, attempt in enumerate(self.attempts)
            ],
        }
