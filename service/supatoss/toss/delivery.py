"""A delivery: one HTTP request from Toss, as received, and how its body is read."""

import codecs
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NoReturn

import msgspec

from supatoss.errors import NotReadable, Reason

SIGNATURE_HEADER = "tosspayments-webhook-signature"
TIME_HEADER = "tosspayments-webhook-transmission-time"
ID_HEADER = "tosspayments-webhook-transmission-id"
RETRIED_COUNT_HEADER = "tosspayments-webhook-transmission-retried-count"

MAX_DEPTH = 100
"""Levels of nesting in a body. Toss uses five; the limit must not be a parser's stack, ours or PostgreSQL's."""

_EXACT_INTEGERS = 2**53
_MARK = re.compile(r'\\.|["\[\]{}]', re.DOTALL)
_NOT_STORABLE = re.compile(r"[\x00\ud800-\udfff]")
_ESCAPE_OF_NOT_STORABLE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")

# Compiled, exact in every number, and about six times as fast as the standard library on Toss's bodies.
_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_encode = msgspec.json.Encoder(order="sorted", decimal_format="number").encode


@dataclass(frozen=True, slots=True)
class Delivery:
    """One HTTP request from Toss. Header values are bytes as received: the signature covers one of them."""

    body: bytes = field(repr=False)
    signature: bytes | None = field(default=None, repr=False)
    transmission_time: bytes | None = None
    transmission_id: str | None = None
    retried_count: int | None = None


@dataclass(frozen=True, slots=True)
class Body:
    """A body that is a JSON object.

    fields: the object; numbers with a fraction are Decimal. text: the JSON text to store, the sender's own if
    PostgreSQL can store it. key: identity of the event, SHA-256 of the canonical JSON as 64 lower-case hex digits.
    """

    fields: Mapping[str, Any] = field(repr=False)
    text: str = field(repr=False)
    key: str


def read_body(raw: bytes) -> Body:
    """Reads any bytes as a body; a byte order mark before it is passed over. Raises NotReadable."""
    raw = raw.removeprefix(codecs.BOM_UTF8)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotReadable(
            Reason.NOT_UTF8, f"The body is not UTF-8: byte {error.start} does not belong there."
        ) from None
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        raise NotReadable(Reason.TOO_DEEP, f"The body is nested deeper than {MAX_DEPTH} levels.")
    fields = _read_json(raw, text)
    if not isinstance(fields, dict):
        raise NotReadable(Reason.NOT_AN_OBJECT, f"The body is a JSON {_name(fields)}; an object was expected.")
    key = hashlib.sha256(_canonical(fields)).hexdigest()
    if _ESCAPE_OF_NOT_STORABLE.search(raw):
        # U+0000 and half surrogate pairs are JSON, but PostgreSQL's jsonb rejects them.
        fields = _storable(fields)
        text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"), default=plain_number)
    return Body(fields, text, key)


def _read_json(raw: bytes, text: str) -> Any:
    try:
        return _decode(raw)
    except (ValueError, ArithmeticError, RecursionError):
        pass  # Not JSON, or JSON that only the standard library reads, such as half of a surrogate pair.
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise NotReadable(Reason.NOT_JSON, f"The body is not JSON: {_explain(error)}.") from None


def _canonical(fields: dict[str, Any]) -> bytes:
    """The same bytes for all texts of an object: sorted names, no spaces, numbers with the digits as written."""
    try:
        return _encode(fields)
    except UnicodeEncodeError:
        ascii_text = json.dumps(fields, sort_keys=True, separators=(",", ":"), default=_canonical_number)
        return ascii_text.encode("ascii")


def plain_number(value: object) -> int | float | str:
    """A Decimal as an equal JSON number, or as text if a double can't hold its digits."""
    if not isinstance(value, Decimal):
        raise TypeError(f"{type(value).__name__} is not a number")
    nearest = float(value)
    if not math.isfinite(nearest) or Decimal(repr(nearest)) != value:
        return str(value)
    return int(nearest) if nearest.is_integer() and abs(nearest) < _EXACT_INTEGERS else nearest


def _canonical_number(value: object) -> list[str]:
    """A number with a fraction, distinct from a string with the same digits."""
    return ["number", str(value)]


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _explain(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.pos}"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return "a number in it is out of range"


def _name(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "number"


def _depth(text: str) -> int:
    """Nesting of a JSON text, in one pass and without recursion; any number if the text is not JSON."""
    depth = deepest = 0
    is_in_string = False
    for mark in _MARK.findall(text):
        if mark == '"':
            is_in_string = not is_in_string
        elif is_in_string or mark[0] == "\\":
            continue
        elif mark in "[{":
            depth += 1
            deepest = max(deepest, depth)
        else:
            depth -= 1
    return deepest


def _storable(value: Any) -> Any:
    match value:
        case str():
            return _NOT_STORABLE.sub("\ufffd", value)
        case dict():
            return {_storable(name): _storable(item) for name, item in value.items()}
        case list():
            return [_storable(item) for item in value]
        case _:
            return value
