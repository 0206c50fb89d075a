"""Coalesced writes: who rides with whom, and what each is told."""

import asyncio
import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from supatoss.errors import StoreRefused, StoreUnavailable
from supatoss.inbox.event import NewEvent, Proof
from supatoss.inbox.interpret import interpret
from supatoss.inbox.recorder import (
    MAX_BATCH_CHARACTERS,
    MAX_BATCH_EVENTS,
    MAX_HELD_SECONDS,
    MAX_IN_FLIGHT,
    MAX_SLOW_BATCH_EVENTS,
    MAX_SLOW_WAITING,
    MAX_WAITING,
    MIN_CONCURRENT_EVENTS,
    REMEMBERED_ORDERS,
    SLOW_CHARACTERS,
    SLOW_ORDER_EVENTS,
    Recorder,
)
from supatoss.store.recording import RecordedEvent
from supatoss.toss.delivery import read_body
from supatoss.toss.events import parse_event
from tests.unit.fakes import MemoryStore

pytestmark = pytest.mark.anyio


def event(number: int, padding: int = 0) -> NewEvent:
    body = read_body(json.dumps({"eventType": "NEW", "number": number, "padding": "x" * padding}).encode())
    parsed = parse_event(body.fields)
    return NewEvent(parsed, body, interpret(parsed), Proof.SIGNATURE, dt.datetime.now(dt.UTC))


