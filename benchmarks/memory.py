"""Half an hour at a fixed rate: the service's resident memory must stay flat."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import linear_regression

from benchmarks.measure import Load, measure, usage
from benchmarks.peers.supatoss import Supatoss
from benchmarks.report import keep
from benchmarks.stack import Stack
from benchmarks.workload import OrderMix, plan

SAMPLE_SECONDS = 5.0

WARM_UP_SHARE = 1 / 3
"""Part of the run before the slope counts: pools, caches and the allocator reach their size."""

MIN_JUDGED_MINUTES = 10.0
"""In a shorter run a single page is a steep slope: it is printed but not judged."""

MAX_SLOPE_MIB_AN_HOUR = 6.0
"""At this rate the service stays below 150 MiB for half a day; a leak of 100 bytes a delivery is steeper."""


@dataclass
class Sampler:
    """Samples the resident memory of processes every few seconds, in a thread."""

    processes: Sequence[int]
    log: Callable[[str], None]
    samples: list[tuple[float, float]] = field(default_factory=list)
    _is_over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Samples (seconds since the start, MiB) until `stop`."""
        began = time.monotonic()
        while not self._is_over.wait(SAMPLE_SECONDS):
            mebibytes = usage(self.processes).resident_bytes / 2**20
            self.samples.append((time.monotonic() - began, mebibytes))
            if len(self.samples) % 12 == 0:
                self.log(f"  after {self.samples[-1][0]:.0f} s: {mebibytes:.1f} MiB")

    def stop(self) -> None:
        """Stops sampling."""
        self._is_over.set()


def slope_mib_an_hour(samples: Sequence[tuple[float, float]]) -> float:
    """The slope of the samples after the warm-up by linear regression; 0 if there are too few."""
    if not samples:
        return 0.0
    settled = [sample for sample in samples if sample[0] >= samples[-1][0] * WARM_UP_SHARE]
    if len(settled) < 2:
        return 0.0
    seconds, mebibytes = zip(*settled, strict=True)
    return linear_regression(seconds, mebibytes).slope * 3600


def run(minutes: float, rate: float, log: Callable[[str], None]) -> int:
    """Measures and prints. Returns the number of problems, including a slope that is too steep."""
    seconds = minutes * 60
    sendings = plan(round(rate * seconds), 0.1, OrderMix.MIXED)
    with Stack() as stack, Supatoss().start(stack, sendings) as running:
        sampler = Sampler(running.groups()["service"], log)
        thread = threading.Thread(target=sampler.run, daemon=True)
        thread.start()
        try:
            measurement = measure(running, Load(64, seconds, len(sendings), rate))
        finally:
            sampler.stop()
            thread.join()
    slope = slope_mib_an_hour(sampler.samples)
    report = measurement.report
    mebibytes = [sample[1] for sample in sampler.samples] or [0.0]
    print(f"{report.sent:,} deliveries in {report.seconds / 60:.1f} minutes, p99 {report.p99_ms:.1f} ms")
    print(
        f"resident memory: {mebibytes[0]:.1f} MiB at first, {mebibytes[-1]:.1f} at last, {max(mebibytes):.1f} at most"
    )
    print(f"slope after the first third: {slope:+.2f} MiB an hour (at most {MAX_SLOPE_MIB_AN_HOUR:g} is flat)")
    problems = list(measurement.problems)
    if minutes >= MIN_JUDGED_MINUTES and slope > MAX_SLOPE_MIB_AN_HOUR:
        problems.append(f"the service grows by {slope:.1f} MiB an hour")
    print(f"figures: {keep('memory', {'samples': sampler.samples, 'slope': slope, 'report': report.to_json()})}")
    for problem in problems:
        print(f"WRONG: {problem}")
    return len(problems)
