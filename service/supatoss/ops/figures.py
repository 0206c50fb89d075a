"""What the process that makes the page has counted since it started. Read from its own metrics."""

import datetime as dt
from collections import Counter
from dataclasses import dataclass

from supatoss.telemetry import DELIVERIES, DELIVERY_SECONDS

SHARES = (50, 95, 99)
"""Per cent of the deliveries whose answer took no longer."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Deliveries since the start. rejected: (reason, count), most first. latency: (share in per cent, limit)."""

    started_at: dt.datetime
    answered: int
    rejected: list[tuple[str, int]]
    latency: list[tuple[int, str]]


def read_figures(started_at: dt.datetime) -> Figures:
    """The figures of this process."""
    answered, rejected = 0, Counter[str]()
    for metric in DELIVERIES.collect():
        for sample in metric.samples:
            if sample.name.endswith("_total"):
                answered += int(sample.value)
                if sample.labels["reason"] and sample.value:
                    rejected[sample.labels["reason"]] += int(sample.value)
    return Figures(started_at, answered, rejected.most_common(), _latency())


def _latency() -> list[tuple[int, str]]:
    buckets = [
        (float(sample.labels["le"]), sample.value)
        for metric in DELIVERY_SECONDS.collect()
        for sample in metric.samples
        if sample.name.endswith("_bucket")
    ]
    total = buckets[-1][1] if buckets else 0
    if not total:
        return []
    return [(share, _limit(next(le for le, count in buckets if count * 100 >= share * total))) for share in SHARES]


def _limit(seconds: float) -> str:
    """The upper edge of a bucket: ≤ 50 ms, ≤ 2 s, > 8 s for the open one."""
    if seconds == float("inf"):
        return "> 8 s"
    return f"≤ {seconds * 1000:g} ms" if seconds < 1 else f"≤ {seconds:g} s"
