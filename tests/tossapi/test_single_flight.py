"""Callers that ask the same at the same time. Written steps, no waiting."""

import asyncio
import gc
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from supatoss.toss.ratelimit import SingleFlight

pytestmark = pytest.mark.anyio


class Work:
    """Counts how often it was begun; ends when told to."""

    def __init__(self) -> None:
        self.begun = 0
        self.cancelled = 0
        self.result: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def __call__(self) -> str:
        self.begun += 1
        try:
            return await asyncio.shield(self.result)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def joined(
    flights: SingleFlight[str], work: Callable[[], Coroutine[Any, Any, str]], key: str = "same", seconds: float = 3
) -> asyncio.Task[str]:
    return asyncio.create_task(flights.join(key, work, seconds))


async def test_work_under_one_key_is_done_once_and_under_two_keys_twice() -> None:
    flights, work = SingleFlight[str](), Work()
    callers = [joined(flights, work) for _ in range(20)] + [joined(flights, work, "other")]
    await settle()
    work.result.set_result("answer")
    assert await asyncio.gather(*callers) == ["answer"] * 21
    assert work.begun == 2


async def test_work_that_has_ended_is_done_anew() -> None:
    flights, work = SingleFlight[str](), Work()
    work.result.set_result("answer")
    await flights.join("same", work, 3)
    await flights.join("same", work, 3)
    assert work.begun == 2


@pytest.mark.parametrize("gone", [[0], [1], [0, 1], [2]])
async def test_a_caller_that_goes_away_leaves_the_others_their_work(gone: list[int]) -> None:
    flights, work = SingleFlight[str](), Work()
    callers = [joined(flights, work) for _ in range(3)]
    await settle()
    for number in gone:
        callers[number].cancel()
    await settle()
    work.result.set_result("answer")
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert [isinstance(result, asyncio.CancelledError) for result in results] == [n in gone for n in range(3)]
    assert (work.begun, work.cancelled) == (1, 0)


async def test_the_last_caller_to_go_ends_the_work_and_the_next_begins_anew() -> None:
    flights, work = SingleFlight[str](), Work()
    callers = [joined(flights, work) for _ in range(2)]
    await settle()
    for caller in callers:
        caller.cancel()
    later = joined(flights, work)  # before the cancelled work has ended
    await settle()
    assert (work.begun, work.cancelled) == (2, 1)
    work.result.set_result("answer")
    assert await later == "answer"


async def test_an_error_reaches_every_caller() -> None:
    flights, work = SingleFlight[str](), Work()
    callers = [joined(flights, work) for _ in range(3)]
    await settle()
    work.result.set_exception(LookupError("gone"))
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(result) for result in results] == [LookupError] * 3


async def test_a_caller_waits_no_longer_than_it_said_for_work_of_another() -> None:
    flights, work = SingleFlight[str](), Work()
    first = joined(flights, work, seconds=1)
    await settle()
    with pytest.raises(TimeoutError):
        await flights.join("same", work, 3)
    work.result.set_result("answer")
    assert await first == "answer"


async def test_an_error_that_nobody_waits_for_any_more_is_quiet(caplog: pytest.LogCaptureFixture) -> None:
    flights, begun = SingleFlight[str](), asyncio.Event()

    async def fail_when_ended() -> str:
        begun.set()
        try:
            return await asyncio.Future[str]()
        except asyncio.CancelledError:
            raise LookupError("gone") from None

    caller = joined(flights, fail_when_ended)
    await begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await settle()
    with caplog.at_level(logging.ERROR):
        gc.collect()
    assert caplog.records == []
    assert not flights._tasks
    assert not flights._waiting
