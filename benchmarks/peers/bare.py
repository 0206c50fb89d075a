"""The upper bound of one Python process: Starlette and the HMAC, without a database."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.measure import Driven, Running
from benchmarks.peers.base import python, servers
from benchmarks.requests import toss_request, write_requests
from benchmarks.stack import Stack
from benchmarks.workload import SECRET_KEY, Sending


@dataclass(frozen=True, slots=True)
class Bare:
    """Verifies, but stores nothing."""

    name: str = "bare Starlette + HMAC, no database"

    @contextmanager
    def start(self, stack: Stack, sendings: Sequence[Sending]) -> Iterator[Running]:
        """Runs it, ready to be driven with these deliveries."""
        requests = stack.folder / "bare.requests"
        write_requests(requests, map(toss_request, sendings))
        command = python("benchmarks.peers.bare_app")
        with servers([command], {"TOSS_SECRET_KEY": SECRET_KEY}, stack, "/healthz", "bare") as (server,):
            yield Driven([server.address], requests, {"service": [server.child.pid]})
