"""Why a signature is wrong, for a person: compares it with what goes wrong in practice. Pure; believes nothing.

The endpoint asks check_signature alone. Source of the list: threads about signatures in Toss's developer community
(techchat.tosspayments.com).
"""

import datetime as dt
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from typing import Any

from supatoss.toss.delivery import Delivery
from supatoss.toss.fields import SEOUL
from supatoss.toss.signature import Keys, SignatureCheck, check_signature

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


class Finding(StrEnum):
    """What was found out about a signature."""

    VALID = "valid"
    NO_SIGNATURE = "no_signature"
    NO_TIME = "no_time"
    NO_KEY = "no_key"
    UNKNOWN_FORM = "unknown_form"
    DAMAGED = "damaged"
    NO_MATCH = "no_match"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found, in words. check and key_number (from 1) where some key matches, damages where only then."""

    finding: Finding
    explanation: str
    check: SignatureCheck | None = None
    key_number: int | None = None
    damages: tuple[Damage, ...] = ()

    @property
    def is_valid(self) -> bool:
        """Whether the endpoint would believe it."""
        return self.finding is Finding.VALID


def diagnose(delivery: Delivery, keys: Keys) -> Diagnosis:
    """Says whether a delivery's signature is right, with which key, or the most likely reason why not."""
    match = _matching_key(delivery, keys)
    if match:
        return Diagnosis(Finding.VALID, _SIGNED[match[0]], *match)
    return _incomplete(delivery, keys) or _damaged(delivery, keys) or _unexplained(delivery, keys)


_SIGNED = {
    SignatureCheck.HEX: "lower-case hex with a secret key, the form of the guide",
    SignatureCheck.V1_TEXT_KEY: "v1 with the text of a security key, the form of Toss",
    SignatureCheck.V1_DECODED_KEY: "v1 with the 32 bytes of a security key, the form of Toss",
}


def _incomplete(delivery: Delivery, keys: Keys) -> Diagnosis | None:
    if delivery.signature is None:
        return Diagnosis(
            Finding.NO_SIGNATURE, "there is no signature; Toss signs payout.changed and seller.changed only"
        )
    if delivery.transmission_time is None:
        return Diagnosis(Finding.NO_TIME, "there is no transmission time, and the signature covers it")
    if not is_hex(delivery.signature) and not is_v1(delivery.signature):
        return Diagnosis(Finding.UNKNOWN_FORM, "the signature is neither 64 hex digits nor v1:<base64> values")
    if not (keys.secret_keys or keys.security_keys):
        return Diagnosis(Finding.NO_KEY, "there is no key to check it with")
    return None


def _damaged(delivery: Delivery, keys: Keys) -> Diagnosis | None:
    """The fewest damages that explain the signature."""
    for found in sorted(_guesses(delivery), key=lambda guess: len(guess[1])):
        guess, causes = found
        for kind, more in ((keys, ()), (Keys(keys.security_keys, keys.secret_keys), (Damage.KIND_OF_KEY,))):
            match = _matching_key(guess, kind)
            if match:
                all_causes = (*causes, *more)
                words = "; ".join(WORDS[damage] for damage in all_causes)
                return Diagnosis(Finding.DAMAGED, words, *match, all_causes)
    return None


def _guesses(delivery: Delivery) -> Iterator[tuple[Delivery, tuple[Damage, ...]]]:
    """Deliveries that may have become this one, each with what must have happened to it."""
    for parts in product(
        signatures(delivery.signature or b""),
        times(delivery.transmission_time or b""),
        bodies(delivery.body),
    ):
        (signature, _), (sent_at, _), (body, _) = parts
        causes = tuple(cause for _, cause in parts if cause is not None)
        yield Delivery(body=body, signature=signature, transmission_time=sent_at), causes


def _matching_key(delivery: Delivery, keys: Keys) -> tuple[SignatureCheck, int] | None:
    """In which form, and with the how many-th key of its list."""
    alone = [
        *((number, Keys((key,))) for number, key in enumerate(keys.secret_keys, 1)),
        *((number, Keys((), (key,))) for number, key in enumerate(keys.security_keys, 1)),
    ]
    for number, key in alone:
        check = check_signature(delivery, key)
        if check.is_valid:
            return check, number
    return None


def _unexplained(delivery: Delivery, keys: Keys) -> Diagnosis:
    form, held = ("secret", keys.secret_keys) if is_hex(delivery.signature or b"") else ("security", keys.security_keys)
    if not held:
        return Diagnosis(Finding.NO_KEY, f"there is no {form} key to check it with, and none of the others fits")
    return Diagnosis(
        Finding.NO_MATCH,
        f"none of the keys ({len(held)} {form}) made it for these bytes and this time:"
        " another key signed it, or the body was altered",
    )
