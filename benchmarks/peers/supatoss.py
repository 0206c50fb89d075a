"""supatoss itself, as `supatoss serve`, in one or several processes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.measure import Driven
from benchmarks.oracle import verify
from benchmarks.peers.base import python, servers
from benchmarks.requests import toss_request, write_requests
from benchmarks.stack import SUPABASE_KEY, Backend, Project, Stack
from benchmarks.workload import SECRET_KEY, Sending
from scripts.local_stack import LOOPBACK, free_port


def settings(project_url: str) -> Mapping[str, str]:
    """The service's settings: like production, except the addresses. Nothing listens at Toss's."""
    return {
        "SUPABASE_URL": project_url,
        "SUPABASE_SECRET_KEY": SUPABASE_KEY,
        "TOSS_SECRET_KEY": SECRET_KEY,
        "SIGNATURE_MAX_AGE_HOURS": "1000000",  # the deliveries are made once and for all
        "TOSS_API_URL": f"http://{LOOPBACK}:{free_port()}",
    }


def empty(project: Project) -> None:
    """Empties the tables that deliveries write."""
    project.rows.execute("truncate public.webhook_events, public.payments")


@dataclass(frozen=True, slots=True)
class Supatoss:
    """supatoss on a backend. Connections are distributed round-robin, as Fly's proxy does with machines."""

    backend: Backend = Backend.POSTGRES
    processes: int = 1
    is_coalescing: bool = True

    @property
    def name(self) -> str:
        """Its row in the table."""
        parts = ["supatoss"]
        if self.processes > 1:
            parts.append(f"{self.processes} processes")
        if not self.is_coalescing:
            parts.append("one event a call")
        return f"{', '.join(parts)} ({self.backend})"

    @contextmanager
    def start(self, stack: Stack, sendings: Sequence[Sending]) -> Iterator[Driven]:
        """Runs it, ready to be driven with these deliveries."""
        project = stack.project(self.backend)
        requests = stack.folder / "supatoss.requests"
        write_requests(requests, map(toss_request, sendings))
        command = python("supatoss", "serve") if self.is_coalescing else python("benchmarks.peers.uncoalesced")
        with servers([command] * self.processes, settings(project.url), stack, "/readyz", self.name) as started:
            yield Driven(
                [server.address for server in started],
                requests,
                {
                    "service": [server.child.pid for server in started],
                    "api": project.processes,
                    "postgres": stack.postgres_processes if self.backend is Backend.POSTGRES else [],
                },
                on_reset=lambda: empty(project),
                on_verify=lambda report: verify(project.rows, sendings[: report.sent], report.unacknowledged),
                ready_seconds=max(server.ready_seconds for server in started),
            )
