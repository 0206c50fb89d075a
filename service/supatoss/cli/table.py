"""Tables: fitted to a terminal, one line a row; tab-separated, and whole, in a pipe or a file. Pure."""

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import typer

GAP = "  "
ELLIPSIS = "…"

Style = Mapping[str, Any]


class Cut(Enum):
    """Where a cell that is too long loses characters: ids that begin alike in the middle."""

    NEVER = 0
    END = 1
    MIDDLE = 2


@dataclass(frozen=True, slots=True)
class Column:
    """A column, and how it adapts to a narrow terminal.

    Cells are cut, to no less than `least` columns. Where that is not enough, columns are left out, those with the
    highest `drop` first (0: never), and at last `shorten` gives a shorter form of the cells. style: how a cell looks.
    """

    name: str
    cut: Cut = Cut.END
    least: int = 8
    shorten: Callable[[str], str] | None = None
    drop: int = 0
    is_number: bool = False
    style: Callable[[str], Style] | None = None


def lines(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None, *, has_style: bool) -> list[str]:
    """A head and a line for each row. width: the terminal's; None: tab-separated and whole."""
    if width is None:
        return ["\t".join(cells) for cells in ([column.name for column in columns], *rows)]
    rows, widths = _fit(columns, rows, width)
    head = [column.name for column in columns]
    return [
        _line(columns, cells, widths, is_head=number == 0, has_style=has_style)
        for number, cells in enumerate([head, *rows])
    ]


def display_width(text: str) -> int:
    """Columns that a text takes on a terminal: Korean letters take two, accents none."""
    return len(text) if text.isascii() else sum(map(_letter_width, text))


def cut(text: str, width: int, where: Cut = Cut.END) -> str:
    """A text cut to this many columns, with an ellipsis."""
    if where is Cut.NEVER or display_width(text) <= width:
        return text
    tail = ""
    if where is Cut.MIDDLE:
        tail = _head(text[::-1], (width - 1) // 2)[::-1]
    return _head(text, width - 1 - display_width(tail)) + ELLIPSIS + tail


def _letter_width(letter: str) -> int:
    if unicodedata.combining(letter) or unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def _head(text: str, width: int) -> str:
    taken = 0
    for place, letter in enumerate(text):
        taken += _letter_width(letter)
        if taken > width:
            return text[:place]
    return text


def _fit(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int
) -> tuple[Sequence[Sequence[str]], dict[int, int]]:
    """The rows, their cells shortened if need be, and the width of each column that is shown."""
    cells, widths, least = _choose(columns, rows, width)

    def spare(place: int) -> tuple[bool, int, int]:
        """Columns that could be left out give way first, then those that are longest."""
        excess = widths[place] - least[place]
        return excess > 0, columns[place].drop, excess

    while _total(widths) > width:
        place = max(widths, key=spare)
        if widths[place] == least[place]:
            break
        widths[place] -= 1
    return cells, widths


def _choose(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int
) -> tuple[Sequence[Sequence[str]], dict[int, int], dict[int, int]]:
    """The most columns that fit, with whole cells or else short ones: their widths, and their least widths."""
    short = [
        [column.shorten(cell) if column.shorten else cell for column, cell in zip(columns, row, strict=True)]
        for row in rows
    ]
    choices = [(cells, kept) for cells in (rows, short) for kept in _choices(columns)]
    for number, (cells, kept) in enumerate(choices, 1):
        widths = _widths(columns, cells, kept)
        least = {place: _least(columns[place], taken, is_short=cells is short) for place, taken in widths.items()}
        if _total(least) <= width or number == len(choices):
            return cells, widths, least
    raise AssertionError("unreachable")


def _choices(columns: Sequence[Column]) -> list[list[int]]:
    """Which columns to show: all, then without the one that is dropped first, and so on."""
    ranks = sorted({column.drop for column in columns if column.drop}, reverse=True)
    limits = [max(ranks, default=0), *(rank - 1 for rank in ranks)]
    return [[place for place, column in enumerate(columns) if column.drop <= limit] for limit in limits]


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[str]], kept: Iterable[int]) -> dict[int, int]:
    return {place: max(map(display_width, (columns[place].name, *(row[place] for row in rows)))) for place in kept}


def _least(column: Column, width: int, *, is_short: bool) -> int:
    """To what a column may be cut; one that has a shorter form, only in that."""
    if column.cut is Cut.NEVER or (column.shorten and not is_short):
        return width
    return min(width, max(column.least, len(column.name)))


def _total(widths: Mapping[int, int]) -> int:
    return sum(widths.values()) + len(GAP) * (len(widths) - 1)


def _line(
    columns: Sequence[Column], cells: Sequence[str], widths: Mapping[int, int], *, is_head: bool, has_style: bool
) -> str:
    shown = []
    for place, width in widths.items():
        column, text = columns[place], cut(cells[place], width, columns[place].cut)
        space = " " * (width - display_width(text))
        style: Style = {"bold": True} if is_head else column.style(cells[place]) if column.style else {}
        if has_style and style and text:
            text = typer.style(text, **style)
        shown.append(f"{space}{text}" if column.is_number else f"{text}{space}")
    return GAP.join(shown).rstrip(" ")
