"""Loads on tables that keep their rows: every measurement uses new orders."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from benchmarks.latency import Report
from benchmarks.measure import Load, Measurement, measure
from benchmarks.oracle import verify
from benchmarks.peers.supatoss import Supatoss
from benchmarks.stack import Backend, Stack
from benchmarks.workload import OrderMix, orders_of, plan

WARM_UP_DELIVERIES = 3000
WARM_UP_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Steady:
    """supatoss under one load with a share of duplicates and some cancelled orders."""

    processes: int
    duplicate_share: float
    load: Load

    @property
    def name(self) -> str:
        """Its row in a table."""
        how = f"open loop at {self.load.rate:,.0f}/s" if self.load.rate else f"{self.load.connections} connections"
        processes = f"{self.processes} process{'es' if self.processes > 1 else ''}"
        return f"{processes}, {self.duplicate_share:.0%} duplicates, {how}"


@dataclass
class SteadyRun:
    """Measures loads one after the other without emptying the tables."""

    stack: Stack
    backend: Backend = Backend.POSTGRES
    _seeds: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def measure(self, steady: Steady) -> tuple[Measurement, float]:
        """The measurement, and the seconds until the slowest process was ready."""
        seed = next(self._seeds)
        load = steady.load
        sendings = plan(WARM_UP_DELIVERIES + load.count, steady.duplicate_share, OrderMix.MIXED, seed)
        rows = self.stack.project(self.backend).rows
        with Supatoss(self.backend, steady.processes).start(self.stack, sendings) as running:
            running.drive(Load(1, WARM_UP_SECONDS, 20))
            warm = running.drive(Load(32, WARM_UP_SECONDS, WARM_UP_DELIVERIES - 20, skip=20)).sent + 20

            def check(report: Report) -> list[str]:
                missed = [warm + index for index in report.unacknowledged]
                return verify(rows, sendings[: warm + report.sent], missed, orders_of(seed))

            kept = replace(running, on_reset=lambda: None, on_verify=check)
            return measure(kept, replace(load, skip=warm)), running.ready_seconds


def row(steady: Steady, measurement: Measurement, ready_seconds: float) -> str:
    """One line of a table in Markdown."""
    report = measurement.report
    cores = ", ".join(f"{group} {used:.2f}" for group, used in measurement.cores.items() if used)
    resident = measurement.resident_mib["service"] / steady.processes
    return (
        f"| {steady.name} | {report.rate:,.0f} | {report.p50_ms:.1f} / {report.p99_ms:.1f} / {report.max_ms:.0f}"
        f" | {resident:.0f} | {ready_seconds:.1f} | {cores} |"
    )


HEADER = "| load | answers/s | p50 / p99 / max ms | MiB a process | ready after s | cores |\n|---|---|---|---|---|---|"


def count_problems(measurements: Sequence[Measurement]) -> int:
    """Problems of all measurements."""
    return sum(len(measurement.problems) for measurement in measurements)
