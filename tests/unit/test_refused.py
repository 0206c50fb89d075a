"""The log of what was not believed: few a second, the newest, never in the way."""

import asyncio
import datetime as dt
import json

import pytest

from supatoss.errors import StoreUnavailable
from supatoss.inbox.refused import HOUR_SECONDS, MAX_BODY_BYTES, MAX_PER_HOUR, MAX_PER_SECOND, MAX_WAITING, RefusedLog
from tests.support import raw_body, signed_headers
from tests.unit.fakes import MemoryStore, Service, SilentToss

pytestmark = pytest.mark.anyio

AT = dt.datetime(2026, 4, 2, 5, 22, 11, tzinfo=dt.UTC)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def note(log: RefusedLog, body: bytes = b"{}") -> None:
    log.note(AT, body, reason="invalid_signature", http_status=401, source_address="203.0.113.7")


async def test_so_many_a_second_are_written_and_the_rest_is_counted() -> None:
    store, clock = MemoryStore(), Clock()
    log = RefusedLog(store, clock)
    for _ in range(20):
        note(log)
    clock.now += 1.0
    note(log)
    assert await log.flush() == MAX_PER_SECOND + 1
    assert await log.flush() == 0
    assert len(store.noted) == MAX_PER_SECOND + 1


async def test_a_flood_of_one_kind_leaves_room_for_the_others() -> None:
    store, clock = MemoryStore(), Clock()
    log = RefusedLog(store, clock)
    for _ in range(2 * MAX_PER_HOUR):
        clock.now += 1.0
        note(log)
        await log.flush()
    assert len(store.noted) == MAX_PER_HOUR
    log.note(AT, b"{}", reason="acknowledged", http_status=200, source_address="203.0.113.7")
    await log.flush()
    assert [delivery.reason for delivery in store.noted[MAX_PER_HOUR:]] == ["acknowledged"]
    clock.now += HOUR_SECONDS
    note(log)
    assert await log.flush() == 1


async def test_a_body_is_cut_and_made_storable() -> None:
    store = MemoryStore()
    log = RefusedLog(store)
    note(log, b'{"eventType":"PAYMENT_STATUS_CHANGED"}')
    note(log, b"\xff\x00" + b"x" * MAX_BODY_BYTES)
    await log.flush()
    typed, cut = store.noted
    assert (typed.event_type, typed.body) == ("PAYMENT_STATUS_CHANGED", '{"eventType":"PAYMENT_STATUS_CHANGED"}')
    assert (cut.event_type, len(cut.body)) == (None, MAX_BODY_BYTES)
    assert cut.body.startswith("\ufffd\ufffdx")
    json.dumps([delivery.to_record() for delivery in store.noted])


async def test_what_the_store_does_not_take_waits_within_a_bound() -> None:
    store, clock = MemoryStore(), Clock()
    log = RefusedLog(store, clock)
    store.trouble = StoreUnavailable("away")
    for _ in range(2 * MAX_WAITING):
        clock.now += 1.0
        note(log)
    with pytest.raises(StoreUnavailable):
        await log.flush()
    store.trouble = None
    assert await log.flush() == MAX_WAITING


async def test_the_loop_writes_what_is_left_when_it_is_stopped() -> None:
    store = MemoryStore()
    log = RefusedLog(store)
    running = asyncio.create_task(log.run())
    await asyncio.sleep(0)
    note(log)
    log.stop()
    await running
    assert len(store.noted) == 1


async def test_the_endpoint_notes_what_it_refuses_and_what_it_acknowledges() -> None:
    service = Service()
    raw = raw_body({"eventType": "X"})
    await service.send(raw)
    await service.send(raw, signed_headers(raw, "wrong"))
    await service.send(b"[]", signed_headers(b"[]"))
    await service.send(raw, signed_headers(raw))  # signed: an event, not a note
    await service.refused.flush()
    assert [(delivery.event_type, delivery.reason, delivery.http_status) for delivery in service.store.noted] == [
        ("X", "missing_signature", 401),
        ("X", "invalid_signature", 401),
        (None, "not_an_object", 400),
    ]
    assert {delivery.source_address for delivery in service.store.noted} == {"127.0.0.1"}
    asking = Service(toss=SilentToss())
    await asking.send(raw)
    await asking.refused.flush()
    assert [(delivery.reason, delivery.http_status) for delivery in asking.store.noted] == [("acknowledged", 200)]