class Gate(MemoryStore):
    """Holds every write until it is let through."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []
        self.gate = asyncio.Semaphore(0)
        self.in_flight = 0
        self.most_in_flight = 0

    async def record_webhook_events(self, records: Sequence[Mapping[str, Any]]) -> list[RecordedEvent]:
        self.batches.append(len(records))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await self.gate.acquire()
            return await super().record_webhook_events(records)
        finally:
            self.in_flight -= 1

    def let_through(self, times: int = 1000) -> None:
        for _ in range(times):
            self.gate.release()


async def let_run() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_lone_event_goes_at_once() -> None:
    store = Gate()
    store.let_through()
    assert (await Recorder(store).record(event(1))).outcome == "created"
    assert store.batches == [1]


async def send(recorder: Recorder, *numbers: int) -> list[asyncio.Task[RecordedEvent]]:
    """Records events at once, in one call as long as a call is free for them."""
    tasks = [asyncio.create_task(recorder.record(event(number))) for number in numbers]
    await let_run()
    return tasks


async def test_those_that_arrive_together_ride_together() -> None:
    store = Gate()
    store.let_through()
    outcomes = await asyncio.gather(*await send(Recorder(store), *range(30)))
    assert store.batches == [30]
    assert [outcome.event_key for outcome in outcomes] == [event(number).body.key for number in range(30)]


async def test_those_that_arrive_meanwhile_ride_in_the_next_one() -> None:
    store = Gate()
    recorder = Recorder(store)
    tasks = await send(recorder, *range(40))
    tasks += await send(recorder, *range(100, 100 + MIN_CONCURRENT_EVENTS))
    for number in range(200, 230):
        tasks += await send(recorder, number)
    assert store.batches == [40, MIN_CONCURRENT_EVENTS]
    store.let_through()
    await asyncio.gather(*tasks)
    assert store.batches == [40, MIN_CONCURRENT_EVENTS, 30]


async def test_a_lone_event_goes_beside_another_one() -> None:
    store = Gate()
    recorder = Recorder(store)
    tasks = await send(recorder, 1) + await send(recorder, 2)
    assert store.batches == [1, 1]
    store.let_through()
    await asyncio.gather(*tasks)


async def test_few_wait_for_the_call_in_flight_and_go_when_it_ends() -> None:
    store = Gate()
    recorder = Recorder(store)
    tasks = await send(recorder, *range(40))
    tasks += await send(recorder, *range(100, 99 + MIN_CONCURRENT_EVENTS))
    assert store.batches == [40]
    store.let_through()
    await asyncio.gather(*tasks)
    assert store.batches == [40, MIN_CONCURRENT_EVENTS - 1]


async def test_a_call_that_hangs_holds_nobody_up() -> None:
    store = Gate()
    recorder = Recorder(store)
    hanging = await send(recorder, *range(40))
    held = await send(recorder, 100)
    await asyncio.sleep(MAX_HELD_SECONDS * 1.5)
    assert store.batches == [40, 1]
    held += await send(recorder, 101)
    store.let_through()
    await asyncio.gather(*hanging, *held)
    assert store.batches == [40, 1, 1]


async def test_batches_and_writes_are_bounded() -> None:
    store = Gate()
    recorder = Recorder(store)
    tasks = await send(recorder, *range(300))
    store.let_through()
    await asyncio.gather(*tasks)
    assert max(store.batches) == MAX_BATCH_EVENTS
    assert store.most_in_flight == MAX_IN_FLIGHT
    assert sum(store.batches) == 300


async def test_large_bodies_make_smaller_batches() -> None:
    store = Gate()
    recorder = Recorder(store)
    size = MAX_BATCH_CHARACTERS // 4
    tasks = [asyncio.create_task(recorder.record(event(number, size))) for number in range(12)]
    await let_run()
    store.let_through()
    await asyncio.gather(*tasks)
    assert max(store.batches) == 3


@pytest.mark.parametrize("trouble", [StoreUnavailable("away"), StoreRefused("no grant"), RuntimeError("a defect")])
async def test_a_failed_write_is_told_to_everybody_in_it_and_to_nobody_else(trouble: Exception) -> None:
    store = Gate()
    recorder = Recorder(store)
    tasks = await send(recorder, 1) + await send(recorder, 2) + await send(recorder, *range(3, 11))
    store.let_through(MAX_IN_FLIGHT)
    await let_run()
    store.trouble = trouble
    store.let_through(1)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(result, RecordedEvent) for result in results] == [True] * MAX_IN_FLIGHT + [False] * 8
    assert {type(result) for result in results[MAX_IN_FLIGHT:]} == {type(trouble)}
    store.trouble = None
    store.let_through()
    assert (await recorder.record(event(99))).outcome == "created"


class Choosy(MemoryStore):
    """Doesn't take one event."""

    async def record_webhook_events(self, records: Sequence[Mapping[str, Any]]) -> list[RecordedEvent]:
        recorded = await super().record_webhook_events(records)
        key = event(1).body.key
        return [replace(item, outcome="refused", id="") if item.event_key == key else item for item in recorded]


async def test_an_event_that_the_inbox_refuses_is_told_to_its_own_delivery() -> None:
    tasks = await send(Recorder(Choosy()), 0, 1, 2)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(result, StoreRefused) for result in results] == [False, True, False]


async def test_who_gives_up_is_not_written_and_takes_nobody_along() -> None:
    store = Gate()
    recorder = Recorder(store)
    tasks = await send(recorder, 0) + await send(recorder, 1) + await send(recorder, 2, 3, 4)
    tasks[0].cancel()
    tasks[4].cancel()
    await let_run()
    store.let_through()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(result, RecordedEvent) for result in results] == [False, True, True, True, False]
    assert store.batches == [1, 1, 2]


async def test_a_full_queue_refuses_at_once() -> None:
    store = Gate()
    recorder = Recorder(store)
    tasks = await send(recorder, 0) + await send(recorder, 1) + await send(recorder, *range(2, 2 + MAX_WAITING))
    with pytest.raises(StoreUnavailable, match="too many events are waiting"):
        await recorder.record(event(-1))
    store.let_through(10_000)
    outcomes = await asyncio.gather(*tasks)
    assert len(outcomes) == MAX_WAITING + 2
    assert (await recorder.record(event(-1))).outcome == "created"


