"""Writes log lines to a stream that may be slow: a full pipe must never delay an answer to Toss."""

import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

MAX_WAITING_LINES = 20_000
"""About 10 MB; further lines are dropped and counted, and the count is logged once the reader catches up."""

GATHER_SECONDS = 0.02
"""Between two writes, so that a busy second has fifty writes, not thousands."""


class LogWriter:
    """A stream for logs. Writes immediately, or in a thread inside `in_background`."""

    def __init__(self) -> None:
        self.stream: TextIO = sys.stdout
        self._waiting: deque[str] = deque()
        self._missed = 0
        self._is_synchronous = True
        self._woken = threading.Event()
        self._stopping = threading.Event()

    def write(self, text: str) -> None:
        """Takes whole lines. Never blocks in the background: lines beyond MAX_WAITING_LINES are dropped and counted."""
        if self._is_synchronous:
            self.stream.write(text)
        elif len(self._waiting) < MAX_WAITING_LINES:
            self._waiting.append(text)
            if not self._woken.is_set():
                self._woken.set()
        else:
            self._missed += 1

    def flush(self) -> None:
        """Flushes what was written immediately; the thread flushes by itself."""
        if self._is_synchronous:
            self.stream.flush()

    @contextmanager
    def in_background(self) -> Iterator[None]:
        """Writes in a thread until the end of the block, then writes all that is left."""
        self._stopping.clear()
        writer = threading.Thread(target=self._write_on, name="log", daemon=True)
        writer.start()
        self._is_synchronous = False
        try:
            yield
        finally:
            self._is_synchronous = True
            self._stopping.set()
            self._woken.set()
            writer.join()

    def _write_on(self) -> None:
        while not self._stopping.is_set():
            self._woken.wait()
            self._woken.clear()
            self._write_waiting()
            self._stopping.wait(GATHER_SECONDS)
        self._write_waiting()

    def _write_waiting(self) -> None:
        lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if self._missed:
            lines.append(
                f'{{"event":"log lines were lost: the reader is too slow","lines":{self._missed},"level":"error"}}\n'
            )
            self._missed = 0
        if lines:
            try:
                self.stream.write("".join(lines))
                self.stream.flush()
            except (OSError, ValueError):
                self._missed += len(lines)  # The reader is gone; the service goes on.
