"""The figures of a run of requests."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

MAX_NAMED = 1000
"""Unacknowledged requests listed; a run with more has failed anyway."""

NO_ANSWER = 0
"""Status of a request whose connection broke or that got no answer in time."""


@dataclass(frozen=True, slots=True)
class Report:
    """Rate in answers a second, latencies in milliseconds, CPU time of the driver itself."""

    sent: int
    statuses: dict[str, int]
    unacknowledged: list[int] = field(repr=False)
    seconds: float
    rate: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    cpu_seconds: float

    @property
    def acknowledged(self) -> int:
        """How many were answered with 200."""
        return self.statuses.get("200", 0)

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


def summarise(
    statuses: Sequence[int], latencies_seconds: Sequence[float], seconds: float, cpu_seconds: float
) -> Report:
    """`statuses` has one entry per request, in order; `latencies_seconds` one per answer, in any order."""
    milliseconds = sorted(latency * 1000 for latency in latencies_seconds)
    return Report(
        sent=len(statuses),
        statuses={str(status): number for status, number in sorted(Counter(statuses).items())},
        unacknowledged=[index for index, status in enumerate(statuses) if status != 200][:MAX_NAMED],
        seconds=round(seconds, 4),
        rate=round(len(milliseconds) / seconds, 1) if seconds else 0.0,
        p50_ms=percentile(milliseconds, 0.50),
        p90_ms=percentile(milliseconds, 0.90),
        p99_ms=percentile(milliseconds, 0.99),
        max_ms=percentile(milliseconds, 1.0),
        cpu_seconds=round(cpu_seconds, 3),
    )


def percentile(ascending: Sequence[float], share: float) -> float:
    """The nearest-rank percentile of sorted values, 0 if there are none."""
    if not ascending:
        return 0.0
    return round(ascending[min(len(ascending) - 1, int(share * len(ascending)))], 3)
