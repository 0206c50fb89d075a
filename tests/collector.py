"""A collector of OpenTelemetry on loopback: it decodes what is sent to it as OTLP, and keeps the spans."""

import gzip
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as EncodedSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from scripts.local_stack import LOOPBACK


@dataclass(frozen=True)
class Span:
    """One span. parent: empty for the first of its trace. links: (trace, span)."""

    trace: str
    id: str
    parent: str
    name: str
    kind: str
    is_error: bool
    attributes: Mapping[str, Any]
    links: Sequence[tuple[str, str]]
    resource: Mapping[str, Any]


class Collector:
    """`status` answers every request; spans are kept where it is 200. `hang`: nobody is answered until the end."""

    def __init__(self, *, hang: bool = False) -> None:
        self.spans: list[Span] = []
        self.texts: list[str] = []
        self.status = 200
        self.asked = threading.Event()
        self._came = threading.Condition()
        self._ended = threading.Event()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["content-length"]))
                collector.asked.set()
                if hang:
                    collector._ended.wait()
                    return
                if collector.status == 200:
                    assert (self.path, self.headers["content-type"]) == ("/v1/traces", "application/x-protobuf")
                    is_packed = self.headers["content-encoding"] == "gzip"
                    collector._keep(ExportTraceServiceRequest.FromString(gzip.decompress(raw) if is_packed else raw))
                self.send_response(collector.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://{LOOPBACK}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def environment(self) -> dict[str, str]:
        """Of a process whose traces are to come here, and soon."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}

    def wait_for(self, is_it: Callable[[Span], bool], seconds: float = 20.0) -> Span:
        """The first span that is what is waited for."""

        def find() -> Span | None:
            return next((span for span in self.spans if is_it(span)), None)

        with self._came:
            found = self._came.wait_for(find, seconds)
        assert found, [span.name for span in self.spans]
        return found

    def trace(self, trace: str) -> list[Span]:
        """All spans of one trace so far."""
        return [span for span in self.spans if span.trace == trace]

    def _keep(self, request: ExportTraceServiceRequest) -> None:
        with self._came:
            self.texts.append(str(request))
            for of_resource in request.resource_spans:
                resource = _read(of_resource.resource.attributes)
                self.spans += [_span(span, resource) for scope in of_resource.scope_spans for span in scope.spans]
            self._came.notify_all()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(20)


def _span(span: EncodedSpan, resource: Mapping[str, Any]) -> Span:
    return Span(
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.name,
        EncodedSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        span.status.code == Status.STATUS_CODE_ERROR,
        _read(span.attributes),
        [(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
        resource,
    )


def _read(attributes: Sequence[KeyValue] | Any) -> dict[str, Any]:
    read = {}
    for attribute in attributes:
        kind = attribute.value.WhichOneof("value")
        value = getattr(attribute.value, kind or "string_value")
        read[attribute.key] = [item.string_value for item in value.values] if kind == "array_value" else value
    return read
