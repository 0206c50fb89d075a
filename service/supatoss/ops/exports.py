"""Tables as CSV files that Excel opens directly: UTF-8 with a BOM, Korean times with offset, no formulas."""

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from supatoss.ops.formats import iso, parse_moment

MAX_ROWS = 50_000
"""Of one file: what Excel opens at once, and a hundred calls of the Data API."""

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""A cell that begins like this is run by spreadsheets; data from outside must not be."""

Pages = AsyncIterator[tuple[Iterable[Sequence[str]], bool]]
"""Rows of a page, and whether more follow."""


def cell(value: Any, name: str = "") -> str:
    """A value as text; times (…_at) are Korean, with offset. Formulas get an apostrophe in front."""
    if value is None:
        return ""
    if name.endswith("_at") and (moment := parse_moment(value)):
        return iso(moment)
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    return text[1:].replace(".", "", 1).isdecimal() and text[0] == "-" and text.isascii()


async def csv_chunks(header: Sequence[str], pages: Pages, cut: str) -> AsyncIterator[bytes]:
    """The file in chunks, at most MAX_ROWS rows. cut: the last line if there are more.

    An error on a later page aborts the download: half a file must not look complete.
    """
    yield b"\xef\xbb\xbf" + _encode([header])
    written = 0
    async for rows, has_more in pages:
        part = [*rows][: MAX_ROWS - written]
        written += len(part)
        yield _encode(part)
        if written >= MAX_ROWS and has_more:
            yield _encode([[cut]])
            return


def _encode(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()
