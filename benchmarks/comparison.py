"""Which peers a run compares, and how: interleaved, so that other load on the machine affects all peers alike."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.measure import Load, Measurement, measure
from benchmarks.peers.bare import Bare
from benchmarks.peers.base import Peer
from benchmarks.peers.literal import Literal, Runtime
from benchmarks.peers.pgbench import PgBench, Statement
from benchmarks.peers.rpc import BareCalls
from benchmarks.peers.stripe import StripeSync
from benchmarks.peers.supatoss import Supatoss
from benchmarks.stack import Backend, Stack
from benchmarks.workload import Sending

FIRST_ALONE = 20
"""Lite answers 500 (tuple concurrently updated) to concurrent first calls."""

WARM_UP_CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class Plan:
    """A run. In each round, each peer is started, warmed up, and driven at each number of connections."""

    peers: Sequence[Peer]
    connections: Sequence[int]
    rounds: int
    seconds: float
    warm_up_seconds: float
    deliveries: int


@dataclass(frozen=True, slots=True)
class Cell:
    """One measurement of a run."""

    peer: str
    round: int
    measurement: Measurement

    @property
    def connections(self) -> int:
        """The connections of its load."""
        return self.measurement.load.connections


def run(plan: Plan, stack: Stack, sendings: Sequence[Sending], log: Callable[[str], None]) -> Iterator[Cell]:
    """Measures one cell after the other."""
    for number in range(1, plan.rounds + 1):
        for peer in plan.peers:
            started = time.monotonic()
            with peer.start(stack, sendings) as running:
                running.reset()
                running.drive(Load(1, plan.warm_up_seconds, FIRST_ALONE))
                running.drive(Load(WARM_UP_CONNECTIONS, plan.warm_up_seconds))
                for connections in plan.connections:
                    measurement = measure(running, Load(connections, plan.seconds))
                    log(_line(number, peer.name, measurement))
                    yield Cell(peer.name, number, measurement)
            log(f"  {peer.name}: {time.monotonic() - started:.0f} s")


def _line(number: int, name: str, measurement: Measurement) -> str:
    report = measurement.report
    cores = " ".join(f"{group} {used:.2f}" for group, used in measurement.cores.items())
    line = (
        f"round {number}, {name}, {measurement.load.connections} connections: {report.rate:,.0f}/s,"
        f" p50 {report.p50_ms:.1f} ms, p99 {report.p99_ms:.1f} ms; cores {cores}"
    )
    return "\n".join([line, *(f"  WRONG: {problem}" for problem in measurement.problems)])


_QUICK_PEERS: Sequence[Peer] = (
    Supatoss(),
    Supatoss(is_coalescing=False),
    Literal(Runtime.DENO),
    StripeSync(),
    BareCalls(is_through_client=False),
)
_FULL_PEERS: Sequence[Peer] = (
    Supatoss(),
    Supatoss(processes=2),
    Supatoss(processes=4),
    Supatoss(is_coalescing=False),
    Literal(Runtime.DENO),
    Literal(Runtime.PYTHON),
    StripeSync(),
    BareCalls(is_through_client=True),
    BareCalls(is_through_client=False),
    Bare(),
    PgBench(Statement.RECORDING),
    PgBench(Statement.MINIMAL),
    Supatoss(Backend.PGLITE),
    Literal(Runtime.DENO, Backend.PGLITE),
)
PLANS = {
    "quick": Plan(_QUICK_PEERS, (1, 64), rounds=1, seconds=3.0, warm_up_seconds=3.0, deliveries=15_000),
    "full": Plan(_FULL_PEERS, (1, 8, 64, 256), rounds=3, seconds=5.0, warm_up_seconds=5.0, deliveries=40_000),
}


def reference(peer: str) -> str:
    """The peer to compare with: the guide's function in Deno on the same backend."""
    backend = Backend.PGLITE if f"({Backend.PGLITE})" in peer else Backend.POSTGRES
    return Literal(Runtime.DENO, backend).name
