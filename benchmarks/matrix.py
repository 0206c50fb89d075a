"""Peers × connections × rounds: interleaved, so that what the machine does meanwhile falls on all of them."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.measure import Load, Measurement, measure
from benchmarks.peers.base import Peer
from benchmarks.stack import Stack
from benchmarks.workload import Sending

FIRST_ALONE = 20
"""Lite answers 500 (tuple concurrently updated) when its first calls come together."""

WARM_UP_CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run consists of. Once a round, each peer is started, warmed up, driven at each number of connections."""

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
        """Of its load."""
        return self.measurement.load.connections


def run(plan: Plan, stack: Stack, sendings: Sequence[Sending], tell: Callable[[str], None]) -> Iterator[Cell]:
    """Measures, one cell after the other."""
    for number in range(1, plan.rounds + 1):
        for peer in plan.peers:
            started = time.monotonic()
            with peer.start(stack, sendings) as running:
                running.reset()
                running.drive(Load(1, plan.warm_up_seconds, FIRST_ALONE))
                running.drive(Load(WARM_UP_CONNECTIONS, plan.warm_up_seconds))
                for connections in plan.connections:
                    measurement = measure(running, Load(connections, plan.seconds))
                    tell(_line(number, peer.name, measurement))
                    yield Cell(peer.name, number, measurement)
            tell(f"  {peer.name}: {time.monotonic() - started:.0f} s")


def _line(number: int, name: str, measurement: Measurement) -> str:
    report = measurement.report
    cores = " ".join(f"{group} {used:.2f}" for group, used in measurement.cores.items())
    line = (
        f"round {number}, {name}, {measurement.load.connections} connections: {report.rate:,.0f}/s,"
        f" p50 {report.p50_ms:.1f} ms, p99 {report.p99_ms:.1f} ms; cores {cores}"
    )
    return "\n".join([line, *(f"  WRONG: {problem}" for problem in measurement.problems)])
