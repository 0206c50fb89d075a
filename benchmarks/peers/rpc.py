"""One call of the Data API an event, and nothing around it: what a lone delivery cannot be cheaper than."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.measure import Driven, Running
from benchmarks.oracle import verify
from benchmarks.peers.capture import capture_calls
from benchmarks.peers.supatoss import empty
from benchmarks.requests import write_requests
from benchmarks.stack import Backend, Stack
from benchmarks.workload import Sending

MAX_CALLS = 3000
"""Capturing and driving single calls is slow, and a run needs no more."""


@dataclass(frozen=True, slots=True)
class BareCalls:
    """Calls through supabase-py, or raw over keep-alive."""

    is_through_client: bool
    backend: Backend = Backend.POSTGRES

    @property
    def name(self) -> str:
        """Its row in the table."""
        how = "supabase-py" if self.is_through_client else "raw HTTP"
        return f"bare RPC, one event a call, {how} ({self.backend})"

    @contextmanager
    def start(self, stack: Stack, sendings: Sequence[Sending]) -> Iterator[Running]:
        """Runs it, ready to be driven with the first of these deliveries."""
        project = stack.project(self.backend)
        first = sendings[:MAX_CALLS]
        requests = stack.folder / "rpc.requests"
        write_requests(requests, (call.request for call in capture_calls(stack, first)))
        yield Driven(
            [project.address],
            requests,
            {
                "api": project.processes,
                "postgres": stack.postgres_processes if self.backend is Backend.POSTGRES else [],
            },
            on_reset=lambda: empty(project),
            on_verify=lambda report: verify(project.rows, first[: report.sent], report.unacknowledged),
            program="benchmarks.peers.rpc_client" if self.is_through_client else "benchmarks.driver",
        )
