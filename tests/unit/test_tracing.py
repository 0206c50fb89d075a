"""Traces: what a delivery leaves at a collector, and that nothing about a collector ever reaches a delivery."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from supatoss import tracing
from supatoss.errors import ConfigurationError, StoreUnavailable
from supatoss.inbox.recorder import Recorder
from supatoss.settings import Settings
from supatoss.tracing import sdk
from tests.collector import Collector, Span
from tests.support import GUIDE_PAYMENT, raw_body
from tests.unit.fakes import LogLines, Service, signed
from tests.unit.test_recorder import Gate, event

pytestmark = pytest.mark.anyio

RAW = raw_body(GUIDE_PAYMENT)
THEIRS = ("a" * 32, "b" * 16)
TRACEPARENT = f"00-{THEIRS[0]}-{THEIRS[1]}-01"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with Collector() as collector:
        for name, value in collector.environment.items():
            monkeypatch.setenv(name, value)
        yield collector


def spans(collector: Collector) -> dict[str, Span]:
    """By name, each once."""
    assert len({span.name for span in collector.spans}) == len(collector.spans)
    return {span.name: span for span in collector.spans}


async def send(service: Service, *headers: tuple[bytes, bytes], raw: bytes = RAW) -> int:
    return (await service.send(raw, signed(raw, *headers))).status_code


async def test_a_delivery_is_a_trace_with_what_was_done(
    service: Service, lines: LogLines, collector: Collector
) -> None:
    with tracing.exporting(collector.url, "1.2.3"):
        assert await send(service) == 200
    found = spans(collector)
    delivery, record = found["POST /webhooks/toss"], found["record"]
    assert (delivery.parent, delivery.kind, delivery.is_error) == ("", "server", False)
    assert (record.trace, record.parent, record.links) == (delivery.trace, delivery.id, [])
    assert (found["verify"].parent, found["verify"].is_error) == (delivery.id, False)
    (stored,) = service.store.records.values()
    assert stored["traceparent"] == f"00-{delivery.trace}-{delivery.id}-01"
    (line,) = (line for line in lines() if line["event"] == "delivery")
    assert line["trace_id"] == delivery.trace
    told = {name: value for name, value in delivery.attributes.items() if name != "supatoss.milliseconds"}
    assert told == {
        "http.request.method": "POST",
        "http.route": "/webhooks/toss",
        "http.response.status_code": 200,
        "supatoss.amount": "9900",
        "supatoss.event_id": line["event_id"],
        "supatoss.event_key": line["event_key"],
        "supatoss.event_status": "processed",
        "supatoss.event_type": "PAYMENT_STATUS_CHANGED",
        "supatoss.order_id": "order_123456",
        "supatoss.outcome": "created",
        "supatoss.payment_status": "DONE",
        "supatoss.proof": "signature",
        "supatoss.signature_check": "hex",
    }
    assert (delivery.resource["service.name"], delivery.resource["service.version"]) == ("supatoss", "1.2.3")


async def test_a_stranger_s_trace_is_a_link_and_nothing_more(
    service: Service, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tracing.exporting(collector.url, "1"):
        await send(service, (b"traceparent", TRACEPARENT.encode()))
        for nonsense in (b"", b"00-0-0-01", f"00-{'0' * 32}-{'b' * 16}-01".encode(), b"ff" + TRACEPARENT[2:].encode()):
            await send(service, (b"traceparent", nonsense))
    first, *others = (span for span in collector.spans if span.kind == "server")
    assert (first.parent, first.links) == ("", [THEIRS])
    assert first.trace != THEIRS[0]
    assert [(span.parent, span.links) for span in others] == [("", [])] * 4
    # Nor does it decide what is kept.
    collector.spans.clear()
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    with tracing.exporting(collector.url, "1"):
        await send(service, (b"traceparent", TRACEPARENT.encode()))
    assert collector.spans == []


async def test_a_trace_that_is_not_sampled_is_not_begun_again_by_the_worker(
    service: Service, lines: LogLines, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    with tracing.exporting(collector.url, "1"):
        await send(service)
    (stored,) = service.store.records.values()
    assert stored["traceparent"].endswith("-00")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_on")
    with tracing.exporting(collector.url, "1"), tracing.span("attempt", parent=stored["traceparent"]):
        pass
    assert collector.spans == []
    assert not any("trace_id" in line for line in lines())


async def test_a_refusal_is_no_error_of_ours_and_shows_little_of_what_was_sent(
    service: Service, collector: Collector
) -> None:
    raw = raw_body({**GUIDE_PAYMENT, "eventType": "x" * 5000})
    with tracing.exporting(collector.url, "1"):
        assert (await service.send(raw)).status_code == 401
        assert await send(service, raw=raw) == 200
        service.store.trouble = StoreUnavailable("away")
        assert await send(service) == 503
    refused, stored, failed = (span for span in collector.spans if span.kind == "server")
    assert (refused.attributes["supatoss.reason"], refused.is_error) == ("missing_signature", False)
    assert stored.attributes["supatoss.event_type"] == "x" * sdk.MAX_TEXT_CHARACTERS
    assert (failed.attributes["http.response.status_code"], failed.is_error) == (503, True)
    verify = next(span for span in collector.spans if span.parent == refused.id)
    assert (verify.attributes["error.type"], verify.is_error) == ("NotGenuine", False)


async def test_a_batch_is_below_one_delivery_and_linked_with_the_others(collector: Collector) -> None:
    store = Gate()
    recorder = Recorder(store)

    async def deliver(number: int) -> None:
        with tracing.span(f"delivery {number}"):
            await recorder.record(event(number))

    with tracing.exporting(collector.url, "1"):
        sent = asyncio.gather(*(deliver(number) for number in range(3)))
        await asyncio.sleep(0)
        store.let_through()
        await sent
    found = spans(collector)
    first, second, third = (found[f"delivery {number}"] for number in range(3))
    batch = found["record"]
    assert (batch.trace, batch.parent, batch.attributes["supatoss.events"]) == (first.trace, first.id, 3)
    assert batch.links == [(second.trace, second.id), (third.trace, third.id)]
    assert first.links == []
    assert second.links == third.links == [(batch.trace, batch.id)]


async def test_calls_are_spans_only_within_one(collector: Collector) -> None:
    with tracing.exporting(collector.url, "1"):
        tracing.call("Data API claim_webhook_events_v1", "supabase", time.time_ns(), "ok")  # the worker's poll
        with tracing.span("attempt"):
            tracing.call("Toss payment", "toss", time.time_ns(), "not_found")
            tracing.call("Data API finish_webhook_event_v1", "supabase", time.time_ns(), "unavailable")
    found = spans(collector)
    assert found.keys() == {"attempt", "Toss payment", "Data API finish_webhook_event_v1"}
    assert [(span.kind, span.is_error) for span in collector.spans if span.parent] == [
        ("client", False),
        ("client", True),
    ]
    assert found["Toss payment"].attributes["peer.service"] == "toss"


class TestTrouble:
    """Of the collector: a delivery is answered as ever, the log says it once, and a stop waits for a limited time."""

    @pytest.fixture(autouse=True)
    def _stops_soon(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """And leaves no thread to later tests, whose random numbers it would draw for its pauses."""
        monkeypatch.setattr(sdk, "STOP_SECONDS", 0.2)
        yield
        for thread in threading.enumerate():
            if thread.name in ("traces", "OtelBatchSpanRecordProcessor"):
                thread.join(20)
                assert not thread.is_alive()

    @pytest.mark.parametrize("status", [400, 503])
    async def test_a_collector_that_refuses(
        self, service: Service, lines: LogLines, collector: Collector, status: int
    ) -> None:
        collector.status = status
        with tracing.exporting(collector.url, "1"):
            for _ in range(20):
                assert await send(service) == 200
        troubles = [line for line in lines() if line["event"] == "trouble with traces"]
        assert len(troubles) == 1

    async def test_a_collector_that_hangs(
        self, service: Service, lines: LogLines, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Collector(hang=True) as collector:
            for name, value in {**collector.environment, "OTEL_BSP_MAX_QUEUE_SIZE": "16"}.items():
                monkeypatch.setenv(name, value)
            monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8")
            with tracing.exporting(collector.url, "1"):
                for _ in range(50):
                    assert await send(service) == 200
                assert await asyncio.to_thread(collector.asked.wait, 20)
        names = [line["event"] for line in lines()]
        assert names.count("the last traces were not sent") == 1
        assert names.count("trouble with traces") <= 1

    async def test_packages_that_are_missing(
        self, service: Service, lines: LogLines, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "opentelemetry.context", None)
        monkeypatch.delitem(sys.modules, "supatoss.tracing.sdk")
        with tracing.exporting("http://127.0.0.1:4318", "1"):
            assert not tracing.is_on()
            assert await send(service) == 200
        (line,) = (line for line in lines() if line["level"] == "error")
        assert line["event"].startswith("no traces: OTEL_EXPORTER_OTLP_ENDPOINT is set")
        assert line["run"] == "pip install 'supatoss[otel]'"

    def test_a_variable_of_the_sdk_that_makes_no_sense(
        self, service: Service, lines: LogLines, collector: Collector, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4096")  # more than the queue holds
        with tracing.exporting(collector.url, "1"):
            assert not tracing.is_on()
        (line,) = lines()
        assert line["event"] == "no traces: check the variables OTEL_…"

    def test_the_sdk_can_be_switched_off(self, collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
        with tracing.exporting(collector.url, "1"):
            assert not tracing.is_on()


class TestOff:
    def test_nothing_of_opentelemetry_is_imported(self) -> None:
        program = (
            "import sys, supatoss.cli.processes; from supatoss.app import create_app; from supatoss.settings import *;"
            "create_app(Settings.load(supabase_url='http://127.0.0.1:1',"
            " SUPABASE_SECRET_KEY='sb_secret_hidden_for_tests', toss_secret_key='test_sk_of_a_merchant_0000000000'));"
            "print([name for name in sys.modules if name.partition('.')[0] in ('opentelemetry', 'requests')])"
        )
        done = subprocess.run(  # noqa: S603 - a program of its own
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
        )
        assert done.stdout.strip() == "[]"

    async def test_a_delivery_leaves_no_trace(self, service: Service, lines: LogLines) -> None:
        assert await send(service, (b"traceparent", TRACEPARENT.encode())) == 200
        (stored,) = service.store.records.values()
        assert "traceparent" not in stored
        assert not any("trace_id" in line for line in lines())
        assert THEIRS[0] not in json.dumps([*lines(), stored], default=str)


@pytest.mark.parametrize(
    ("value", "is_allowed"),
    [
        ("", True),
        ("http://collector.internal:4318", True),
        ("https://otlp.example.com/otlp", True),
        ("collector:4317", False),
        ("grpc://collector:4317", False),
        ("http://user:secret@collector:4318", False),
        ("http://", False),
    ],
)
def test_the_collector_s_address(value: str, is_allowed: bool) -> None:
    keys = {"SUPABASE_SECRET_KEY": "sb_secret_hidden_for_tests", "toss_secret_key": "test_sk_of_a_merchant_0000000000"}
    made: dict[str, Any] = {"supabase_url": "http://127.0.0.1:1", **keys, "otel_exporter_otlp_endpoint": value}
    if is_allowed:
        assert Settings.load(**made).otel_exporter_otlp_endpoint == value
        return
    with pytest.raises(ConfigurationError) as raised:
        Settings.load(**made)
    assert "OTEL_EXPORTER_OTLP_ENDPOINT should be an address" in str(raised.value)
    assert "secret@" not in str(raised.value)