async def test_one_event_twice_at_once_is_created_once() -> None:
    store = Gate()
    recorder = Recorder(store)
    tasks = await send(recorder, *[1] * 6)
    store.let_through()
    outcomes = [outcome.outcome for outcome in await asyncio.gather(*tasks)]
    assert sorted(outcomes) == ["created", *["duplicate"] * 5]


def event_of(order: str, number: int = 0) -> NewEvent:
    data = {"orderId": order, "paymentKey": f"key-{order}", "status": "DONE", "totalAmount": 1000}
    body = read_body(json.dumps({"eventType": "PAYMENT_STATUS_CHANGED", "number": number, "data": data}).encode())
    parsed = parse_event(body.fields)
    return NewEvent(parsed, body, interpret(parsed), Proof.SIGNATURE, dt.datetime.now(dt.UTC))


class Stuck(Gate):
    """Holds only calls with slow events."""

    def __init__(self) -> None:
        super().__init__()
        self.slow_keys: set[str] = set()

    async def record_webhook_events(self, records: Sequence[Mapping[str, Any]]) -> list[RecordedEvent]:
        if any(record["event_key"] in self.slow_keys for record in records):
            return await super().record_webhook_events(records)
        self.batches.append(len(records))
        return await MemoryStore.record_webhook_events(self, records)


async def start(recorder: Recorder, *events: NewEvent) -> list[asyncio.Task[RecordedEvent]]:
    tasks = [asyncio.create_task(recorder.record(item)) for item in events]
    await let_run()
    return tasks


async def test_a_large_body_is_no_hindrance_to_the_others() -> None:
    store = Stuck()
    recorder = Recorder(store)
    large = event(1, SLOW_CHARACTERS)
    store.slow_keys.add(large.body.key)
    slow = await start(recorder, large)
    others = await send(recorder, *range(2, 42))
    assert store.batches == [1, 40]
    assert all(task.done() for task in others)
    assert not slow[0].done()
    store.let_through()
    assert (await slow[0]).outcome == "created"


async def test_further_events_of_an_order_with_many_are_no_hindrance_to_the_others() -> None:
    store = Stuck()
    recorder = Recorder(store)
    events = [event_of("order-1", number) for number in range(SLOW_ORDER_EVENTS + 30)]
    store.slow_keys |= {item.body.key for item in events[SLOW_ORDER_EVENTS:]}
    tasks = await start(recorder, *events)
    assert [task.done() for task in tasks] == [True] * SLOW_ORDER_EVENTS + [False] * 30
    others = await start(recorder, *(event_of(f"order-{number}") for number in range(2, 50)))
    assert all(task.done() for task in others)
    store.let_through()
    await asyncio.gather(*tasks)
    assert store.batches == [1, SLOW_ORDER_EVENTS, 48, *[MAX_SLOW_BATCH_EVENTS] * 2, 9]


async def test_too_many_slow_events_are_refused_and_no_others() -> None:
    store = Stuck()
    recorder = Recorder(store)
    large = [event(number, SLOW_CHARACTERS) for number in range(MAX_SLOW_WAITING + 1)]
    store.slow_keys |= {item.body.key for item in large}
    tasks = await start(recorder, *large)
    with pytest.raises(StoreUnavailable, match="too many events are waiting"):
        await recorder.record(event(-1, SLOW_CHARACTERS))
    (other,) = await send(recorder, 5000)
    assert other.done()
    store.let_through()
    await asyncio.gather(*tasks)


async def test_orders_are_forgotten_in_time() -> None:
    store = Gate()
    store.let_through(10 * REMEMBERED_ORDERS)
    recorder = Recorder(store)
    for _ in range(SLOW_ORDER_EVENTS):
        recorder._orders.count("order-1")
    for number in range(2 * REMEMBERED_ORDERS):
        recorder._orders.count(f"other-{number}")
    assert recorder._orders.count("order-1") == 1
    assert len(recorder._orders._newer) + len(recorder._orders._older) <= 2 * REMEMBERED_ORDERS
