"""Every metric, and structured logs without secrets."""

import datetime as dt
import json
import logging
import sys
import traceback
from collections.abc import MutableMapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TextIO, cast

import msgspec
import structlog
from prometheus_client import Counter, Gauge, Histogram

from supatoss import log_lines, tracing
from supatoss.errors import Reason
from supatoss.log_writer import LogWriter

log_output = LogWriter()
"""Every log line goes here, and on to standard output."""

DELIVERIES = Counter(
    "supatoss_deliveries_total",
    "Deliveries by outcome: created, duplicate, acknowledged, rejected, probe (of doctor) or failed, with the reason.",
    ["outcome", "reason"],
)
REFUSED_UNLOGGED = Counter(
    "supatoss_refused_unlogged_total",
    "Refused and acknowledged deliveries beyond what the log of refused deliveries takes in a second or an hour.",
)
REFUSED_CONNECTIONS = Counter(
    "supatoss_refused_connections_total",
    "Connections that the server closed by itself: too many, too slow, too large, malformed.",
    ["reason"],
)
DELIVERY_LOOKUPS = Counter(
    "supatoss_delivery_lookups_total",
    "Unsigned deliveries by whose share of look-ups they used: toss (its addresses), known (orders in the tables), "
    "stranger (anybody); remembered (not looked up again) and refused (answered 503).",
    ["share"],
)
DELIVERY_SECONDS = Histogram(
    "supatoss_delivery_seconds",
    "Seconds from the first byte of a delivery to its answer.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8),
)
STORE_CALLS = Counter(
    "supatoss_store_calls_total", "Calls of the Data API by outcome: ok, unavailable or refused.", ["call", "outcome"]
)
BATCH_EVENTS = Histogram(
    "supatoss_batch_events", "Events in one call of the Data API.", buckets=(1, 2, 5, 10, 20, 50, 100)
)
EVENTS_FAILED = Counter(
    "supatoss_events_failed_total",
    "New events that need manual review, by reason: amount_mismatch, double_charge, hook_failed, malformed, …",
    ["reason"],
)
ATTEMPTS = Counter(
    "supatoss_attempts_total",
    "Attempts of the worker by the event's status afterwards: processed, pending, failed, or lost to another worker.",
    ["status", "reason"],
)
PROCESS_INFO = Gauge("supatoss_process_info", "1 for a process, with its role, web or worker.", ["role", "version"])
OLDEST_WAITING = Gauge(
    "supatoss_oldest_waiting_seconds",
    "Age of the event that has waited longest for Toss, as of the last alert check; 0 if none waits.",
)
BACKLOG_LIMIT = Gauge("supatoss_backlog_limit_seconds", "BACKLOG_MINUTES of this process, in seconds.")
ALERTS_OPEN = Gauge("supatoss_alerts_open", "Open alerts, as of the last alert check.", ["rule"])
ALERT_MESSAGES = Counter(
    "supatoss_alert_messages_total",
    "Messages about starts and ends of alerts, by outcome: ok, or failed and retried later.",
    ["phase", "outcome"],
)
TOSS_CALLS = Counter(
    "supatoss_toss_calls_total",
    "Requests to Toss by outcome: ok, not_found, refused, misconfigured or unavailable (our own limits included).",
    ["call", "outcome"],
)
RECONCILIATION_DIFFERENCES = Gauge(
    "supatoss_reconciliation_differences",
    "Open differences between Toss's records of payments and ours, as of the last alert check, by kind.",
    ["kind"],
)
RECONCILED_AT = Gauge(
    "supatoss_reconciled_timestamp_seconds",
    "When the newest compared day was compared, or, before the first, when the schedule began; 0 without RECONCILE_AT.",
)
PAYLOADS_EMPTIED = Counter("supatoss_payloads_emptied_total", "Payloads of old finished events that retention emptied.")
OPS_SIGN_INS = Counter(
    "supatoss_ops_sign_ins_total",
    "Sign-ins to the operators' page: accepted, refused (wrong password) or throttled.",
    ["outcome"],
)

FAILURE_REASONS = (
    *("ambiguous_subscription", "amount_mismatch", "approval_amount_mismatch", "double_charge", "hook_failed"),
    *("malformed", "misconfigured", "no_stored_amount", "not_borne_out", "not_found", "refused", "refused_by_database"),
    *("too_many_events", "unavailable", "unknown_status"),
)
"""Why an event can need manual review. Prometheus only sees the first failure of a kind if there was a zero before."""

