"""Structured logs without secrets, and every metric in one place."""

import json
import logging
import sys
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, TextIO, cast

import msgspec
import structlog
from prometheus_client import Counter, Gauge, Histogram

from supatoss.log_writer import LogWriter

log_output = LogWriter()
"""Where every line of the log goes: standard output."""

DELIVERIES = Counter(
    "supatoss_deliveries_total",
    "Deliveries by what became of them: created, duplicate, rejected or failed; reason is empty where all went well.",
    ["outcome", "reason"],
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
    "New events that need a person, by reason: amount_mismatch, double_charge, malformed, refused_by_database.",
    ["reason"],
)
ATTEMPTS = Counter(
    "supatoss_attempts_total",
    "Attempts of the worker by what became of the event: processed, pending, failed, or lost to another worker.",
    ["status", "reason"],
)
OLDEST_WAITING = Gauge(
    "supatoss_oldest_waiting_seconds",
    "Age of the event that waits longest for Toss, as of the last look of the alerts; 0 when none waits.",
)
ALERTS_OPEN = Gauge("supatoss_alerts_open", "Alerts that have started and not ended, as of the last look.", ["rule"])
ALERTS_TOLD = Counter(
    "supatoss_alerts_told_total",
    "Starts and ends of alerts, by what became of telling the operators: ok, or failed and to be tried again.",
    ["phase", "outcome"],
)
TOSS_CALLS = Counter(
    "supatoss_toss_calls_total",
    "Requests to Toss by outcome: ok, not_found, refused, misconfigured or unavailable (our own limits included).",
    ["call", "outcome"],
)
RECONCILIATION_DIFFERENCES = Gauge(
    "supatoss_reconciliation_differences",
    "Differences between Toss's transactions and payments of the last day that the schedule reconciled, by kind.",
    ["kind"],
)
RECONCILED_AT = Gauge(
    "supatoss_reconciliation_last_success_timestamp_seconds",
    "When the schedule last finished a reconciliation, whatever it found; 0 before the first one.",
)
PAYLOADS_EMPTIED = Counter("supatoss_payloads_emptied_total", "Payloads of old finished events that were emptied.")
OPS_SIGN_INS = Counter(
    "supatoss_ops_sign_ins_total",
    "Attempts to sign in to the operators' page: accepted, refused (wrong password) or throttled.",
    ["outcome"],
)

SECRET_FIELDS = frozenset(
    {"apikey", "authorization", "billing_key", "billingkey", "body", "change", "payload", "secret", "signature"}
)


def configure_logging(level: str, log_format: str) -> None:
    """Sends all logs, ours and the libraries', to standard output, one line an event."""
    log_output.stream = sys.stdout
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        redact,
    ]
    rendered: list[Any] = [
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(_to_json)
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty()),
    ]
    structlog.configure(
        processors=[*shared, *rendered],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        # Ours do not pass through the library's logging: that costs as much as all the rest of a delivery.
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
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # httpx logs every request with its address at INFO; one line a delivery is ours alone.
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


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replaces the values of fields that may hold a secret."""
    for name in event:
        if name.lower() in SECRET_FIELDS:
            event[name] = "[redacted]"
    return event


def describe(error: BaseException) -> dict[str, Any]:
    """An unexpected error for the log: its type and where it was raised. Its text may hold a secret and stays out."""
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "error": type(error).__name__,
        "frames": [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames],
    }
