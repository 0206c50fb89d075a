"""Large bodies are read in a thread, a bounded number of them at a time."""

import asyncio
import threading

import pytest

from supatoss.errors import TooBusy
from supatoss.off_loop import LARGE_BYTES, OffLoop

pytestmark = pytest.mark.anyio


async def test_a_large_body_is_read_in_a_thread_and_a_small_one_at_once() -> None:
    off_loop = OffLoop("reader")
    here = threading.current_thread().name
    assert await off_loop.run(LARGE_BYTES, lambda: threading.current_thread().name) == here
    assert (await off_loop.run(LARGE_BYTES + 1, lambda: threading.current_thread().name)).startswith("reader")


async def test_an_error_is_the_callers() -> None:
    with pytest.raises(ZeroDivisionError):
        await OffLoop("reader").run(LARGE_BYTES + 1, lambda: 1 // 0)


async def test_one_too_many_is_busy_also_after_the_others_were_given_up() -> None:
    off_loop = OffLoop("reader", max_waiting=2)
    let_go = threading.Event()
    tasks = [asyncio.create_task(off_loop.run(LARGE_BYTES + 1, let_go.wait)) for _ in range(2)]
    await asyncio.sleep(0)
    tasks[0].cancel()  # its thread goes on
    await asyncio.sleep(0)
    with pytest.raises(TooBusy):
        await off_loop.run(LARGE_BYTES + 1, let_go.wait)
    assert await off_loop.run(1, lambda: "small") == "small"
    let_go.set()
    assert await tasks[1] is True
    for _ in range(3):
        await asyncio.sleep(0)
    assert await off_loop.run(LARGE_BYTES + 1, lambda: "large") == "large"
