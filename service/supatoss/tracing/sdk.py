"""Spans by OpenTelemetry's SDK, sent as OTLP over HTTP from a thread of its own. Imported only where traces are on."""

import logging
import os
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags
from opentelemetry.trace.propagation import set_span_in_context
from opentelemetry.util.types import AttributeValue

from supatoss.tracing import Attributes, Kind

STOP_SECONDS = 2.0
"""For sending the remaining spans when the process stops; part of fly.toml's kill_timeout."""

COMPLAINT_SECONDS = 60.0
"""Between two log lines about traces that were not sent."""

MAX_TEXT_CHARACTERS = 100
"""Longest attribute: the type of an unsigned delivery can be any text."""

_KINDS: dict[Kind, SpanKind] = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "consumer": SpanKind.CONSUMER,
}
_OK = frozenset({"ok", "not_found"})
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_complaints = logging.getLogger("opentelemetry")
_current: ContextVar[Span | None] = ContextVar("span", default=None)


class Spans:
    """supatoss.tracing's backend. The current span is a context variable: tasks inherit it from who starts them."""

    def __init__(self, provider: TracerProvider, exporter: SpanExporter) -> None:
        self._provider = provider
        self._exporter = exporter
        self._tracer = provider.get_tracer("supatoss")

    @contextmanager
    def span(
        self,
        name: str,
        kind: Kind,
        attributes: Attributes,
        parent: str | None = None,
        links: Sequence[str | None] = (),
        started_ns: int | None = None,
        expected: tuple[type[Exception], ...] = (),
    ) -> Iterator[None]:
        """As in supatoss.tracing."""
        span = self._tracer.start_span(
            name,
            _below(_current.get() if parent is None else _remote(parent)),
            _KINDS[kind],
            _named(attributes),
            [Link(context) for link in links if (context := _read(link))],
            started_ns,
        )
        before = _current.set(span)
        try:
            yield
        except BaseException as error:
            # Its text may hold a secret.
            span.set_attribute("error.type", type(error).__name__)
            if not isinstance(error, expected):
                span.set_status(StatusCode.ERROR)
            raise
        finally:
            _current.reset(before)
            span.end()

    @contextmanager
    def batch(self, name: str, traceparents: Sequence[str | None]) -> Iterator[None]:
        """As in supatoss.tracing."""
        known = list(dict.fromkeys(filter(None, traceparents)))
        parent = next((text for text in known if text.endswith("1")), known[0] if known else None)
        # It runs in its own task, which inherits the span of whichever delivery started it.
        _current.set(None)
        others = [text for text in known if text != parent]
        with self.span(name, "internal", {"events": len(traceparents)}, parent, others):
            yield

    def call(self, name: str, peer: str, started_ns: int, outcome: str) -> None:
        """As in supatoss.tracing."""
        current = _current.get()
        if current is None or not current.is_recording():
            return
        span = self._tracer.start_span(
            name,
            _below(current),
            SpanKind.CLIENT,
            {"peer.service": peer, "supatoss.outcome": outcome},
            start_time=started_ns,
        )
        if outcome not in _OK:
            span.set_status(StatusCode.ERROR)
        span.end()

    def note(self, attributes: Attributes, *, is_error: bool) -> None:
        """As in supatoss.tracing."""
        current = _current.get()
        if current is not None and current.is_recording():
            current.set_attributes(_named(attributes))
            if is_error:
                current.set_status(StatusCode.ERROR)

    def link(self, traceparent: str) -> None:
        """As in supatoss.tracing."""
        current, context = _current.get(), _read(traceparent)
        if current is not None and context is not None and context.trace_id != current.get_span_context().trace_id:
            current.add_link(context)

    def traceparent(self) -> str | None:
        """As in supatoss.tracing."""
        if (current := _current.get()) is None:
            return None
        context = current.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & TraceFlags.SAMPLED:02x}"

    def trace_id(self) -> str | None:
        """As in supatoss.tracing."""
        if (current := _current.get()) is None or not current.is_recording():
            return None
        return f"{current.get_span_context().trace_id:032x}"

    def stop(self) -> None:
        """Sends the remaining spans, in STOP_SECONDS at most: the thread may be waiting for a dead collector."""
        stopping = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        stopping.start()
        stopping.join(STOP_SECONDS)
        if stopping.is_alive():
            structlog.get_logger("supatoss.tracing").warning("the last traces were not sent")
            _complaints.handlers[:] = [logging.NullHandler()]
            self._exporter.shutdown()  # which ends its waiting between two tries


def start(version: str) -> Spans | None:
    """Starts the export as the variables OTEL_… say; None where they switch the SDK off."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    _complaints.handlers[:] = [_Complaints()]
    _complaints.propagate = False
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    provider = TracerProvider(resource=_resource(version), shutdown_on_exit=False)
    exporter = OTLPSpanExporter()
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Spans(provider, exporter)


class _Complaints(logging.Handler):
    """One log line a minute: an unavailable collector must not fill the log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._next = float("-inf")
        self._unlogged = 0

    def emit(self, record: logging.LogRecord) -> None:
        if time.monotonic() < self._next:
            self._unlogged += 1
            return
        self._next = time.monotonic() + COMPLAINT_SECONDS
        log = structlog.get_logger("supatoss.tracing")
        log.warning("trouble with traces", problem=record.getMessage()[:500], unlogged=self._unlogged)
        self._unlogged = 0


def _resource(version: str) -> Resource:
    given = Resource.create()
    ours: dict[str, AttributeValue] = {SERVICE_VERSION: version}
    if str(given.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        ours[SERVICE_NAME] = "supatoss"
    if machine := os.environ.get("FLY_MACHINE_ID"):
        ours[SERVICE_INSTANCE_ID] = machine
    return given.merge(Resource(ours))


def _named(attributes: Attributes) -> dict[str, AttributeValue]:
    return {
        name if "." in name else f"supatoss.{name}": value[:MAX_TEXT_CHARACTERS] if isinstance(value, str) else value
        for name, value in attributes.items()
        if value is not None
    }


def _read(traceparent: str | None) -> SpanContext | None:
    """A traceparent from any sender; None if it isn't valid."""
    found = _TRACEPARENT.fullmatch(traceparent or "")
    if found is None:
        return None
    trace, parent, flags = (int(part, 16) for part in found.groups())
    return SpanContext(trace, parent, is_remote=True, trace_flags=TraceFlags(flags & TraceFlags.SAMPLED))


def _remote(traceparent: str) -> Span | None:
    context = _read(traceparent)
    return NonRecordingSpan(context) if context else None


def _below(parent: Span | None) -> Context:
    return Context() if parent is None else set_span_in_context(parent, Context())
