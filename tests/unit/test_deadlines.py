"""One timer for many limits: each ends its own task, and nothing else."""

import asyncio

import pytest

from supatoss.deadlines import Deadlines

pytestmark = pytest.mark.anyio


async def hang(deadlines: Deadlines) -> None:
    with deadlines.begin():
        await asyncio.Event().wait()


async def test_what_takes_too_long_ends_with_a_time_out() -> None:
    with pytest.raises(TimeoutError):
        await hang(Deadlines(0.01))


async def test_what_is_in_time_is_left_alone_however_many_end_before_it() -> None:
    deadlines = Deadlines(0.02)
    late = [asyncio.create_task(hang(deadlines)) for _ in range(3)]
    for _ in range(3):
        with deadlines.begin():
            await asyncio.sleep(0)
    ended = await asyncio.gather(*late, return_exceptions=True)
    assert [type(error) for error in ended] == [TimeoutError] * 3
    with deadlines.begin():
        await asyncio.sleep(0)


async def test_each_has_its_own_time() -> None:
    deadlines = Deadlines(0.05)
    ended: list[str] = []

    async def note(name: str) -> None:
        with pytest.raises(TimeoutError):
            await hang(deadlines)
        ended.append(name)

    first = asyncio.create_task(note("first"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.03):
            await first
    assert first.cancelled()
    second = asyncio.create_task(note("second"))
    await second
    assert ended == ["second"]


async def test_a_cancellation_by_somebody_else_stays_one() -> None:
    task = asyncio.create_task(hang(Deadlines(60)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_at_the_same_moment_stays_one() -> None:
    deadlines = Deadlines(60)
    task = asyncio.create_task(hang(deadlines))
    await asyncio.sleep(0)
    (deadline,) = deadlines._open
    deadline.end()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_another_error_passes_through() -> None:
    with pytest.raises(KeyError), Deadlines(60).begin():
        raise KeyError


def test_one_that_was_used_in_another_event_loop_works_on() -> None:
    deadlines = Deadlines(0.01)

    async def be_in_time() -> None:
        with deadlines.begin():
            await asyncio.sleep(0)

    asyncio.run(be_in_time())
    with pytest.raises(TimeoutError):
        asyncio.run(hang(deadlines))


def test_only_a_task_has_one() -> None:
    loop = asyncio.new_event_loop()
    caught: list[Exception] = []

    def begin() -> None:
        try:
            with Deadlines(60).begin():
                pass
        except RuntimeError as error:
            caught.append(error)
        loop.stop()

    loop.call_soon(begin)
    loop.run_forever()
    loop.close()
    assert [str(error) for error in caught] == ["only a task can have a deadline"]
