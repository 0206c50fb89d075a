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
    """A column, and what becomes of it where the terminal is narrow.

    shorten: a shorter form of its cells, taken first. drop: then columns are left out, the highest number first; 0:
    never. At last cells are cut, to no less than `least` columns. style: how a cell looks on a terminal.
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
    """A text in so many columns, with an ellipsis for what is left out."""
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
    kept = list(range(len(columns)))
    if _total(_widths(columns, rows, kept)) > width:
        rows = [
            [column.shorten(cell) if column.shorten else cell for column, cell in zip(columns, row, strict=True)]
            for row in rows
        ]
    while _total(_smallest(columns, widths := _widths(columns, rows, kept))) > width:
        dropped = max(kept, key=lambda place: columns[place].drop)
        if not columns[dropped].drop:
            break
        kept.remove(dropped)
    smallest = _smallest(columns, widths)
    while _total(widths) > width:
        place = max(kept, key=lambda place: widths[place] - smallest[place])
        if widths[place] == smallest[place]:
            break
        widths[place] -= 1
    return rows, widths


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[str]], kept: Iterable[int]) -> dict[int, int]:
    return {place: max(map(display_width, (columns[place].name, *(row[place] for row in rows)))) for place in kept}


def _smallest(columns: Sequence[Column], widths: Mapping[int, int]) -> dict[int, int]:
    def least(column: Column, width: int) -> int:
        return width if column.cut is Cut.NEVER else min(width, max(column.least, len(column.name)))

    return {place: least(columns[place], width) for place, width in widths.items()}


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
