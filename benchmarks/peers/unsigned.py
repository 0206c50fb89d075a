"""Receivers of deliveries as Toss sends them: unsigned, so that the payment is looked up at Toss."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

import httpx

from benchmarks.latency import Report
from benchmarks.measure import Driven, Load
from benchmarks.orders import looked_up, shown_by_toss, store_orders, verify
from benchmarks.peers.base import Server, python, servers
from benchmarks.peers.literal import deno_command, verify_counts
from benchmarks.peers.supatoss import empty, settings
from benchmarks.peers.toss_stand_in import QUESTIONS
from benchmarks.requests import WEBHOOK_PATH, render, toss_request, write_requests
from benchmarks.rows import Rows, ServerRows
from benchmarks.stack import SUPABASE_KEY, Backend, Project, Schema, Stack
from benchmarks.workload import Sending
from supatoss.toss.addresses import PUBLISHED
from supatoss.toss.delivery import RETRIED_COUNT_HEADER, TIME_HEADER

LIVE_KEY = "live_sk_made_up_for_benchmarks_0001"
"""Toss allows a test key 100 look-ups a minute, and supatoss keeps to that; it publishes no number for live keys."""

ADDRESS_HEADER = "fly-client-ip"
_CALLS = (
    "select coalesce(sum(s.calls), 0)::int as calls from pg_stat_statements s"
    " join pg_database d on d.oid = s.dbid where d.datname like 'bench_%' and lower(s.query) = 'begin'"
)
"""Lite opens one transaction for each call of the Data API."""

COUNTING = {"shared_preload_libraries": "pg_stat_statements"}
"""Settings of a server whose calls are counted."""


class Proof(StrEnum):
    """What a delivery has for itself."""

    SIGNATURE = "signed"
    TOSS_ADDRESS = "unsigned"
    NOTHING = "unsigned, from an address that Toss doesn't publish"


_ADDRESSES = {Proof.TOSS_ADDRESS: str(PUBLISHED[0].network_address), Proof.NOTHING: "198.51.100.7"}


@dataclass
class Counted:
    """A running peer with its orders stored. After `drive`: the questions to Toss and calls of the Data API it took."""

    driven: Driven
    toss: Server
    statistics: Rows
    questions: int = field(default=0, init=False)
    calls: int = field(default=0, init=False)

    def reset(self) -> None:
        """Only the orders are left in its tables."""
        self.driven.reset()

    def drive(self, load: Load) -> Report:
        """Puts a load on it."""
        self._take_questions()
        before = self._count_calls()
        report = self.driven.drive(load)
        self.questions, self.calls = self._take_questions(), self._count_calls() - before
        return report

    def verify(self, report: Report) -> list[str]:
        """What is wrong with its tables after the load."""
        return self.driven.verify(report)

    def groups(self) -> Mapping[str, Sequence[int]]:
        """Its processes by group."""
        return self.driven.groups()

    def _take_questions(self) -> int:
        return int(httpx.get(f"{self.toss.url}{QUESTIONS}", trust_env=False).text)

    def _count_calls(self) -> int:
        (row,) = self.statistics.query(_CALLS)
        return int(row["calls"])


@dataclass(frozen=True, slots=True)
class Receiver:
    """supatoss in one process, while Toss's API answers after a time. Its protections are on, as in production."""

    proof: Proof
    toss_milliseconds: int = 0

    @property
    def name(self) -> str:
        """Its row in the table."""
        return f"supatoss, {self.proof}"

    @contextmanager
    def start(self, stack: Stack, sendings: Sequence[Sending]) -> Iterator[Counted]:
        """Runs it, ready to be driven with these deliveries."""
        project = stack.project(Backend.POSTGRES)
        shown = shown_by_toss(sendings)

        def check(report: Report) -> list[str]:
            sent = sendings[: report.sent]
            events = sent if self.proof is Proof.SIGNATURE else looked_up(sent, shown)
            return verify(project.rows, events, report.unacknowledged, len(shown))

        with _toss(stack, shown.values(), self.toss_milliseconds) as toss:
            environment = {**settings(project.url), "CLIENT_IP_HEADER": ADDRESS_HEADER}
            if self.proof is not Proof.SIGNATURE:
                environment |= {"TOSS_SECRET_KEY": LIVE_KEY, "TOSS_API_URL": toss.url}
            with servers([python("supatoss", "serve")], environment, stack, "/readyz", self.name) as (server,):
                yield _counted(stack, project, server, toss, sendings, self.proof, check)


@dataclass(frozen=True, slots=True)
class AskingGuide:
    """The guide's function in Deno, extended by a look-up at Toss."""

    toss_milliseconds: int = 0
    proof: Proof = Proof.TOSS_ADDRESS

    @property
    def name(self) -> str:
        """Its row in the table."""
        return f"the guide's function, Deno, {self.proof}"

    @contextmanager
    def start(self, stack: Stack, sendings: Sequence[Sending]) -> Iterator[Counted]:
        """Runs it, ready to be driven with these deliveries."""
        project = stack.project(Backend.POSTGRES, Schema.GUIDE)

        def check(report: Report) -> list[str]:
            return verify_counts(project.rows, sendings[: report.sent], report)

        with _toss(stack, shown_by_toss(sendings).values(), self.toss_milliseconds) as toss:
            environment = {
                "SUPABASE_URL": project.url,
                "SUPABASE_SECRET_KEY": SUPABASE_KEY,
                "TOSS_SECRET_KEY": LIVE_KEY,
                "TOSS_API_URL": toss.url,
                "DENO_DIR": str(stack.folder / "deno"),
                "DENO_NO_UPDATE_CHECK": "1",
            }
            command = deno_command("webhook_asks_toss.ts")
            with servers([command], environment, stack, "/healthz", self.name) as (server,):
                yield _counted(stack, project, server, toss, sendings, self.proof, check)


@contextmanager
def _toss(stack: Stack, events: Iterable[bytes], milliseconds: int) -> Iterator[Server]:
    payments = stack.folder / "payments.lines"
    payments.write_bytes(b"\n".join(events))
    command = python("benchmarks.peers.toss_stand_in", str(payments), "--milliseconds", str(milliseconds))
    with servers([command], {}, stack, QUESTIONS, "toss") as (server,):
        yield server


def _counted(
    stack: Stack,
    project: Project,
    server: Server,
    toss: Server,
    sendings: Sequence[Sending],
    proof: Proof,
    on_verify: Callable[[Report], list[str]],
) -> Counted:
    requests = stack.folder / "unsigned.requests"
    write_requests(requests, (_request(sending, proof) for sending in sendings))
    processes = {
        "service": [server.child.pid],
        "api": project.processes,
        "postgres": stack.postgres_processes,
        "toss": [toss.child.pid],
    }
    statistics = ServerRows(stack.postgres.dsn("postgres"))
    statistics.execute("create extension if not exists pg_stat_statements")
    payments = [json.loads(body)["data"] for body in shown_by_toss(sendings).values()]

    def reset() -> None:
        empty(project)
        store_orders(project, payments)

    driven = Driven([server.address], requests, processes, reset, on_verify)
    return Counted(driven, toss, statistics)


def _request(sending: Sending, proof: Proof) -> bytes:
    if proof is Proof.SIGNATURE:
        return toss_request(sending)
    headers = {
        TIME_HEADER: sending.transmission_time,
        RETRIED_COUNT_HEADER: str(sending.retried_count),
        ADDRESS_HEADER: _ADDRESSES[proof],
    }
    return render(WEBHOOK_PATH, sending.body, headers)
