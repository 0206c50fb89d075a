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

MAX_DEPTH = 32
"""Levels of nesting that are kept of a body. Toss uses five; the limit must not be a parser's stack, ours or
PostgreSQL's, and jsonb_pretty() indents each line by four spaces a level."""

MAX_DIGITS = 40
"""Most digits that a number keeps. Amounts have at most 15, and PostgreSQL casts and adds these without error."""

MAX_DIGITS_OF_EXPONENT = 16
"""The same for a number with an exponent, which jsonb writes out: the six characters 1e9999 become 10,000 digits."""

CUT = "\u2026"
"""Replaces what is nested too deeply."""

_EXACT_INTEGERS = 2**53
_MARK = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[\]{}]', re.DOTALL)
_STRING_OR_LARGE_NUMBER = re.compile(
    r'"[^"\\]*(?:\\.[^"\\]*)*"?|(?<![0-9.])-?[0-9.]{1,40}[eE][+-]?[0-9]+|-?[0-9.]{41,}(?:[eE][+-]?[0-9]+)?', re.DOTALL
)
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?")
_AS_ZEROS = bytes.maketrans(b"123456789", b"0" * 9)
_LARGE_INTEGER = b"0" * (MAX_DIGITS + 1)
_NOT_STORABLE = re.compile(r"[\x00\ud800-\udfff]")
_ESCAPE_OF_NOT_STORABLE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


def _plain_decimal(text: str) -> Decimal:
    if len(text) > MAX_DIGITS or "e" in text or "E" in text:
        raise ValueError("whether it is kept is seen elsewhere")
    return Decimal(text)


# Compiled, exact in every number, and about six times as fast as the standard library on Toss's bodies.
_decode = msgspec.json.Decoder(float_hook=_plain_decimal).decode
_encode = msgspec.json.Encoder(order="sorted", decimal_format="number").encode


@dataclass(frozen=True, slots=True)
class Delivery:
    """One HTTP request from Toss. Header values are bytes as received: the signature covers one of them."""

    body: bytes = field(repr=False)
    signature: bytes | None = field(default=None, repr=False)
    transmission_time: bytes | None = None
    transmission_id: str | None = None
    retried_count: int | None = None
    user_agent: str | None = None


@dataclass(frozen=True, slots=True)
class Body:
    """A body that is a JSON object.

    fields: the object; numbers with a fraction are Decimal. text: the JSON text to store, the sender's own if
    PostgreSQL can store and query it. Else, in both: a number that is too large is a string of the same characters,
    what is nested too deeply is CUT, and U+FFFD replaces U+0000 and unpaired surrogates. key: identity of the event,
    SHA-256 of the canonical JSON as 64 lower-case hex digits.
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
    taken: list[str] = []
    source = raw
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH:
        text = _without_depth(text, taken)
        source = text.encode()
    fields, text = _read_json(source, text, taken)
    if not isinstance(fields, dict):
        raise NotReadable(Reason.NOT_AN_OBJECT, f"The body is a JSON {_name(fields)}; an object was expected.")
    canonical = _canonical(fields) + "".join(sorted(taken)).encode()
    if _ESCAPE_OF_NOT_STORABLE.search(raw):
        fields = _storable(fields)
        text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"), default=plain_number)
    return Body(fields, text, hashlib.sha256(canonical).hexdigest())


def _read_json(source: bytes, text: str, taken: list[str]) -> tuple[Any, str]:
    """The value of a JSON text, of which `source` is the UTF-8, and the text to store."""
    if _LARGE_INTEGER not in source.translate(_AS_ZEROS):
        try:
            return _decode(source), text
        except (ValueError, ArithmeticError, RecursionError):
            pass  # Not JSON, a number that may be too large, or what only the standard library reads: half a surrogate.
    text = _without_large_numbers(text, taken)
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant), text
    except (ValueError, ArithmeticError) as error:
        raise NotReadable(Reason.NOT_JSON, f"The body is not JSON: {_explain(error)}.") from None


def _without_depth(text: str, taken: list[str]) -> str:
    """A JSON text with CUT in the place of what is nested too deeply. In one pass and without recursion."""
    kept: list[str] = []
    depth = begin = 0
    for mark in _MARK.finditer(text):
        if mark[0] in "[{":
            depth += 1
            if depth == MAX_DEPTH + 1:
                kept.append(text[begin : mark.start()])
                begin = mark.start()
        elif mark[0] in "]}":
            depth -= 1
            if depth == MAX_DEPTH:
                taken.append(text[begin : mark.end()])
                kept.append(f'"{CUT}"')
                begin = mark.end()
    kept.append(text[begin:] if depth <= MAX_DEPTH else f'"{CUT}"')  # a text that ends down there isn't JSON
    return "".join(kept)


def _without_large_numbers(text: str, taken: list[str]) -> str:
    """A JSON text with strings in the place of numbers that are too large."""

    def replace(found: re.Match[str]) -> str:
        if found[0][0] == '"' or not _is_large(found[0]):
            return found[0]
        taken.append(found[0])
        return f'"{found[0]}"'

    return _STRING_OR_LARGE_NUMBER.sub(replace, text)


def _is_large(text: str) -> bool:
    """Whether jsonb would make too many digits of a number; False if it is none."""
    number = _NUMBER.fullmatch(text)
    if number is None:
        return False
    whole, fraction, exponent = number[1], number[2] or "", number[3]
    if len(whole) + len(fraction) > MAX_DIGITS:
        return True
    if exponent is None:
        return False
    places = int(exponent) if len(exponent) < MAX_DIGITS_OF_EXPONENT else MAX_DIGITS_OF_EXPONENT
    return max(len(whole) + places, 1) + max(len(fraction) - places, 0) > MAX_DIGITS_OF_EXPONENT


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
