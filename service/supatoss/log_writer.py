"""LogWriter of a log on their way to a stream that may be slow: a full pipe must never hold up an answer to Toss."""

import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

MAX_WAITING_LINES = 20_000
"""About 10 MB; what a reader that stands still for longer misses is counted, and said when it reads again."""

GATHER_SECONDS = 0.02
"""Pause between two writes, so that a busy second is fifty writes and not thousands."""


class LogWriter:
    """A stream for logs. Writes at once, or in a thread of its own inside `in_background`."""

    def __init__(self) -> None:
        self.stream: TextIO = sys.stdout
        self._waiting: deque[str] = deque()
        self._missed = 0
        self._writes_at_once = True
        self._woken = threading.Event()
        self._stopping = threading.Event()

    def write(self, text: str) -> None:
        """Takes whole lines. Never waits in the background: beyond MAX_WAITING_LINES they are dropped and counted."""
        if self._writes_at_once:
            self.stream.write(text)
        elif len(self._waiting) < MAX_WAITING_LINES:
            self._waiting.append(text)
            if not self._woken.is_set():
                self._woken.set()
        else:
            self._missed += 1

    def flush(self) -> None:
        """Hands on what was written at once; the thread does so by itself."""
        if self._writes_at_once:
            self.stream.flush()

    @contextmanager
    def in_background(self) -> Iterator[None]:
        """Until the end of the block a thread writes; then everything that waits has been written."""
        self._stopping.clear()
        writer = threading.Thread(target=self._write_on, name="log", daemon=True)
        writer.start()
        self._writes_at_once = False
        try:
            yield
        finally:
            self._writes_at_once = True
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
                self._missed += len(lines)  # The reader is gone; the service is not.
