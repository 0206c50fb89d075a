"""The merchant guide's webhook function, literally: verify, insert the event, look up the payment, upsert it.

It makes three Data API calls for each event, on the guide's own tables: in Python with the same client as supatoss, and
as an edge function for Deno with supabase-js.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from benchmarks.latency import Report
from benchmarks.measure import Driven, Running
from benchmarks.peers.base import install_peers, python, servers
from benchmarks.requests import toss_request, write_requests
from benchmarks.rows import Rows
from benchmarks.stack import SUPABASE_KEY, Backend, Schema, Stack
from benchmarks.workload import SECRET_KEY, Sending


class Runtime(StrEnum):
    """What runs the guide's function."""

    PYTHON = "Python"
    DENO = "Deno"


@dataclass(frozen=True, slots=True)
class Literal:
    """The guide's function."""

    runtime: Runtime
    backend: Backend = Backend.POSTGRES

    @property
    def name(self) -> str:
        """Its row in the table."""
        return f"the guide's function, {self.runtime} ({self.backend})"

    @contextmanager
    def start(self, stack: Stack, sendings: Sequence[Sending]) -> Iterator[Running]:
        """Runs it, ready to be driven with these deliveries."""
        project = stack.project(self.backend, Schema.GUIDE)
        requests = stack.folder / "literal.requests"
        write_requests(requests, map(toss_request, sendings))
        command = (
            python("benchmarks.peers.literal_app") if self.runtime is Runtime.PYTHON else deno_command("webhook.ts")
        )
        environment: Mapping[str, str] = {
            "SUPABASE_URL": project.url,
            "SUPABASE_SECRET_KEY": SUPABASE_KEY,
            "TOSS_SECRET_KEY": SECRET_KEY,
            "DENO_DIR": str(stack.folder / "deno"),
            "DENO_NO_UPDATE_CHECK": "1",
        }
        with servers([command], environment, stack, "/healthz", self.name) as (server,):
            yield Driven(
                [server.address],
                requests,
                {
                    "service": [server.child.pid],
                    "api": project.processes,
                    "postgres": stack.postgres_processes if self.backend is Backend.POSTGRES else [],
                },
                on_reset=lambda: project.rows.execute("truncate public.webhook_events, public.payments"),
                on_verify=lambda report: verify_counts(project.rows, sendings[: report.sent], report),
            )


def verify_counts(rows: Rows, sendings: Sequence[Sending], report: Report) -> list[str]:
    """Checks only what the function promises: a row for each acknowledged delivery, a payment for each event."""
    (found,) = rows.query(
        "select (select count(*) from public.webhook_events) as events,"
        " (select count(*) from public.payments where payment_status = 'DONE') as payments"
    )
    distinct = len({sending.body for sending in sendings})
    problems = []
    if not report.acknowledged <= found["events"] <= report.sent:
        problems.append(f"{found['events']} events are stored, {report.acknowledged} were acknowledged")
    if report.acknowledged == report.sent and found["payments"] != distinct:
        problems.append(f"{found['payments']} payments are stored, {distinct} were sent")
    return problems


def deno_command(name: str) -> list[str | Path]:
    """The command that runs one of the functions for Deno beside this file."""
    modules = install_peers()
    # Deno finds packages in the node_modules beside the program.
    program = modules.parent / name
    shutil.copyfile(Path(__file__).with_name(name), program)
    (deno,) = modules.glob("@deno/*/deno")
    options = ["--no-config", "--no-lock", "--no-remote", "--node-modules-dir=manual"]
    return [deno, "run", *options, "--allow-env", "--allow-net=127.0.0.1", program]
