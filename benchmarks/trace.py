"""Where the time of a loaded service goes: which process was busy when, and what each recording call waited for.

Processor time is read from the kernel (/proc/…/schedstat, nanoseconds on a processor) every SLICE_SECONDS, so a trace
costs the machine some hundredths of a core. Calls come from the service itself (peers/traced.py), on the same clock.
"""

import json
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from benchmarks.latency import percentile
from benchmarks.measure import Driven, Load
from benchmarks.oracle import verify
from benchmarks.peers.base import python, servers
from benchmarks.peers.supatoss import empty, settings
from benchmarks.requests import toss_request, write_requests
from benchmarks.stack import Backend, Stack
from benchmarks.workload import Sending, plan

SLICE_SECONDS = 0.002
SHOWN_SLICES = 60
"""Of the timeline that is printed: 120 ms."""

BUSY_SHARE = 0.3
"""Of a slice: from here on a process counts as busy in it."""

WARM_UP = Load(32, 4.0)
DELIVERIES = 60_000
_BARS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Call:
    """A recording call: when it began and ended, its events, and how long the oldest of them had waited. In ns."""

    began: int
    ended: int
    events: int
    waited: int


@dataclass
class Sampler:
    """Samples the processor time of groups of processes, in a thread. groups: process ids, their children included."""

    groups: Mapping[str, Sequence[int]]
    times: list[int] = field(default_factory=list)
    used: dict[str, list[int]] = field(default_factory=dict)
    _is_over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def sampling(self) -> Iterator[None]:
        """Samples for the length of a block."""
        self.used = {group: [] for group in self.groups}
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            thread.join()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._is_over.wait(max(0.0, due - time.monotonic())):
            due += SLICE_SECONDS
            self.times.append(time.monotonic_ns())
            for group, processes in self.groups.items():
                self.used[group].append(sum(map(_nanoseconds, processes)))

    def slices(self) -> Iterator[tuple[int, dict[str, float]]]:
        """The start of each slice, and the share of it that each group had a processor."""
        for number in range(len(self.times) - 1):
            length = self.times[number + 1] - self.times[number]
            shares = {name: (used[number + 1] - used[number]) / length for name, used in self.used.items()}
            yield self.times[number], shares


def _nanoseconds(process_id: int) -> int:
    """On a processor so far: of all threads; 0 once the process has ended."""
    total = 0
    try:
        for thread in Path(f"/proc/{process_id}/task").iterdir():
            total += int((thread / "schedstat").read_text().split(maxsplit=1)[0])
    except (FileNotFoundError, ProcessLookupError):
        return total
    return total


def run(connections: int, seconds: float, log: Callable[[str], None]) -> int:
    """Traces one run, and prints what it shows. Returns the number of problems."""
    sendings = plan(DELIVERIES)
    with Stack() as stack:
        file = stack.folder / "calls.jsonl"
        with _traced(stack, sendings, file) as running:
            running.drive(WARM_UP)
            running.reset()
            sampler = Sampler(_with_backends(running.groups()))
            with sampler.sampling():
                report = running.drive(Load(connections, seconds))
            problems = running.verify(report)
        calls = [Call(*json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]
    calls = [call for call in calls if sampler.times[0] <= call.began and call.ended <= sampler.times[-1]]
    if not calls:
        log("no call was traced")
        return 1
    print(f"{connections} connections: {report.rate:,.0f}/s, p50 {report.p50_ms:.1f} ms, p99 {report.p99_ms:.1f} ms\n")
    print(_calls_table(calls))
    begin, end = calls[0].began, calls[-1].ended
    slices = [(moment, shares) for moment, shares in sampler.slices() if begin <= moment <= end]
    print(f"\n{_busy_table(slices)}\n\n{_timeline(slices[len(slices) // 2 :][:SHOWN_SLICES], calls)}")
    for problem in problems:
        print(f"WRONG: {problem}")
    return len(problems)


@contextmanager
def _traced(stack: Stack, sendings: Sequence[Sending], file: Path) -> Iterator[Driven]:
    project = stack.project(Backend.POSTGRES)
    requests = stack.folder / "traced.requests"
    write_requests(requests, map(toss_request, sendings))
    environment = {**settings(project.url), "TRACE_FILE": str(file)}
    with servers([python("benchmarks.peers.traced")], environment, stack, "/readyz", "traced") as (server,):
        yield Driven(
            [server.address],
            requests,
            {"service": [server.child.pid], "api": project.processes, "postgres": stack.postgres_processes},
            on_reset=lambda: empty(project),
            on_verify=lambda report: verify(project.rows, sendings[: report.sent], report.unacknowledged),
        )


def _with_backends(groups: Mapping[str, Sequence[int]]) -> dict[str, list[int]]:
    """The groups with the children that they have now: PostgreSQL has a process for each connection."""
    return {
        name: [*processes, *(child for one in processes for child in _children(one))]
        for name, processes in groups.items()
    }


def _children(process_id: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()]


def _calls_table(calls: Sequence[Call]) -> str:
    """Sizes, durations, waits, and for which share of the time how many calls were under way."""
    rows = {
        "events a call": sorted(float(call.events) for call in calls),
        "ms under way": sorted((call.ended - call.began) / 1e6 for call in calls),
        "ms that its oldest event had waited": sorted(call.waited / 1e6 for call in calls),
    }
    lines = ["| recording calls | median | p90 | longest |", "|---|---|---|---|"]
    for name, values in rows.items():
        lines.append(f"| {name} | {statistics.median(values):.1f} | {percentile(values, 0.9):.1f} | {values[-1]:.1f} |")
    changes = sorted([(call.began, 1) for call in calls] + [(call.ended, -1) for call in calls])
    lengths: Counter[int] = Counter()
    under_way = 0
    for (moment, change), (following, _) in pairwise(changes):
        under_way += change
        lengths[under_way] += following - moment
    whole = sum(lengths.values())
    shares = ", ".join(f"{number}: {length / whole:.0%}" for number, length in sorted(lengths.items()))
    return "\n".join([*lines, "", f"calls under way, share of the time: {shares}"])


def _busy_table(slices: Sequence[tuple[int, Mapping[str, float]]]) -> str:
    """How busy each group was, and which were busy together."""
    names = list(slices[0][1])
    means = {name: statistics.fmean(shares[name] for _, shares in slices) for name in names}
    together: Counter[str] = Counter()
    for _, shares in slices:
        together[" + ".join(name for name in names if shares[name] >= BUSY_SHARE) or "none"] += 1
    lines = [
        "cores: "
        + ", ".join(f"{name} {mean:.2f}" for name, mean in means.items())
        + f"; all {sum(means.values()):.2f}",
        "",
        "| busy | share of the time |",
        "|---|---|",
    ]
    return "\n".join([*lines, *(f"| {name} | {count / len(slices):.0%} |" for name, count in together.most_common())])


def _timeline(slices: Sequence[tuple[int, Mapping[str, float]]], calls: Sequence[Call]) -> str:
    """A row for each group, a character for each slice; below, how many calls were under way."""
    rows = {name: "".join(_bar(shares[name]) for _, shares in slices) for name in slices[0][1]}
    rows["calls"] = "".join(
        str(min(9, sum(call.began <= moment < call.ended for call in calls))) for moment, _ in slices
    )
    return "\n".join(f"{name:>9} {row}" for name, row in rows.items())


def _bar(share: float) -> str:
    return _BARS[min(len(_BARS) - 1, round(share * (len(_BARS) - 1)))]
