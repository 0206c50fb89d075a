"""The service and its worker as processes that can be killed and started again on the same port."""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from scripts.local_stack import LOOPBACK, ROOT, Child, free_port

READY_SECONDS = 30.0
SERVE = ("supatoss", "serve")
WORKER = ("supatoss", "worker")


class Program:
    """One Python process of ours, between its starts and its ends."""

    def __init__(self, name: str, arguments: tuple[str, ...], env: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self._arguments = arguments
        self._env: dict[str, str] = {"PATH": os.environ["PATH"], **env}
        self._child: Child | None = None

    @property
    def child(self) -> Child:
        assert self._child is not None, f"{self.name} is not started"
        return self._child

    def start(self) -> None:
        """Starts it; does not wait until it is ready."""
        self._child = Child(self.name, [sys.executable, *self._arguments], cwd=ROOT, env=self._env, log=self.log)

    def restart(self, **changes: str) -> None:
        """Stops it, and starts it again with other settings; does not wait until it is ready."""
        self.stop()
        self._env |= changes
        self.start()

    @property
    def is_running(self) -> bool:
        return self._child is not None and self._child.exit_code() is None

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.child.pid, number)

    def kill(self) -> None:
        """As a crash would."""
        if self._child:
            self._child.kill()
            self._child = None

    def stop(self) -> None:
        if self._child:
            self._child.stop()
            self._child = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()


class Service(Program):
    """`supatoss serve`, or another program that serves."""

    def __init__(self, env: Mapping[str, str], log: Path, command: Sequence[str] = SERVE) -> None:
        self.port = free_port()
        self.url = f"http://{LOOPBACK}:{self.port}"
        super().__init__(
            f"the service on {self.port}", ("-m", *command), {"HOST": LOOPBACK, "PORT": str(self.port), **env}, log
        )

    def wait_ready(self, path: str = "/readyz") -> None:
        """Until it can store; with /healthz, until it answers at all."""
        self.child.wait_until(lambda: _answers(f"{self.url}{path}"), READY_SECONDS)

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait_ready("/healthz")
        except BaseException:
            self.stop()
            raise
        return self


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, timeout=5.0).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
