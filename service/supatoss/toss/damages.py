"""What happens to signed deliveries on their way through other programs, undone: what may have been signed. Pure.

Source of the list: threads about signatures in Toss's developer community (techchat.tosspayments.com).
"""

import datetime as dt
import json
import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any

from supatoss.toss.times import SEOUL

MAX_BODY_BYTES = 1024 * 1024
"""Longer bodies are not written again to find out; Toss's longest documented one is about 4 KiB."""

_HEX = re.compile(rb"[0-9a-fA-F]{64}")
_DOUBLE_QUOTES = b"\"' "


class Damage(StrEnum):
    """What was altered after it was signed, or signed with."""

    UPPER_CASE = "upper_case"
    BASE64 = "base64"
    TIME = "time"
    LINE_ENDS = "line_ends"
    JSON = "json"
    KIND_OF_KEY = "kind_of_key"


WORDS = {
    Damage.UPPER_CASE: "the hex digits are in capitals; they are to be lower-case",
    Damage.BASE64: "the base64 was altered, as URL decoding or quoting does ('+' became ' ', '/' became '_')",
    Damage.TIME: "the transmission time was written anew; it is to be taken exactly as it came",
    Damage.LINE_ENDS: "line ends, blanks or a byte order mark were added or lost around the body",
    Damage.JSON: "the JSON was read and written again; the signature covers the bytes as they came",
    Damage.KIND_OF_KEY: "the wrong kind of key: hex takes a secret key (test_sk_…), v1 a security key (64 hex digits)",
}

Candidate = tuple[bytes, Damage | None]


def is_hex(signature: bytes) -> bool:
    """Whether it looks like the guide's form."""
    return _HEX.fullmatch(signature.strip(_DOUBLE_QUOTES)) is not None


def is_v1(signature: bytes) -> bool:
    """Whether it looks like Toss's form."""
    return b"v1:" in signature


def signatures(signature: bytes) -> Iterator[Candidate]:
    """The signature as it came, and as it may have been."""
    yield signature, None
    if is_hex(signature):
        yield signature.strip(_DOUBLE_QUOTES).lower(), Damage.UPPER_CASE
    else:
        repaired = signature.strip(_DOUBLE_QUOTES).replace(b", v1", b",v1").replace(b" ", b"+")
        yield repaired.replace(b"-", b"+").replace(b"_", b"/"), Damage.BASE64


def times(sent_at: bytes) -> Iterator[Candidate]:
    """The transmission time as it came, and as Toss and others may have written it."""
    yield sent_at, None
    text = sent_at.decode("latin-1").strip()
    repaired = re.sub(r" (?=\d\d:\d\d$)", "+", text).replace(" ", "T", 1)
    written = {repaired}
    try:
        moment = dt.datetime.fromisoformat(repaired)
    except ValueError:
        moment = None
    if moment is not None:
        korean = (moment if moment.tzinfo else moment.replace(tzinfo=SEOUL)).astimezone(SEOUL)
        for zoned in (korean, korean.astimezone(dt.UTC)):
            for precision in ("seconds", "milliseconds", "microseconds"):
                form = zoned.isoformat(timespec=precision)
                written |= {form, form.replace("+00:00", "Z"), form.removesuffix("+09:00")}
    yield from ((form.encode("latin-1"), Damage.TIME) for form in sorted(written - {sent_at.decode("latin-1")}))


def bodies(body: bytes) -> Iterator[Candidate]:
    """The body as it came, and as it may have been before it was read and written."""
    yield body, None
    bare = body.removeprefix(b"\xef\xbb\xbf").strip()
    unix = bare.replace(b"\r\n", b"\n")
    for candidate in dict.fromkeys((bare, unix, bare + b"\n", bare + b"\r\n", unix.replace(b"\n", b"\r\n"))):
        if candidate != body:
            yield candidate, Damage.LINE_ENDS
    try:
        value = json.loads(bare) if len(body) <= MAX_BODY_BYTES else None
        written = [write(numbers(value)).encode() for write in _WRITERS for numbers in _NUMBERS] if value else []
    except (ValueError, OverflowError, RecursionError):
        return
    for candidate in dict.fromkeys(written):
        if candidate != body:
            yield candidate, Damage.JSON


def _as_it_is(value: Any) -> Any:
    return value


def _whole_numbers(value: Any) -> Any:
    """5000.0 as 5000, which is what JavaScript writes."""
    return _each_number(value, "", lambda _name, number: int(number) if number == int(number) else number)


def _decimal_values(value: Any) -> Any:
    """5000 as 5000.0 where Toss writes it so: the value of a payout's amount."""
    return _each_number(value, "", lambda name, number: float(number) if name == "value" else number)


def _each_number(value: Any, name: str, change: Callable[[str, Any], Any]) -> Any:
    match value:
        case bool() | str() | None:
            return value
        case dict():
            return {key: _each_number(item, key, change) for key, item in value.items()}
        case list():
            return [_each_number(item, name, change) for item in value]
        case _:
            return change(name, value)


def _writer(**options: Any) -> Callable[[Any], str]:
    return lambda value: json.dumps(value, **options)


def _php(value: Any) -> str:
    """PHP escapes Korean and slashes."""
    return json.dumps(value, separators=(",", ":")).replace("/", "\\/")


_COMPACT = (",", ":")
_NUMBERS = (_as_it_is, _whole_numbers, _decimal_values)
_WRITERS = (
    _writer(ensure_ascii=False, separators=_COMPACT),
    _writer(separators=_COMPACT),
    _writer(ensure_ascii=False),
    _writer(),
    _writer(ensure_ascii=False, indent=2),
    _writer(ensure_ascii=False, indent=4),
    _writer(ensure_ascii=False, separators=_COMPACT, sort_keys=True),
    _writer(ensure_ascii=False, sort_keys=True),
    _php,
)
