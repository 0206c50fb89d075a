"""One measurement: a load against something that runs, and what it cost each group of processes."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.latency import Report
from benchmarks.usage import usage
from scripts.local_stack import ROOT, StackError

DRIVER_GRACE_SECONDS = 60.0
"""Beyond the time to send: starting the driver, waiting for the last answers."""


@dataclass(frozen=True, slots=True)
class Load:
    """How hard to push: connections, the longest time, the largest number of requests; rate None is closed loop.

    `skip`: how many of the requests were sent before.
    """

    connections: int
    seconds: float
    count: int = sys.maxsize
    rate: float | None = None
    skip: int = 0


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a load came to. `cores`: processor seconds a second, by group; `problems`: what the oracle found."""

    load: Load
    report: Report
    cores: Mapping[str, float]
    resident_mib: Mapping[str, float]
    problems: Sequence[str] = ()


class Running(Protocol):
    """A peer whose processes run."""

    def reset(self) -> None:
        """Empties its tables."""

    def drive(self, load: Load) -> Report:
        """Puts a load on it."""

    def verify(self, report: Report) -> list[str]:
        """What is wrong with its tables after the load."""

    def groups(self) -> Mapping[str, Sequence[int]]:
        """Its processes by group: service, api, postgres."""


@dataclass(frozen=True, slots=True)
class Driven:
    """A peer that a program of ours drives over the network, with the requests of a file."""

    targets: Sequence[tuple[str, int]]
    requests: Path
    processes: Mapping[str, Sequence[int]]
    on_reset: Callable[[], None] = lambda: None
    on_verify: Callable[[Report], list[str]] = lambda _report: []
    program: str = "benchmarks.driver"
    ready_seconds: float = 0.0

    def reset(self) -> None:
        """Empties its tables."""
        self.on_reset()

    def drive(self, load: Load) -> Report:
        """Puts a load on it."""
        return drive(self.program, self.requests, self.targets, load)

    def verify(self, report: Report) -> list[str]:
        """What is wrong with its tables after the load."""
        return self.on_verify(report)

    def groups(self) -> Mapping[str, Sequence[int]]:
        """Its processes by group."""
        return self.processes


def drive(program: str, requests: Path, targets: Iterable[tuple[str, int]], load: Load) -> Report:
    """Runs a driving program in a process of its own. StackError when it fails."""
    command = [sys.executable, "-m", program, str(requests)]
    for host, port in targets:
        command += ["--target", f"{host}:{port}"]
    command += ["--connections", str(load.connections), "--count", str(load.count), "--seconds", str(load.seconds)]
    command += ["--skip", str(load.skip)]
    if load.rate:
        command += ["--rate", str(load.rate)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=load.seconds + DRIVER_GRACE_SECONDS
    )
    if done.returncode:
        raise StackError(f"{program} failed:\n{done.stderr.strip()}")
    return Report(**json.loads(done.stdout))


def measure(running: Running, load: Load) -> Measurement:
    """Puts a load on empty tables, and looks at what it cost and what it left."""
    running.reset()
    groups = running.groups()
    before = {name: usage(processes) for name, processes in groups.items()}
    began = time.perf_counter()
    report = running.drive(load)
    seconds = report.seconds or time.perf_counter() - began
    after = {name: usage(processes) for name, processes in groups.items()}
    problems = running.verify(report)
    refused = report.sent - report.acknowledged
    if refused:
        problems = [f"{refused} of {report.sent} deliveries were not acknowledged: {report.statuses}", *problems]
    cores = {name: round((after[name].cpu_seconds - before[name].cpu_seconds) / seconds, 2) for name in groups}
    cores["driver"] = round(report.cpu_seconds / seconds, 2)
    resident = {name: round(after[name].resident_bytes / 2**20, 1) for name in groups}
    return Measurement(load, report, cores, resident, problems)
