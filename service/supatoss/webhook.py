"""The webhook endpoint: receive, verify, record, answer.

200 stored · 401 not genuine · 400 not a JSON object · 413 too large · 408 too slow · 503 not stored.

One long file, because the path of a delivery is read from top to bottom.
"""

import asyncio
import datetime as dt
import ipaddress
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import msgspec
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from supatoss import tracing
from supatoss.errors import BodyTooLarge, BodyTooSlow, DeliveryError, NotGenuine, NotStored, Reason, TooManyLookups
from supatoss.inbox.event import EventStatus
from supatoss.inbox.recorder import Recorder
from supatoss.inbox.refused import RefusedLog
from supatoss.inbox.verify import Verifier
from supatoss.store.recording import RecordedEvent
from supatoss.telemetry import DELIVERIES, DELIVERY_SECONDS, EVENTS_FAILED, describe
from supatoss.toss.delivery import ID_HEADER, RETRIED_COUNT_HEADER, SIGNATURE_HEADER, TIME_HEADER, Delivery

RETRY_AFTER_SECONDS = 60
"""Toss follows its own schedule, whose first step is a minute; other senders are asked for the same."""

BODY_SHARE_OF_DEADLINE = 0.5
"""Share of the deadline in which the body has to arrive; the rest is for the database."""

MAX_UNSIGNED_BODY_BYTES = 64 * 1024
"""Anybody can send one, and reading it costs 12 ms at worst. A payment of Toss with a hundred cancels is smaller."""

MAX_LENGTH_DIGITS = 18
"""Longest content-length that is parsed."""

MAX_HEADER_CHARACTERS = 200
"""Characters of a transmission id and of a user agent that are kept; Toss's ids have 34."""

MAX_RETRIED_COUNT = 10_000
"""Larger re-send counts are dropped; Toss stops at 7."""

PROBE_HEADER = "supatoss-probe"
"""Our own tools send it with deliveries that are to be refused. It changes how a refusal is counted, nothing else."""

_SIGNATURE = SIGNATURE_HEADER.encode()
_TIME = TIME_HEADER.encode()
_ID = ID_HEADER.encode()
_RETRIED_COUNT = RETRIED_COUNT_HEADER.encode()
_USER_AGENT = b"user-agent"
_TOSS_HEADERS = b"tosspayments-"

_encode = msgspec.json.Encoder().encode
_count = cache(DELIVERIES.labels)
_log = structlog.get_logger("supatoss.webhook")


