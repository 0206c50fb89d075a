"""Real loads at fixed rates, to compare the simulation with, and what else the machine did meanwhile."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.latency import Report
from benchmarks.measure import Load, Measurement, measure
from benchmarks.oracle import verify
from benchmarks.peers.supatoss import Supatoss
from benchmarks.stack import Backend, Stack
from benchmarks.workload import OrderMix, orders_of, plan

WARM_UP = Load(connections=32, seconds=20.0, count=3000)


@dataclass(frozen=True, slots=True)
class Measured:
    """A real load. `others`: cores that programs which have nothing to do with it used meanwhile."""

    load: Load
    measurement: Measurement
    others: float


def measure_load(stack: Stack, load: Load, seed: int, log: Callable[[str], None]) -> Measured:
    """Puts a load on one process, with new orders."""
    sendings = plan(WARM_UP.count + load.count, 0.0, OrderMix.MIXED, seed)
    rows = stack.project(Backend.POSTGRES).rows
    busy: list[float] = []
    with Supatoss().start(stack, sendings) as running:
        warm = running.drive(WARM_UP).sent

        def check(report: Report) -> list[str]:
            busy.append(busy_seconds())
            missed = [warm + index for index in report.unacknowledged]
            return verify(rows, sendings[: warm + report.sent], missed, orders_of(seed))

        watched = replace(running, on_reset=lambda: busy.append(busy_seconds()), on_verify=check)
        measurement = measure(watched, replace(load, skip=warm))
    before, after = busy
    others = (after - before) / measurement.report.seconds - sum(measurement.cores.values())
    report = measurement.report
    log(f"{report.rate:,.0f} answers/s: p99 {report.p99_ms:.1f} ms, {len(measurement.problems)} problems")
    return Measured(load, measurement, round(max(0.0, others), 2))


def busy_seconds() -> float:
    """CPU seconds that the machine has been busy: all fields of /proc/stat but idle and iowait, see proc(5)."""
    with Path("/proc/stat").open(encoding="ascii") as stat:
        ticks = [int(field) for field in stat.readline().split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
