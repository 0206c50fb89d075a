"""A JSON value as people read it: indented, in Toss's order, each kind of value in a class of its own. Pure."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from markupsafe import Markup, escape

from supatoss.masking import MASKED, mask
from supatoss.toss.key_order import in_toss_order

_INDENT = "  "


def show_json(text: str | None) -> Markup:
    """A JSON text, masked, as HTML for a <pre>; empty for an object without fields."""
    if not text:
        return Markup()
    try:
        value = in_toss_order(mask(json.loads(text, parse_float=Decimal)))
    except (ValueError, RecursionError):
        value = MASKED
    return Markup().join(_parts(value, "")) if value else Markup()


def _parts(value: Any, indent: str) -> Iterator[Markup]:
    match value:
        case dict() | list() if value:
            opening, closing = "{}" if isinstance(value, dict) else "[]"
            items = value.items() if isinstance(value, dict) else ((None, item) for item in value)
            deeper = indent + _INDENT
            yield escape(opening)
            for place, (name, item) in enumerate(items):
                yield escape(("\n" if place == 0 else ",\n") + deeper)
                if name is not None:
                    yield _span("key", _quoted(name)) + ": "
                yield from _parts(item, deeper)
            yield escape("\n" + indent + closing)
        case dict() | list():
            yield escape("{}" if isinstance(value, dict) else "[]")
        case str():
            yield _span("text", _quoted(value))
        case Decimal():
            yield _span("number", format(value, "f"))
        case _:
            yield _span(
                "number" if isinstance(value, int) and not isinstance(value, bool) else "word", json.dumps(value)
            )


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _span(kind: str, text: str) -> Markup:
    return Markup('<span class="json-{}">{}</span>').format(kind, escape(text))
