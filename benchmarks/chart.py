"""A full run as a bar chart: answers a second of each peer at 64 connections, on a logarithmic scale."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from benchmarks.comparison import Cell
from benchmarks.table import medians

CONNECTIONS = 64
LOWEST_RATE = 10.0

_LABEL_WIDTH = 390
_PLOT_WIDTH = 470
_VALUE_WIDTH = 80
_BAR_HEIGHT = 18
_ROW_HEIGHT = 27
_TOP = 58
_FONT = 'font-family="system-ui, sans-serif" font-size="13" role="img"'
_OURS, _OTHERS, _BOUNDS = "#0064ff", "#8b95a1", "#c9ced6"
"""Toss's blue for supatoss, grey for alternatives, light grey for upper bounds."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One peer."""

    label: str
    rate: float

    @property
    def colour(self) -> str:
        """By kind of peer."""
        if self.label.startswith("supatoss"):
            return _OURS
        return _OTHERS if self.label.startswith(("the guide's", "stripe")) else _BOUNDS


def bars(cells: Sequence[Cell]) -> list[Bar]:
    """The medians at CONNECTIONS connections, in the order of the table."""
    rows = medians(cell for cell in cells if cell.connections == CONNECTIONS)
    return [Bar(peer, row[CONNECTIONS].rate) for peer, row in rows.items()]


def draw(shown: list[Bar]) -> str:
    """The chart as SVG."""
    highest = 10.0 ** math.ceil(math.log10(max([bar.rate for bar in shown] or [LOWEST_RATE * 10])))
    bottom = _TOP + len(shown) * _ROW_HEIGHT
    width = _LABEL_WIDTH + _PLOT_WIDTH + _VALUE_WIDTH
    size = f'width="{width}" height="{bottom + 34}"'
    title = f"Deliveries answered a second at {CONNECTIONS} connections, everything on one machine"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {bottom + 34}" {size} {_FONT}>',
        f"<title>{title}</title>",
        f'<rect {size} fill="#ffffff"/>',
        f'<text x="16" y="28" font-size="16" font-weight="600" fill="#191f28">{title}</text>',
    ]
    decade = LOWEST_RATE
    while decade <= highest:
        x = _x(decade, highest)
        parts.append(f'<path d="M{x:.1f} {_TOP - 8}V{bottom}" stroke="#e5e8eb"/>')
        parts.append(
            f'<text x="{x:.1f}" y="{bottom + 18}" fill="#6b7684" text-anchor="middle">{_thousands(decade)}</text>'
        )
        decade *= 10
    for number, bar in enumerate(shown):
        parts += _bar(bar, _TOP + number * _ROW_HEIGHT, highest)
    return "\n".join([*parts, "</svg>", ""])


def _bar(bar: Bar, y: int, highest: float) -> list[str]:
    end = _x(max(bar.rate, LOWEST_RATE), highest)
    middle = y + _BAR_HEIGHT - 4
    weight = ' font-weight="600"' if bar.colour == _OURS else ""
    label, size = escape(bar.label), f'width="{end - _LABEL_WIDTH:.1f}" height="{_BAR_HEIGHT}"'
    return [
        f'<text x="{_LABEL_WIDTH - 10}" y="{middle}" fill="#333d4b" text-anchor="end"{weight}>{label}</text>',
        f'<rect x="{_LABEL_WIDTH}" y="{y}" {size} rx="2" fill="{bar.colour}"/>',
        f'<text x="{end + 6:.1f}" y="{middle}" fill="#333d4b"{weight}>{_thousands(bar.rate)}</text>',
    ]


def _x(rate: float, highest: float) -> float:
    share = math.log10(rate / LOWEST_RATE) / math.log10(highest / LOWEST_RATE)
    return _LABEL_WIDTH + share * _PLOT_WIDTH


def _thousands(rate: float) -> str:
    return f"{rate:,.0f}"
