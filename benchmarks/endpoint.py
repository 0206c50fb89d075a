"""What the webhook endpoint costs in this process, by stage: no server, no socket, a store that answers at once."""

import asyncio
import datetime as dt
import gc
import os
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import uvloop
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from benchmarks.requests import WEBHOOK_PATH
from benchmarks.workload import SECRET_KEY, OrderMix, Sending, plan
from supatoss import telemetry
from supatoss.cli.processes import GC_THRESHOLD
from supatoss.inbox.budget import LookupBudget
from supatoss.inbox.event import NewEvent, Proof
from supatoss.inbox.interpret import interpret
from supatoss.inbox.recorder import Recorder
from supatoss.inbox.refused import RefusedLog
from supatoss.inbox.verify import Verifier, _for_the_log
from supatoss.receiving import Head, SourceFilter, read_bytes
from supatoss.store import Store
from supatoss.store.recording import RecordedEvent, _encode
from supatoss.telemetry import configure_logging, log_output
from supatoss.toss.client import TossClient
from supatoss.toss.delivery import RETRIED_COUNT_HEADER, SIGNATURE_HEADER, TIME_HEADER, read_body
from supatoss.toss.events import read_event
from supatoss.toss.signature import Keys, check_signature, is_fresh, sign_hex
from supatoss.webhook import WebhookEndpoint, _log_answer, _stored

ROUNDS = 400
CONCURRENT = 64
"""Deliveries in the endpoint at a time, and in one measurement: short ones are seldom disturbed."""

BATCHES = 10
GOAL_MICROSECONDS = 80
DUPLICATE_SHARE = 0.1
ANY_AGE = dt.timedelta(days=36500)

T = TypeVar("T")


class AnsweringStore(Store):
    """Every event is new and stored at once; its records are encoded as for the Data API."""

    def __init__(self) -> None:
        self._sent: Sequence[Mapping[str, Any]] = ()

    async def record_webhook_events(self, records: Sequence[Mapping[str, Any]]) -> list[RecordedEvent]:
        """Remembers what is sent for `call`."""
        self._sent = records
        return await super().record_webhook_events(records)

    async def call(
        self,
        _function: Any,
        _arguments: Mapping[str, Any],
        read: Callable[[Any], T],
        *,
        tries: int = 1,  # noqa: ARG002
    ) -> T:
        """What the Data API would answer."""
        return read(
            [
                {
                    "id": "01998b2e-4b1c-7000-8000-5d0c8a6b7f10",
                    "event_key": record["event_key"],
                    "outcome": "created",
                    "status": record["status"],
                    "reason": record["reason"],
                }
                for record in self._sent
            ]
        )


