"""Work that would hold up every other answer: done in a thread beside the event loop, a bounded amount at a time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from supatoss.errors import TooBusy

LARGE_BYTES = 16 * 1024
"""A body up to here is read in 3 ms at worst, which a thread would hardly make shorter; Toss's are a quarter of it."""

MAX_WAITING = 16
"""Large bodies at once. At worst one of 64 KiB takes 12 ms, so the last of them waits a fifth of a second."""

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class OffLoop:
    """One thread, and what waits for it."""

    def __init__(self, name: str, max_waiting: int = MAX_WAITING) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._max_waiting = max_waiting
        self._waiting = 0

    async def run(
        self, size: int, work: Callable[Parameters, Result], *arguments: Parameters.args, **options: Parameters.kwargs
    ) -> Result:
        """The result of the work on a body of this size; small ones are done at once. Raises TooBusy."""
        if size <= LARGE_BYTES:
            return work(*arguments, **options)
        if self._waiting >= self._max_waiting:
            raise TooBusy("too many large bodies are waiting to be read")
        self._waiting += 1
        # It is in hand until the thread is through with it, also where the delivery has been answered before.
        future = self._thread.submit(work, *arguments, **options)
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._done))
        return await asyncio.wrap_future(future)

    def _done(self) -> None:
        self._waiting -= 1
