"""Time limits of equal length for many tasks, with one timer of the event loop; asyncio.timeout() takes one each."""

import asyncio
from types import TracebackType
from typing import Self


class Deadlines:
    """Limits of `seconds` each, so the one that began first ends first."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._open: dict[Deadline, None] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self) -> "Deadline":
        """A limit for what the current task does in a `with` block, which raises TimeoutError when it is over."""
        loop = asyncio.get_running_loop()
        deadline = Deadline(self._open, loop.time() + self._seconds)
        if self._loop is not loop:
            self._loop = loop
            loop.call_at(deadline.ends_at, self._end_those_over, loop)
        return deadline

    def _end_those_over(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for deadline in list(self._open):
            if deadline.ends_at > now:
                loop.call_at(deadline.ends_at, self._end_those_over, loop)
                return
            deadline.end()
        self._loop = None


class Deadline:
    """One of them. As asyncio.timeout(): it cancels the task, and turns that, and only that, into a TimeoutError."""

    __slots__ = ("_cancelling", "_is_over", "_open", "_task", "ends_at")

    def __init__(self, those_open: dict["Deadline", None], ends_at: float) -> None:
        self._open = those_open
        self.ends_at = ends_at
        self._is_over = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can have a deadline")
        self._task = task
        self._cancelling = task.cancelling()
        self._open[self] = None
        return self

    def end(self) -> None:
        """The time is over."""
        del self._open[self]
        self._is_over = True
        self._task.cancel()

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if not self._is_over:
            del self._open[self]
        elif self._task.uncancel() <= self._cancelling and isinstance(error, asyncio.CancelledError):
            raise TimeoutError from error
