"""The webhook endpoint: receive, verify, record, answer.

200 stored · 401 not genuine · 400 not a JSON object · 413 too large · 408 too slow · 503 not stored.
"""

import asyncio
import datetime as dt
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import msgspec
import structlog
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from supatoss import telemetry, tracing
from supatoss.deadlines import Deadlines
from supatoss.errors import DeliveryError, NotGenuine, NotStored, Reason, TooManyLookups
from supatoss.inbox.event import EventStatus
from supatoss.inbox.recorder import Recorder
from supatoss.inbox.refused import RefusedLog
from supatoss.inbox.verify import Verifier
from supatoss.receiving import Head, SourceFilter, read_bytes, too_slow
from supatoss.store.recording import RecordedEvent
from supatoss.telemetry import DELIVERIES, DELIVERY_SECONDS, EVENTS_FAILED, describe
from supatoss.toss.delivery import Delivery

RETRY_AFTER_SECONDS = 60
"""Toss follows its own schedule, whose first step is a minute; other senders are asked for the same."""

_encode = msgspec.json.Encoder().encode
_count = cache(DELIVERIES.labels)
_log = structlog.get_logger("supatoss.webhook")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to a delivery."""

    status: int
    content: bytes
    content_type: bytes = b"application/json"
    more_headers: tuple[tuple[bytes, bytes], ...] = ()

    async def send(self, send: Send) -> None:
        """Sends it."""
        length = b"%d" % len(self.content)
        headers = [(b"content-length", length), (b"content-type", self.content_type), *self.more_headers]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.content})


_ACKNOWLEDGED = Answer(200, _encode({"status": "acknowledged"}))
_NOT_STORED = Answer(
    503,
    _encode({"error": "unavailable", "message": "The event is not stored. Send it again."}),
    more_headers=((b"retry-after", b"%d" % RETRY_AFTER_SECONDS),),
)


def _stored(recorded: RecordedEvent) -> Answer:
    said = {"status": recorded.outcome, "event": recorded.id, "event_status": recorded.status}
    return Answer(200, _encode(said))


def _reject(error: DeliveryError) -> Answer:
    if isinstance(error, NotGenuine):
        return Answer(error.http_status, error.message.encode(), b"text/plain; charset=utf-8")
    return Answer(error.http_status, _encode({"error": error.reason.value, "message": error.message}))


@dataclass(slots=True)
class WebhookEndpoint:
    """Answers deliveries. Sizes in bytes, times in seconds."""

    verifier: Verifier
    recorder: Recorder
    source: SourceFilter
    max_body_bytes: int
    deadline_seconds: float
    on_pending: Callable[[], None]
    refused: RefusedLog
    _deadlines: Deadlines = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._deadlines = Deadlines(self.deadline_seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one delivery, whatever it is, as an ASGI application."""
        with tracing.request(scope):
            answer = await self._answer(Head(scope), receive)
        await answer.send(send)

    async def _answer(self, head: Head, receive: Receive) -> Answer:
        """The answer to one delivery. 200 only after the event is stored."""
        started = time.perf_counter()
        received_at = dt.datetime.now(dt.UTC)
        body: bytes | None = None
        try:
            with self._deadlines.begin():
                self.source.check(head)
                body = await read_bytes(receive, head, self.max_body_bytes, self.deadline_seconds)
                recorded = await self._accept(head.delivery(body), received_at, self.source.address(head))
        except DeliveryError as error:
            answer = _reject(error)
            if not head.is_probe:
                self._note(head, received_at, body, error.reason.value, answer)
            _log_answer(started, answer, "probe" if head.is_probe else "rejected", error.reason)
        except NotStored as error:
            answer = _NOT_STORED
            # Anybody can send what isn't looked up: the budget logs it, many in one line.
            is_flood = isinstance(error, TooManyLookups)
            _log_answer(
                started,
                answer,
                "rejected" if isinstance(error, TooManyLookups) and not error.may_be_genuine else "failed",
                error.reason,
                is_logged=not is_flood,
                error=str(error),
                retry_can_help=error.retry_can_help,
            )
        except TimeoutError:
            if body is None:
                answer = _reject(too_slow(self.deadline_seconds))
                _log_answer(started, answer, "rejected", Reason.TOO_SLOW)
            else:
                answer = _NOT_STORED
                _log_answer(started, answer, "failed", Reason.DEADLINE)
        except ClientDisconnect:
            answer = _NOT_STORED
            _log_answer(started, answer, "rejected", Reason.DISCONNECTED)
        except Exception as error:  # noqa: BLE001 - whatever the bytes, the answer is never a 500
            # A bug of ours: the event is not stored, so Toss has to send it again.
            _log.error("unexpected error", **describe(error))
            answer = _NOT_STORED
            _log_answer(started, answer, "failed", Reason.INTERNAL)
        else:
            answer = _stored(recorded) if recorded else _ACKNOWLEDGED
            if recorded is None:
                self._note(head, received_at, body, "acknowledged", answer)
            _log_answer(started, answer, recorded.outcome if recorded else "acknowledged", recorded=recorded)
        return answer

    def _note(self, head: Head, received_at: dt.datetime, body: bytes | None, reason: str, answer: Answer) -> None:
        self.refused.note(
            received_at,
            body or b"",
            reason=reason,
            http_status=answer.status,
            source_address=self.source.address(head),
        )

    async def _accept(self, delivery: Delivery, received_at: dt.datetime, source_address: str) -> RecordedEvent | None:
        """The event that was recorded, of two the one that still waits; None where nothing is to be recorded."""
        with tracing.span("verify", expected=(DeliveryError,)):
            events = await self.verifier.verify(delivery, received_at, source_address)
        if not events:
            return None
        if len(events) == 1:  # nearly always, and without the tasks of gather()
            recorded = await self.recorder.record(events[0])
        else:
            *_, recorded = await asyncio.gather(*map(self.recorder.record, events))
        tracing.note({"merchant_id": (events[0].meaning.change or {}).get("merchant_id")})
        if recorded.status == EventStatus.PENDING:
            self.on_pending()
        return recorded


def _log_answer(
    started: float,
    answer: Answer,
    outcome: str,
    reason: Reason | None = None,
    recorded: RecordedEvent | None = None,
    *,
    is_logged: bool = True,
    **details: object,
) -> None:
    """One count per delivery, and one log line."""
    seconds = time.perf_counter() - started
    reason_text = reason.value if reason else None
    _count(outcome, reason_text or "").inc()
    DELIVERY_SECONDS.observe(seconds)
    level = (logging.INFO if answer.status < 400 else logging.WARNING) if is_logged else logging.DEBUG
    fields = {**telemetry.unbind(), "outcome": outcome, "reason": reason_text, **details}
    if recorded:
        fields["event_id"] = recorded.id
        fields["event_status"] = recorded.status
        fields["event_reason"] = recorded.reason
        if recorded.status == EventStatus.FAILED:
            level = logging.ERROR  # It needs manual review, although its sender did nothing wrong.
            if recorded.outcome == "created":
                EVENTS_FAILED.labels(recorded.reason or "").inc()
    if tracing.is_on():
        tracing.note({**fields, "http.response.status_code": answer.status}, is_error=answer.status >= 500)
    telemetry.log_delivery(level, {"http_status": answer.status, "milliseconds": round(seconds * 1000, 1), **fields})