@dataclass(frozen=True, slots=True)
class SourceFilter:
    """The addresses that may deliver. `header` is one that a trusted proxy sets, and a sender can't."""

    allowed: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network] = ()
    header: str = ""

    def is_allowed(self, request: Request) -> bool:
        """Whether the sender's address is on the list; an empty list allows all."""
        if not self.allowed:
            return True
        try:
            address = ipaddress.ip_address(self.address(request))
        except ValueError:
            return False
        return any(address in network for network in self.allowed)

    def address(self, request: Request) -> str:
        """The sender's address; empty where the header is missing, or there more than once."""
        if not self.header:
            return request.client.host if request.client else ""
        told = request.headers.getlist(self.header)
        return told[0] if len(told) == 1 else ""


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """Answers deliveries. Sizes in bytes, times in seconds."""

    verifier: Verifier
    recorder: Recorder
    source: SourceFilter
    max_body_bytes: int
    deadline_seconds: float
    on_pending: Callable[[], None]
    refused: RefusedLog

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one delivery, whatever it is, as an ASGI application."""
        with tracing.request(scope):
            response = await self.answer(Request(scope, receive))
        await response(scope, receive, send)

    async def answer(self, request: Request) -> Response:
        """The answer to one delivery. 200 only after the event is stored."""
        started = time.perf_counter()
        received_at = dt.datetime.now(dt.UTC)
        body: bytes | None = None
        try:
            async with asyncio.timeout(self.deadline_seconds):
                body = await self._read(request)
                recorded = await self._accept(_delivery(request, body), received_at, self.source.address(request))
        except DeliveryError as error:
            response = _reject(error)
            is_probe = PROBE_HEADER in request.headers
            if not is_probe:
                self._note(request, received_at, body, error.reason.value, response)
            _log_answer(started, response, "probe" if is_probe else "rejected", error.reason)
        except NotStored as error:
            response = _not_stored()
            # Anybody can send what isn't looked up: the budget logs it, many in one line.
            is_flood = isinstance(error, TooManyLookups)
            _log_answer(
                started,
                response,
                "rejected" if isinstance(error, TooManyLookups) and not error.may_be_genuine else "failed",
                error.reason,
                is_logged=not is_flood,
                error=str(error),
                retry_can_help=error.retry_can_help,
            )
        except TimeoutError:
            if body is None:
                response = _reject(BodyTooSlow(Reason.TOO_SLOW, _not_in_time(self.deadline_seconds)))
                _log_answer(started, response, "rejected", Reason.TOO_SLOW)
            else:
                response = _not_stored()
                _log_answer(started, response, "failed", Reason.DEADLINE)
        except ClientDisconnect:
            response = _not_stored()
            _log_answer(started, response, "rejected", Reason.DISCONNECTED)
        except Exception as error:  # noqa: BLE001 - whatever the bytes, the answer is never a 500
            # A bug of ours: the event is not stored, so Toss has to send it again.
            _log.error("unexpected error", **describe(error))
            response = _not_stored()
            _log_answer(started, response, "failed", Reason.INTERNAL)
        else:
            response = _stored(recorded) if recorded else JSONResponse({"status": "acknowledged"})
            if recorded is None:
                self._note(request, received_at, body, "acknowledged", response)
            _log_answer(started, response, recorded.outcome if recorded else "acknowledged", recorded=recorded)
        return response

    def _note(
        self, request: Request, received_at: dt.datetime, body: bytes | None, reason: str, response: Response
    ) -> None:
        self.refused.note(
            received_at,
            body or b"",
            reason=reason,
            http_status=response.status_code,
            source_address=self.source.address(request),
        )

    async def _accept(self, delivery: Delivery, received_at: dt.datetime, source_address: str) -> RecordedEvent | None:
        """The event that was recorded, of two the one that still waits; None where nothing is to be recorded."""
        with tracing.span("verify", expected=(DeliveryError,)):
            events = await self.verifier.verify(delivery, received_at, source_address)
        recorded = await asyncio.gather(*map(self.recorder.record, events))
        if not recorded:
            return None
        tracing.note({"merchant_id": (events[0].meaning.change or {}).get("merchant_id")})
        if recorded[-1].status == EventStatus.PENDING:
            self.on_pending()
        return recorded[-1]

    async def _read(self, request: Request) -> bytes:
        if not self.source.is_allowed(request):
            raise NotGenuine(Reason.SOURCE_NOT_ALLOWED)
        limit = self.max_body_bytes
        if SIGNATURE_HEADER not in request.headers:
            limit = min(limit, MAX_UNSIGNED_BODY_BYTES)
        too_large = BodyTooLarge(Reason.TOO_LARGE, f"The body is longer than {limit} bytes.")
        announced = request.headers.get("content-length", "")
        if announced.isdecimal() and (len(announced) > MAX_LENGTH_DIGITS or int(announced) > limit):
            raise too_large
        first, is_complete = await _next_chunk(request)
        if len(first) > limit:
            raise too_large
        if is_complete:
            return first  # The usual case: only a body in several chunks needs its own time-out.
        seconds = self.deadline_seconds * BODY_SHARE_OF_DEADLINE
        body = bytearray(first)
        try:
            async with asyncio.timeout(seconds):
                while not is_complete:
                    chunk, is_complete = await _next_chunk(request)
                    body += chunk
                    if len(body) > limit:
                        raise too_large
        except TimeoutError:
            raise BodyTooSlow(Reason.TOO_SLOW, _not_in_time(seconds)) from None
        return bytes(body)


async def _next_chunk(request: Request) -> tuple[bytes, bool]:
    """The next chunk of the body, and whether it is the last. Raises ClientDisconnect."""
    message = await request.receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message.get("body", b""), not message.get("more_body", False)


def _not_in_time(seconds: float) -> str:
    return f"The body did not arrive within {seconds:g} seconds."


def _delivery(request: Request, body: bytes) -> Delivery:
    """The delivery as received. Header values stay bytes: the signature covers the time exactly as sent."""
    signatures: list[bytes] = []
    sent_at: bytes | None = None
    transmission_id = retried_count = user_agent = ""
    for name, value in request.scope["headers"]:
        if name == _USER_AGENT:
            user_agent = user_agent or value.decode("latin-1")[:MAX_HEADER_CHARACTERS]
        elif not name.startswith(_TOSS_HEADERS):
            continue
        elif name == _SIGNATURE:
            signatures.append(value)
        elif name == _TIME:
            sent_at = value if sent_at is None else sent_at
        elif name == _ID:
            transmission_id = transmission_id or value.decode("latin-1")[:MAX_HEADER_CHARACTERS]
        elif name == _RETRIED_COUNT:
            retried_count = retried_count or value.decode("latin-1")
    is_count = (
        retried_count.isascii() and retried_count.isdecimal() and len(retried_count) < len(str(MAX_RETRIED_COUNT))
    )
    return Delivery(
        body=body,
        signature=b",".join(signatures) if signatures else None,
        transmission_time=sent_at,
        transmission_id=transmission_id if transmission_id.isprintable() and transmission_id else None,
        retried_count=int(retried_count) if is_count else None,
        user_agent=user_agent if user_agent.isprintable() and user_agent else None,
    )


def _stored(recorded: RecordedEvent) -> Response:
    content = _encode({"status": recorded.outcome, "event": recorded.id, "event_status": recorded.status})
    return Response(content, media_type="application/json")


def _reject(error: DeliveryError) -> Response:
    if isinstance(error, NotGenuine):
        return PlainTextResponse(error.message, error.http_status)
    return JSONResponse({"error": error.reason.value, "message": error.message}, error.http_status)


def _not_stored() -> Response:
    return JSONResponse(
        {"error": "unavailable", "message": "The event is not stored. Send it again."},
        status_code=503,
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


def _level(response: Response, recorded: RecordedEvent | None) -> int:
    """An event that needs manual review is an error, although its sender did nothing wrong."""
    if recorded and recorded.status == EventStatus.FAILED:
        return logging.ERROR
    return logging.INFO if response.status_code < 400 else logging.WARNING


def _log_answer(
    started: float,
    response: Response,
    outcome: str,
    reason: Reason | None = None,
    recorded: RecordedEvent | None = None,
    *,
    is_logged: bool = True,
    **details: object,
) -> None:
    """One count per delivery, and one log line."""
    seconds = time.perf_counter() - started
    _count(outcome, reason.value if reason else "").inc()
    DELIVERY_SECONDS.observe(seconds)
    if recorded:
        details |= {"event_id": recorded.id, "event_status": recorded.status, "event_reason": recorded.reason}
        if recorded.status == EventStatus.FAILED and recorded.outcome == "created":
            EVENTS_FAILED.labels(recorded.reason or "").inc()
    fields = {"outcome": outcome, "reason": reason.value if reason else None, **details}
    status = response.status_code
    level = _level(response, recorded) if is_logged else logging.DEBUG
    _log.log(level, "delivery", http_status=status, milliseconds=round(seconds * 1000, 1), **fields)
    if tracing.is_on():
        fields = {**structlog.contextvars.get_contextvars(), **fields, "http.response.status_code": status}
        tracing.note(fields, is_error=status >= 500)
    structlog.contextvars.clear_contextvars()
