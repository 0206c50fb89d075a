"""Traces of deliveries and of the work that follows them, where OTEL_EXPORTER_OTLP_ENDPOINT is set.

Otherwise OpenTelemetry isn't imported, and each function here only compares with None.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from typing import Any, Literal, Protocol, cast

Kind = Literal["internal", "server", "client", "consumer"]
Attributes = Mapping[str, Any]
"""Strings, numbers, booleans, lists of strings; None is left out. Names get the prefix `supatoss.`, except those with a
dot: they are OpenTelemetry's own."""

INSTALL = "pip install 'supatoss[otel]'"


class Backend(Protocol):
    """The backend that makes spans while traces are on."""

    def span(
        self,
        name: str,
        kind: Kind,
        attributes: Attributes,
        parent: str | None,
        links: Sequence[str | None],
        started_ns: int | None,
        expected: tuple[type[Exception], ...],
    ) -> AbstractContextManager[None]:
        """As `span` below."""

    def batch(self, name: str, traceparents: Sequence[str | None]) -> AbstractContextManager[None]:
        """As `batch` below."""

    def call(self, name: str, peer: str, started_ns: int, outcome: str) -> None:
        """As `call` below."""

    def note(self, attributes: Attributes, *, is_error: bool) -> None:
        """As `note` below."""

    def link(self, traceparent: str) -> None:
        """As `link` below."""

    def traceparent(self) -> str | None:
        """As `traceparent` below."""

    def trace_id(self) -> str | None:
        """As `trace_id` below."""

    def stop(self) -> None:
        """Sends what is left, for a limited time."""


_backend: Backend | None = None
_OFF = nullcontext()


@contextmanager
def exporting(endpoint: str, version: str) -> Iterator[None]:
    """Traces until the end of the block, if there is an endpoint. Problems with traces are only logged.

    The variables of OpenTelemetry's SDK apply (OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS, …).
    """
    global _backend  # noqa: PLW0603 - as the counters of /metrics: one for the process
    backend = _open(version) if endpoint else None
    if backend is None:
        yield
        return
    _backend = backend
    _log().info("traces are exported", endpoint=endpoint)
    try:
        yield
    finally:
        _backend = None
        backend.stop()


def _log() -> Any:
    import structlog  # noqa: PLC0415 - commands, which have no traces, start without it

    return structlog.get_logger("supatoss.tracing")


def _open(version: str) -> Backend | None:
    try:
        sdk = import_module("supatoss.tracing.sdk")
    except ImportError as error:
        # Not a reason to stop: a platform may set the variable for every process.
        _log().error(
            "no traces: OTEL_EXPORTER_OTLP_ENDPOINT is set, and packages are missing", error=str(error), run=INSTALL
        )
        return None
    try:
        return cast("Backend | None", sdk.start(version))
    except Exception as error:  # noqa: BLE001 - the SDK's own settings: a service without traces is better than none
        _log().error("no traces: check the variables OTEL_…", error=f"{type(error).__name__}: {error}")
        return None


def is_on() -> bool:
    """Whether there are traces."""
    return _backend is not None


def span(
    name: str,
    kind: Kind = "internal",
    attributes: Attributes | None = None,
    *,
    parent: str | None = None,
    links: Sequence[str | None] = (),
    started_ns: int | None = None,
    expected: tuple[type[Exception], ...] = (),
) -> AbstractContextManager[None]:
    """A span around a block, below the current one or below `parent`, a traceparent that we have made ourselves.

    links: traceparents, including those of other senders. expected: exceptions that are a normal outcome, not an error.
    """
    return (
        _OFF if _backend is None else _backend.span(name, kind, attributes or {}, parent, links, started_ns, expected)
    )


def request(scope: Mapping[str, Any]) -> AbstractContextManager[None]:
    """The span of an ASGI request. It starts a new trace: a sender's could decide which of ours are sampled."""
    if _backend is None:
        return _OFF
    method, path = scope["method"], scope["path"]
    theirs = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"traceparent"), None)
    attributes = {"http.request.method": method, "http.route": path}
    return span(f"{method} {path}", "server", attributes, links=[theirs])


def batch(name: str, traceparents: Sequence[str | None]) -> AbstractContextManager[None]:
    """A span around work for several traces: below the first one that is sampled, with links to the others."""
    return _OFF if _backend is None else _backend.batch(name, traceparents)


def call(name: str, peer: str, started_ns: int, outcome: str) -> None:
    """A call to another service that ends now, as a span below the current one, if there is a current one."""
    if _backend is not None:
        _backend.call(name, peer, started_ns, outcome)


def note(attributes: Attributes, *, is_error: bool = False) -> None:
    """Adds attributes to the current span."""
    if _backend is not None:
        _backend.note(attributes, is_error=is_error)


def link(traceparent: str | None) -> None:
    """Adds a link to a span of another trace to the current one."""
    if _backend is not None and traceparent is not None:
        _backend.link(traceparent)


def traceparent() -> str | None:
    """The current span as a W3C traceparent, from which another process or a later attempt can continue."""
    return None if _backend is None else _backend.traceparent()


def trace_id() -> str | None:
    """The current trace, for log lines; None where it isn't sampled."""
    return None if _backend is None else _backend.trace_id()
