"""Child processes that never outlive the process that started them.

Each child leads a session of its own, so Ctrl-C in a terminal reaches only its parent, and is ended by its id. A small
helper (`reaper.py`) ends the children of a parent that had no time to do it: exception, SIGTERM, SIGKILL.
"""

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

PATIENCE_SECONDS = 12.0
"""Time between the polite signal and SIGKILL: longer than the service takes to answer what is in flight (10 s)."""

POLL_SECONDS = 0.05
TAIL_LINES = 20

# The child announces itself on the reaper's pipe (its standard input) before it becomes the program: there is no
# moment in which it runs and nobody knows it.
_ANNOUNCE = 'echo "+$$ $1" >&0; shift; exec "$@" </dev/null'


class StackError(Exception):
    """A part of the local stack could not be prepared, started or kept running; the message is for a person."""


class _Reaper:
    """The helper of this process, started with its first child."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        read_end, self.write_end = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("reaper.py"))],
            stdin=read_end,
            start_new_session=True,
        )
        os.close(read_end)
        atexit.register(self._close)

    def forget(self, process_id: int) -> None:
        with contextlib.suppress(OSError):
            os.write(self.write_end, f"-{process_id}\n".encode())

    def _close(self) -> None:
        if os.getpid() == self.owner:
            os.close(self.write_end)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(PATIENCE_SECONDS)


_lock = threading.Lock()
_reapers: list[_Reaper] = []


def _reaper() -> _Reaper:
    with _lock:
        if not _reapers or _reapers[-1].owner != os.getpid():
            _reapers.append(_Reaper())
        return _reapers[-1]


class Child:
    """One running program.

    `log` is the file its output goes to (made readable for its owner only); None lets it write to our own output.
    `keep_open` are file descriptors it inherits. `user` runs it as another user (name; needs root).
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        log: Path | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        keep_open: Iterable[int] = (),
        user: str | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._stop_signal = stop_signal
        self._reaper = _reaper()
        with _log_file(log) as output:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _ANNOUNCE, name, str(int(stop_signal)), *map(str, command)],
                stdin=self._reaper.write_end,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                cwd=cwd,
                env=env,
                pass_fds=tuple(keep_open),
                start_new_session=True,
                user=user,
                extra_groups=[] if user else None,
            )
        atexit.register(self.stop)

    @property
    def pid(self) -> int:
        """Process id, which is also the id of its session and group."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """Exit code (negative: the signal that ended it), or None while it runs."""
        return self._process.poll()

    def wait(self, timeout_seconds: float) -> int:
        """Wait for its end and return the exit code; StackError when it takes longer."""
        try:
            return self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            raise StackError(f"{self.name} did not end within {timeout_seconds:.0f} s{self.tail()}") from None

    def finish(self, timeout_seconds: float, problem: str) -> None:
        """Wait for a program that ends by itself, and end it if it does not; StackError unless its exit code is 0."""
        try:
            code = self.wait(timeout_seconds)
        finally:
            self.stop()
        if code != 0:
            raise StackError(f"{problem}{self.tail()}")

    def stop(self) -> None:
        """End it politely, then with SIGKILL after PATIENCE_SECONDS; its own children end with it. Safe to repeat."""
        self._signal(self._stop_signal)
        try:
            self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
        self._finish()

    def kill(self) -> None:
        """End it at once with SIGKILL, as a crash would. Safe to repeat."""
        self._signal(signal.SIGKILL)
        self._finish()

    def wait_until(self, ready: Callable[[], bool], timeout_seconds: float) -> None:
        """Poll until `ready()`; StackError with the log's tail when the child ends or the time is over."""
        deadline = time.monotonic() + timeout_seconds
        while not ready():
            code = self.exit_code()
            if code is not None:
                raise StackError(f"{self.name} ended with {describe(code)} before it was ready{self.tail()}")
            if time.monotonic() > deadline:
                raise StackError(f"{self.name} was not ready within {timeout_seconds:.0f} s{self.tail()}")
            time.sleep(POLL_SECONDS)

    def tail(self) -> str:
        """The end of its log as lines to append to a message; empty when there is none."""
        if self.log is None or not self.log.exists():
            return ""
        lines = self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        return "".join(f"\n    {line}" for line in [f"last lines of {self.log}:", *lines])

    def _signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def _finish(self) -> None:
        self._process.wait(PATIENCE_SECONDS)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)  # whatever it started and did not end itself
        self._reaper.forget(self.pid)
        atexit.unregister(self.stop)


def describe(exit_code: int) -> str:
    """An exit code in words, for example "exit code 1" or "signal SIGKILL"."""
    return f"exit code {exit_code}" if exit_code >= 0 else f"signal {signal.Signals(-exit_code).name}"


def _log_file(log: Path | None) -> contextlib.AbstractContextManager[IO[bytes] | None]:
    if log is None:
        return contextlib.nullcontext()
    log.parent.mkdir(parents=True, exist_ok=True)
    return os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
