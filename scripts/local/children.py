"""Child processes that never outlive the process that started them, and the ports they listen on.

Each child leads its own session, so Ctrl-C in a terminal reaches only the parent, which then ends the child by its id.
A small helper (`reaper.py`) ends the children of a parent that could not, even after SIGKILL.
"""

import atexit
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

LOOPBACK = "127.0.0.1"

GRACE_SECONDS = 12.0
"""Between the first signal and SIGKILL: longer than the service needs to finish requests in flight (10 s)."""

POLL_SECONDS = 0.05
TAIL_LINES = 20

# The child announces itself on the reaper's pipe (its standard input) before it executes the program, so it never runs
# unknown to the reaper.
_ANNOUNCE = 'echo "+$$ $1" >&0; shift; exec "$@" </dev/null'


class StackError(Exception):
    """A part of the local stack could not be prepared, started or kept running; the message says why."""


class _Reaper:
    """This process's helper, started with its first child."""

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
                self._process.wait(GRACE_SECONDS)


_lock = threading.Lock()
_reapers: list[_Reaper] = []


def _reaper() -> _Reaper:
    with _lock:
        if not _reapers or _reapers[-1].owner != os.getpid():
            _reapers.append(_Reaper())
        return _reapers[-1]


class Child:
    """One running program.

    `log` is the file for its output (readable by the owner only); None writes to our own output.
    `keep_open` are file descriptors it inherits. `user` is the name of another user to run as (needs root).
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
        """Exit code (negative: the signal that killed it), or None while it runs."""
        return self._process.poll()

    def wait(self, timeout_seconds: float) -> int:
        """Wait for it to end and return the exit code. StackError after the time-out."""
        try:
            return self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            raise StackError(f"{self.name} did not end within {timeout_seconds:.0f} s{self.tail()}") from None

    def finish(self, timeout_seconds: float, problem: str) -> None:
        """Wait for a program that ends by itself, and stop it if it does not. StackError unless its exit code is 0."""
        try:
            code = self.wait(timeout_seconds)
        finally:
            self.stop()
        if code != 0:
            raise StackError(f"{problem}{self.tail()}")

    def stop(self) -> None:
        """Stop it, with SIGKILL after GRACE_SECONDS; its own children end with it. Safe to repeat."""
        self._signal(self._stop_signal)
        try:
            self._process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
        self._finish()

    def kill(self) -> None:
        """Kill it with SIGKILL, like a crash. Safe to repeat."""
        self._signal(signal.SIGKILL)
        self._finish()

    def wait_until(self, ready: Callable[[], bool], timeout_seconds: float) -> None:
        """Poll until `ready()`. StackError with the log's tail if the child ends or the time runs out."""
        deadline = time.monotonic() + timeout_seconds
        while not ready():
            code = self.exit_code()
            if code is not None:
                raise StackError(f"{self.name} ended with {describe(code)} before it was ready{self.tail()}")
            if time.monotonic() > deadline:
                raise StackError(f"{self.name} was not ready within {timeout_seconds:.0f} s{self.tail()}")
            time.sleep(POLL_SECONDS)

    def tail(self) -> str:
        """The last lines of its log, to append to a message; empty without a log."""
        if self.log is None or not self.log.exists():
            return ""
        lines = self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        return "".join(f"\n    {line}" for line in [f"last lines of {self.log}:", *lines])

    def _signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def _finish(self) -> None:
        self._process.wait(GRACE_SECONDS)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)  # whatever it started and left running
        self._reaper.forget(self.pid)
        atexit.unregister(self.stop)


def free_port() -> int:
    """A port that is free now. Use it at once: another program may take it."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def is_taken(port: int) -> bool:
    """Whether a program on this machine uses the port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        if probe.connect_ex((LOOPBACK, port)) == 0:
            return True
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
    return False


def describe(exit_code: int) -> str:
    """An exit code in words, for example "exit code 1" or "signal SIGKILL"."""
    return f"exit code {exit_code}" if exit_code >= 0 else f"signal {signal.Signals(-exit_code).name}"


def _log_file(log: Path | None) -> contextlib.AbstractContextManager[IO[bytes] | None]:
    if log is None:
        return contextlib.nullcontext()
    log.parent.mkdir(parents=True, exist_ok=True)
    return os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
