"""What peers share: starting HTTP servers, and npm packages."""

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx

from benchmarks.measure import Running
from benchmarks.stack import Stack
from benchmarks.workload import Sending
from scripts.local_stack import LOOPBACK, ROOT, Child, free_port, install

READY_SECONDS = 30.0
QUIET = {"PATH": os.environ.get("PATH", os.defpath)}
"""A peer's environment: none of this shell's settings."""


class Peer(Protocol):
    """Something that receives deliveries."""

    @property
    def name(self) -> str:
        """Its row in the table."""

    def start(self, stack: Stack, sendings: Sequence[Sending]) -> AbstractContextManager[Running]:
        """Runs it, ready to be driven with these deliveries."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running HTTP server of a peer."""

    child: Child
    port: int
    ready_seconds: float

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return LOOPBACK, self.port

    @property
    def url(self) -> str:
        """Its address as a URL, without a slash at the end."""
        return f"http://{LOOPBACK}:{self.port}"


@contextmanager
def servers(
    commands: Sequence[Sequence[str | Path]], environment: Mapping[str, str], stack: Stack, ready_path: str, name: str
) -> Iterator[list[Server]]:
    """Runs one HTTP server for each command, with PORT in its environment, for the length of a block."""
    with ExitStack() as running:
        started = []
        for number, command in enumerate(commands):
            port = free_port()
            began = time.perf_counter()
            child = Child(
                name,
                command,
                cwd=ROOT,
                env={**QUIET, "HOST": LOOPBACK, "PORT": str(port), **environment},
                log=stack.folder / f"{name.replace(' ', '-').replace('/', '-')}-{number}.log",
            )
            running.callback(child.stop)
            child.wait_until(lambda port=port: _answers(port, ready_path), READY_SECONDS)  # type: ignore[misc]
            started.append(Server(child, port, round(time.perf_counter() - began, 2)))
        yield started


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module."""
    return [sys.executable, "-m", module, *arguments]


def _answers(port: int, path: str) -> bool:
    try:
        return httpx.get(f"http://{LOOPBACK}:{port}{path}", trust_env=False, timeout=5.0).is_success
    except httpx.TransportError:
        return False


def install_peers() -> Path:
    """The node_modules with deno, supabase-js and stripe-sync-engine, installed on first use. May raise StackError."""
    return install(progress=print, source=Path(__file__).parent, name="bench-npm")
