"""What a delivery costs in each part, as measured.py finds it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """Seconds of a call: a fixed part, and one for each event in it."""

    base: float
    per_event: float

    def at(self, events: int) -> float:
        """Seconds with this many events."""
        return self.base + self.per_event * events


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU seconds of the service (`receive` and `answer` an event, `call` a call), the Data API and PostgreSQL.

    `wait`: the time of a call in which none of them works. `residuals`: seconds by which measured calls were longer or
    shorter than that. `driver`: CPU seconds of the load generator for a delivery.
    """

    receive: float
    answer: float
    call: float
    api: Line
    postgres: Line
    wait: Line
    residuals: Sequence[float] = (0.0,)
    driver: float = 0.0


@dataclass(frozen=True, slots=True)
class Storage:
    """What an event leaves behind: bytes of write-ahead log, of tables and of their indexes, and commits.

    `payload_bytes` are part of those of tables, `key_index_bytes` (the unique key's) of those of indexes.
    """

    wal_bytes: float
    table_bytes: float
    payload_bytes: float
    index_bytes: float
    key_index_bytes: float
    commits: float


def fit(times: Sequence[tuple[int, float]]) -> Line:
    """The line through (events, seconds) by least squares of relative errors, so that small calls count as much."""
    weights = [1 / seconds**2 for _, seconds in times]
    total = sum(weights)
    mean_x = sum(weight * x for weight, (x, _) in zip(weights, times, strict=True)) / total
    mean_y = sum(weight * y for weight, (_, y) in zip(weights, times, strict=True)) / total
    spread = sum(weight * (x - mean_x) ** 2 for weight, (x, _) in zip(weights, times, strict=True))
    slope = sum(weight * (x - mean_x) * (y - mean_y) for weight, (x, y) in zip(weights, times, strict=True)) / spread
    return Line(mean_y - slope * mean_x, slope)
