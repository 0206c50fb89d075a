"""Pretty-prints JSON: indented, in Toss's order, in pieces labelled for highlighting. Pure."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from supatoss.masking import MASKED, mask
from supatoss.toss.key_order import in_toss_order

Piece = tuple[str, str]
"""Its kind (key, text, number, word for true, false and null, or empty for punctuation), and its characters."""

_INDENT = "  "


def read_json(text: str | None) -> list[Piece]:
    """The pieces of a JSON text, masked; none for an object without fields."""
    if not text:
        return []
    try:
        value = in_toss_order(mask(json.loads(text, parse_float=Decimal)))
    except (ValueError, RecursionError):
        value = MASKED
    return list(_pieces(value, "")) if value else []


def _pieces(value: Any, indent: str) -> Iterator[Piece]:
    match value:
        case dict() | list() if value:
            opening, closing = "{}" if isinstance(value, dict) else "[]"
            items = value.items() if isinstance(value, dict) else ((None, item) for item in value)
            deeper = indent + _INDENT
            yield "", opening
            for place, (name, item) in enumerate(items):
                yield "", ("\n" if place == 0 else ",\n") + deeper
                if name is not None:
                    yield "key", _quoted(name)
                    yield "", ": "
                yield from _pieces(item, deeper)
            yield "", "\n" + indent + closing
        case dict() | list():
            yield "", "{}" if isinstance(value, dict) else "[]"
        case str():
            yield "text", _quoted(value)
        case bool() | None:
            yield "word", json.dumps(value)
        case Decimal():
            yield "number", format(value, "f")
        case _:
            yield "number", json.dumps(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
