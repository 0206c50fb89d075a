"""A run as one table: medians over the rounds."""

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from benchmarks.comparison import Cell

_GROUPS = ("service", "api", "postgres", "driver")


@dataclass(frozen=True, slots=True)
class Median:
    """Medians of one peer at one number of connections."""

    rate: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    cores: dict[str, float]
    resident_mib: dict[str, float]


def medians(cells: Iterable[Cell]) -> dict[str, dict[int, Median]]:
    """By peer and connections, in order of measurement."""
    by_place: dict[str, dict[int, list[Cell]]] = defaultdict(lambda: defaultdict(list))
    for cell in cells:
        by_place[cell.peer][cell.connections].append(cell)
    return {
        peer: {connections: _median(found) for connections, found in by_connections.items()}
        for peer, by_connections in by_place.items()
    }


def to_markdown(figures: dict[str, dict[int, Median]], reference: Callable[[str], str]) -> str:
    """Rates with p50 / p99 in ms, their ratio to another peer's, and the cores used at the busiest measurement.

    `reference` names the peer that a peer is compared with.
    """
    connections = sorted({number for row in figures.values() for number in row})
    header = ["answers/s (p50 / p99 ms)", *_plural(connections), *(f"× at {number}" for number in connections), "cores"]
    lines = ["| " + " | ".join(header) + " |", "|---|" + "---|" * (len(header) - 1)]
    for peer, row in figures.items():
        base = figures.get(reference(peer), {})
        figures_of_row = [_figure(row.get(number)) for number in connections]
        ratios = [_ratio(row.get(number), base.get(number)) for number in connections]
        lines.append("| " + " | ".join([peer, *figures_of_row, *ratios, _cores(row)]) + " |")
    return "\n".join(lines)


def _plural(connections: Sequence[int]) -> list[str]:
    return [f"{number} connection{'s' if number > 1 else ''}" for number in connections]


def _figure(median: Median | None) -> str:
    if median is None:
        return "–"
    return f"{median.rate:,.0f} ({_milliseconds(median.p50_ms)} / {_milliseconds(median.p99_ms)})"


def _milliseconds(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _ratio(median: Median | None, base: Median | None) -> str:
    return f"{median.rate / base.rate:.1f}" if median and base and base.rate else "–"


def _cores(row: dict[int, Median]) -> str:
    busiest = row[max(row)]
    return ", ".join(f"{group} {busiest.cores[group]:.2f}" for group in _GROUPS if busiest.cores.get(group))


def _median(cells: Sequence[Cell]) -> Median:
    reports = [cell.measurement.report for cell in cells]
    groups = cells[0].measurement.cores
    resident = cells[0].measurement.resident_mib
    return Median(
        rate=statistics.median(report.rate for report in reports),
        p50_ms=statistics.median(report.p50_ms for report in reports),
        p99_ms=statistics.median(report.p99_ms for report in reports),
        max_ms=max(report.max_ms for report in reports),
        cores={group: statistics.median(cell.measurement.cores[group] for cell in cells) for group in groups},
        resident_mib={group: max(cell.measurement.resident_mib[group] for cell in cells) for group in resident},
    )
