"""One measurement: a load against a running peer, and what it cost each group of processes."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.latency import Report
from scripts.local_stack import ROOT, StackError

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU time since the processes started, and resident memory now."""

    cpu_seconds: float
    resident_bytes: int


def usage(process_ids: Iterable[int]) -> Usage:
    """Usage of these processes and their descendants, including children that have ended."""
    stats = dict(_read_all())
    wanted = set(process_ids)
    grew = True
    while grew:
        below = {process_id for process_id, stat in stats.items() if stat.parent in wanted} - wanted
        wanted |= below
        grew = bool(below)
    found = [stats[process_id] for process_id in wanted if process_id in stats]
    return Usage(sum(stat.cpu_seconds for stat in found), sum(stat.resident_bytes for stat in found))


@dataclass(frozen=True, slots=True)
class _Stat:
    parent: int
    cpu_seconds: float
    resident_bytes: int


def _read_all() -> Iterable[tuple[int, _Stat]]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                text = (folder / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended
            # The name, in parentheses, may contain anything; proc(5) lists the fields.
            fields = text.rpartition(")")[2].split()
            ticks = sum(map(int, fields[11:15]))
            yield int(folder.name), _Stat(int(fields[1]), ticks / _TICKS_PER_SECOND, int(fields[21]) * _PAGE_BYTES)


DRIVER_GRACE_SECONDS = 60.0
"""Beyond the sending time: to start the driver and wait for the last answers."""


@dataclass(frozen=True, slots=True)
class Load:
    """Connections, maximum time and maximum number of requests; rate None is closed loop.

    `skip`: how many of the requests were sent already.
    """

    connections: int
    seconds: float
    count: int = sys.maxsize
    rate: float | None = None
    skip: int = 0


@dataclass(frozen=True, slots=True)
class Measurement:
    """The result of a load. `cores`: CPU seconds a second, by group; `problems`: what the oracle found."""

    load: Load
    report: Report
    cores: Mapping[str, float]
    resident_mib: Mapping[str, float]
    problems: Sequence[str] = ()


class Running(Protocol):
    """A running peer."""

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
    """A peer that one of our programs drives over the network, with the requests of a file."""

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
    """Runs a load driver in its own process. StackError if it fails."""
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
    """Puts a load on empty tables, and measures its cost and checks its result."""
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