NOT_STORED = frozenset(
    {
        *(Reason.CANNOT_ASK_TOSS, Reason.TOO_MANY_LOOKUPS, Reason.STORE_UNAVAILABLE, Reason.STORE_REFUSED),
        *(Reason.DEADLINE, Reason.STOPPING, Reason.TOO_BUSY, Reason.INTERNAL),
    }
)
"""Reasons for a 503; the others are the sender's."""

for _outcome in ("created", "duplicate", "acknowledged"):
    DELIVERIES.labels(_outcome, "")

for _cause in Reason:
    DELIVERIES.labels("failed" if _cause in NOT_STORED else "rejected", _cause.value)

for _outcome in ("ok", "failed"):
    for _phase in ("start", "end"):
        ALERT_MESSAGES.labels(_phase, _outcome)

for _outcome in ("accepted", "refused", "throttled"):
    OPS_SIGN_INS.labels(_outcome)

for _share in ("toss", "known", "stranger", "remembered", "refused"):
    DELIVERY_LOOKUPS.labels(_share)

for _reason in FAILURE_REASONS:
    EVENTS_FAILED.labels(_reason)
    ATTEMPTS.labels("failed", _reason)

SECRET_FIELDS = frozenset(
    {"apikey", "authorization", "billing_key", "billingkey", "body", "change", "payload", "secret", "signature"}
)


_bound: ContextVar[dict[str, Any] | None] = ContextVar("bound", default=None)
"""One variable for all fields: structlog's own, one for each field, cost a tenth of a delivery."""

_json_level: int | None = None
"""Lowest level that is logged, if logs are JSON."""

_log = structlog.get_logger("supatoss.webhook")


def bind(**fields: Any) -> None:
    """Adds fields to every later line about the delivery in hand."""
    bound = _bound.get()
    if bound is None:
        _bound.set(fields)
    else:
        bound.update(fields)


def unbind() -> dict[str, Any]:
    """The fields that were bound, which are in no later line."""
    bound = _bound.get()
    _bound.set(None)
    return bound or {}


def log_delivery(level: int, fields: dict[str, Any]) -> None:
    """The line of a delivery. It takes `fields` over; JSON without structlog takes a tenth of the time."""
    if _json_level is None:
        _log.log(level, "delivery", **fields)
    elif level >= _json_level:
        redact(None, "", fields)
        _add_trace(None, "", fields)
        fields["event"] = "delivery"
        fields["level"] = logging.getLevelName(level).lower()
        fields["timestamp"] = dt.datetime.now(dt.UTC).isoformat().replace("+00:00", "Z")
        log_output.write(_to_json(fields, repr) + "\n")
        log_output.flush()


def configure_logging(level: str, log_format: str) -> None:
    """Sends all logs, ours and the libraries', to standard output: as JSON, or as lines for people."""
    global _json_level  # noqa: PLW0603 - as structlog's own configuration: one for the process
    log_output.stream = sys.stdout
    shared: list[Any] = [
        _add_bound,
        _add_trace,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        redact,
    ]
    is_for_people = log_format == "console" or (log_format == "auto" and log_lines.is_for_people())
    _json_level = None if is_for_people else logging.getLevelNamesMapping()[level]
    rendered: list[Any] = [
        structlog.processors.format_exc_info,
        log_lines.Lines(in_colour=log_lines.may_colour())
        if is_for_people
        else structlog.processors.JSONRenderer(_to_json),
    ]
    structlog.configure(
        processors=[*shared, *rendered],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        # Ours bypass the logging module, which costs as much as all the rest of a delivery.
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", log_output)),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(log_output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendered],
        )
    )
    if is_for_people:
        handler.addFilter(log_lines.is_worth_reading)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # httpx logs the URL of every request at INFO.
    for name in ("httpx", "httpcore", "hpack"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers[:] = []
        logging.getLogger(name).propagate = True


def _to_json(event: MutableMapping[str, Any], default: Any) -> str:
    try:
        return msgspec.json.encode(event, enc_hook=default).decode()
    except UnicodeEncodeError:  # Half of a surrogate pair, which only the standard library writes.
        return json.dumps(event, default=default)


def _add_bound(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {**(_bound.get() or {}), **event}


def _add_trace(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if (trace_id := tracing.trace_id()) is not None:
        event["trace_id"] = trace_id
    return event


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Redacts fields that may hold a secret."""
    for name in event:
        if name.lower() in SECRET_FIELDS:
            event[name] = "[redacted]"
    return event


def describe(error: BaseException) -> dict[str, Any]:
    """An unexpected error for the log: its type and where it was raised, not its text, which may hold a secret."""
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "error": type(error).__name__,
        "frames": [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames],
    }