def run(log: Callable[[str], None], rounds: int = ROUNDS) -> int:
    """Prints the CPU time of a delivery and of its stages. Returns how many deliveries were not answered 200."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)  # as `serve` does
    with _logging_to_nowhere(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        problems, times = runner.run(_measure(rounds))
    whole = times.pop("all of it")
    print(f"| stage | µs of CPU a delivery, median of {rounds} |\n|---|---|")
    for stage, microseconds in times.items():
        print(f"| {stage} | {microseconds:.1f} |")
    print(f"| the rest | {whole - sum(times.values()):.1f} |\n| **all of it** | **{whole:.1f}** |")
    if whole > GOAL_MICROSECONDS:
        log(f"a delivery takes more than {GOAL_MICROSECONDS} µs")
    return problems


@contextmanager
def _logging_to_nowhere() -> Iterator[None]:
    configure_logging("INFO", "json")
    with Path(os.devnull).open("w") as nowhere:
        log_output.stream = nowhere
        with log_output.in_background():
            yield


async def _measure(rounds: int) -> tuple[int, dict[str, float]]:
    """Deliveries that were not answered 200, and microseconds by stage, all stages in turn in each round."""
    sendings = plan(BATCHES * CONCURRENT, DUPLICATE_SHARE, OrderMix.MIXED)
    endpoint = _endpoint()
    batches = [sendings[start : start + CONCURRENT] for start in range(0, len(sendings), CONCURRENT)]
    answers = [Answers(batch) for batch in batches]
    stages = [Stages(batch, endpoint) for batch in batches]
    measured: dict[str, list[float]] = {}

    async def note(name: str, work: Callable[[], Awaitable[object]]) -> None:
        started = time.process_time()
        await work()
        measured.setdefault(name, []).append((time.process_time() - started) * 1e6 / CONCURRENT)

    for number in range(BATCHES + rounds):
        batch = number % BATCHES
        await note("harness", partial(answers[batch].of, _nothing))
        await note("all of it", partial(answers[batch].of, endpoint))
        for name, stage in stages[batch].by_name.items():
            await note(name, stage)
    medians = {name: statistics.median(values[BATCHES:]) for name, values in measured.items()}  # the first warm up
    harness = medians.pop("harness")
    medians["all of it"] -= harness
    medians["recorder: batches"] -= medians["record: fields, JSON"] + harness  # as many tasks
    return sum(one.refused for one in answers), medians


def _endpoint() -> WebhookEndpoint:
    store = AnsweringStore()
    toss = TossClient("http://127.0.0.1:9", (SECRET_KEY,))
    verifier = Verifier(
        store,
        Keys((SECRET_KEY,)),
        LookupBudget(store, toss, strangers_per_minute=60),
        accepts_unsigned=True,
        look_up_seconds=3.0,
        max_age=ANY_AGE,
    )
    source = SourceFilter((), "fly-client-ip")
    return WebhookEndpoint(verifier, Recorder(store), source, 262_144, 8.0, lambda: None, RefusedLog(store))


async def _nothing(_scope: Scope, receive: Receive, send: Send) -> None:
    """An application that costs nothing, to know what sending deliveries to it costs."""
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


class Answers:
    """Deliveries as the server hands them over, each in a task of its own."""

    def __init__(self, sendings: Sequence[Sending]) -> None:
        self._requests = [(_headers(sending), sending.body) for sending in sendings]
        self.refused = 0

    async def of(self, app: ASGIApp) -> None:
        """Has each delivery answered."""
        await asyncio.wait([asyncio.create_task(self._send(app, headers, body)) for headers, body in self._requests])

    async def _send(self, app: ASGIApp, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            self.refused += message.get("status", 200) != 200

        await app(_scope(headers), receive, send)


def _scope(headers: list[tuple[bytes, bytes]]) -> Scope:
    return {"type": "http", "method": "POST", "path": WEBHOOK_PATH, "headers": headers, "client": ("127.0.0.1", 1)}


def _headers(sending: Sending) -> list[tuple[bytes, bytes]]:
    """What Toss and a proxy send."""
    named = {
        "host": "shop.fly.dev",
        "user-agent": "Toss-Payments/1.0",
        "content-length": str(len(sending.body)),
        "content-type": "application/json; charset=utf-8",
        TIME_HEADER: sending.transmission_time,
        RETRIED_COUNT_HEADER: str(sending.retried_count),
        SIGNATURE_HEADER: sign_hex(sending.body, sending.transmission_time, SECRET_KEY),
        "x-request-start": "t=1773451268405120",
        "fly-client-ip": "203.0.113.7",
        "x-forwarded-for": "203.0.113.7, 198.51.100.9",
        "x-forwarded-proto": "https",
        "via": "1.1 fly.io",
    }
    return [(name.encode(), value.encode()) for name, value in named.items()]


class Stages:
    """Each stage by itself over all deliveries, with what the stages before it made."""

    def __init__(self, sendings: Sequence[Sending], endpoint: WebhookEndpoint) -> None:
        self._endpoint = endpoint
        self._requests = [(_headers(sending), sending.body) for sending in sendings]
        self._deliveries = [Head(_scope(headers)).delivery(body) for headers, body in self._requests]
        self._bodies = [read_body(sending.body) for sending in sendings]
        self._events = [read_event(body.fields) for body in self._bodies]
        self._meanings = [interpret(event) for event in self._events]
        now = dt.datetime.now(dt.UTC)
        self._new = [
            NewEvent(event, body, meaning, Proof.SIGNATURE, now, delivery)
            for event, body, meaning, delivery in zip(
                self._events, self._bodies, self._meanings, self._deliveries, strict=True
            )
        ]
        self._recorded = RecordedEvent("01998b2e-4b1c-7000-8000-5d0c8a6b7f10", "0" * 64, "created", "processed", None)
        self.by_name: dict[str, Callable[[], Awaitable[object]]] = {
            "request: headers, body": self._read,
            "signature, freshness": self._check,
            "body: JSON, event key": self._read_bodies,
            "event: validated": self._parse,
            "meaning": self._interpret,
            "record: fields, JSON": self._encode,
            "recorder: batches": self._record,
            "log line, counters": self._log,
            "response": self._respond,
        }

    async def _read(self) -> None:
        for headers, body in self._requests:

            async def receive(body: bytes = body) -> Message:
                return {"type": "http.request", "body": body, "more_body": False}

            head = Head(_scope(headers))
            head.delivery(await read_bytes(receive, head, 262_144, 8.0))
            self._endpoint.source.address(head)

    async def _check(self) -> None:
        keys, now = Keys((SECRET_KEY,)), dt.datetime.now(dt.UTC)
        for delivery in self._deliveries:
            check_signature(delivery, keys)
            is_fresh(delivery, now, ANY_AGE)

    async def _read_bodies(self) -> None:
        for delivery in self._deliveries:
            read_body(delivery.body)

    async def _parse(self) -> None:
        for body in self._bodies:
            read_event(body.fields)

    async def _interpret(self) -> None:
        for event in self._events:
            interpret(event)

    async def _encode(self) -> None:
        _encode([new.to_record() for new in self._new]).decode()

    async def _record(self) -> None:
        await asyncio.wait([asyncio.create_task(self._endpoint.recorder.record(new)) for new in self._new])

    async def _log(self) -> None:
        for new in self._new:
            telemetry.bind(signature_check="hex")
            telemetry.bind(event_type=new.event.event_type)
            telemetry.bind(**_for_the_log(new))
            response = _stored(self._recorded)
            _log_answer(0.0, response, "created", recorded=self._recorded)

    async def _respond(self) -> None:
        async def send(_message: Message) -> None:
            pass

        for _ in self._requests:
            await _stored(self._recorded).send(send)
