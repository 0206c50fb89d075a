"""Explains why a signature is invalid, by undoing the mistakes that integrations make. Pure; accepts nothing.

The endpoint uses check_signature alone. Source of the mistakes: threads about signatures in Toss's developer community
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
"""Larger bodies are not re-serialised; Toss's largest documented one is about 4 KiB."""

_HEX = re.compile(rb"[0-9a-fA-F]{64}")
_DOUBLE_QUOTES = b"\"' "


class Tampering(StrEnum):
    """What was changed after signing, or the kind of key that was mixed up."""

    UPPER_CASE = "upper_case"
    BASE64 = "base64"
    TIME = "time"
    LINE_ENDS = "line_ends"
    JSON = "json"
    KIND_OF_KEY = "kind_of_key"


EXPLANATIONS = {
    Tampering.UPPER_CASE: "the hex digits are upper-case; they have to be lower-case",
    Tampering.BASE64: "the base64 was altered, as URL decoding or quoting does ('+' became ' ', '/' became '_')",
    Tampering.TIME: "the transmission time was reformatted; use it exactly as received",
    Tampering.LINE_ENDS: "line endings, whitespace or a byte order mark were added to or stripped from the body",
    Tampering.JSON: "the JSON was parsed and re-serialised; the signature covers the bytes as received",
    Tampering.KIND_OF_KEY: "the wrong kind of key: hex needs a secret key (test_sk_…), v1 a security key (64 hex)",
}

Candidate = tuple[bytes, Tampering | None]


def is_hex(signature: bytes) -> bool:
    """Whether it looks like the guide's form."""
    return _HEX.fullmatch(signature.strip(_DOUBLE_QUOTES)) is not None


def is_v1(signature: bytes) -> bool:
    """Whether it looks like Toss's form."""
    return b"v1:" in signature


def signatures(signature: bytes) -> Iterator[Candidate]:
    """The signature as received, and as it may have been sent."""
    yield signature, None
    if is_hex(signature):
        yield signature.strip(_DOUBLE_QUOTES).lower(), Tampering.UPPER_CASE
    else:
        repaired = signature.strip(_DOUBLE_QUOTES).replace(b", v1", b",v1").replace(b" ", b"+")
        yield repaired.replace(b"-", b"+").replace(b"_", b"/"), Tampering.BASE64


def times(sent_at: bytes) -> Iterator[Candidate]:
    """The transmission time as received, and as Toss and others may have written it."""
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
    yield from ((form.encode("latin-1"), Tampering.TIME) for form in sorted(written - {sent_at.decode("latin-1")}))


def bodies(body: bytes) -> Iterator[Candidate]:
    """The body as received, and as it may have been before it was re-serialised."""
    yield body, None
    bare = body.removeprefix(b"\xef\xbb\xbf").strip()
    unix = bare.replace(b"\r\n", b"\n")
    for candidate in dict.fromkeys((bare, unix, bare + b"\n", bare + b"\r\n", unix.replace(b"\n", b"\r\n"))):
        if candidate != body:
            yield candidate, Tampering.LINE_ENDS
    try:
        value = json.loads(bare) if len(body) <= MAX_BODY_BYTES else None
        written = [write(numbers(value)).encode() for write in _WRITERS for numbers in _NUMBERS] if value else []
    except (ValueError, OverflowError, RecursionError):
        return
    for candidate in dict.fromkeys(written):
        if candidate != body:
            yield candidate, Tampering.JSON


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


class SignatureResult(StrEnum):
    """What a check of a signature found."""

    VALID = "valid"
    NO_SIGNATURE = "no_signature"
    NO_TIME = "no_time"
    NO_KEY = "no_key"
    UNKNOWN_FORM = "unknown_form"
    TAMPERED = "tampered"
    NO_MATCH = "no_match"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The result, explained. check and key_number (from 1): where a key matches; tamperings: what it took to match."""

    result: SignatureResult
    explanation: str
    check: SignatureCheck | None = None
    key_number: int | None = None
    tamperings: tuple[Tampering, ...] = ()

    @property
    def is_valid(self) -> bool:
        """Whether the endpoint would accept it."""
        return self.result is SignatureResult.VALID


def diagnose(delivery: Delivery, keys: Keys) -> Diagnosis:
    """Whether a delivery's signature is valid, with which key, or the most likely reason why not."""
    match = _matching_key(delivery, keys)
    if match:
        return Diagnosis(SignatureResult.VALID, _SIGNED[match[0]], *match)
    return _incomplete(delivery, keys) or _tampered(delivery, keys) or _unexplained(delivery, keys)


_SIGNED = {
    SignatureCheck.HEX: "lower-case hex with a secret key, the merchant guide's form",
    SignatureCheck.V1_TEXT_KEY: "v1 with the text of a security key, Toss's form",
    SignatureCheck.V1_DECODED_KEY: "v1 with the 32 bytes of a security key, Toss's form",
}


def _incomplete(delivery: Delivery, keys: Keys) -> Diagnosis | None:
    if delivery.signature is None:
        return Diagnosis(
            SignatureResult.NO_SIGNATURE, "there is no signature; Toss signs payout.changed and seller.changed only"
        )
    if delivery.transmission_time is None:
        return Diagnosis(SignatureResult.NO_TIME, "there is no transmission time, which the signature covers")
    if not is_hex(delivery.signature) and not is_v1(delivery.signature):
        return Diagnosis(SignatureResult.UNKNOWN_FORM, "the signature is neither 64 hex digits nor v1:<base64> values")
    if not (keys.secret_keys or keys.security_keys):
        return Diagnosis(SignatureResult.NO_KEY, "there is no key to check it with")
    return None


def _tampered(delivery: Delivery, keys: Keys) -> Diagnosis | None:
    """The fewest tamperings that explain the signature."""
    for found in sorted(_guesses(delivery), key=lambda guess: len(guess[1])):
        guess, tamperings = found
        for kind, more in ((keys, ()), (Keys(keys.security_keys, keys.secret_keys), (Tampering.KIND_OF_KEY,))):
            match = _matching_key(guess, kind)
            if match:
                all_tamperings = (*tamperings, *more)
                words = "; ".join(EXPLANATIONS[tampering] for tampering in all_tamperings)
                return Diagnosis(SignatureResult.TAMPERED, words, *match, all_tamperings)
    return None


def _guesses(delivery: Delivery) -> Iterator[tuple[Delivery, tuple[Tampering, ...]]]:
    """Deliveries that this one may have been, each with the tamperings that made it this one."""
    for parts in product(
        signatures(delivery.signature or b""),
        times(delivery.transmission_time or b""),
        bodies(delivery.body),
    ):
        (signature, _), (sent_at, _), (body, _) = parts
        tamperings = tuple(tampering for _, tampering in parts if tampering is not None)
        yield Delivery(body=body, signature=signature, transmission_time=sent_at), tamperings


def _matching_key(delivery: Delivery, keys: Keys) -> tuple[SignatureCheck, int] | None:
    """The form that is valid, and the number of the key in its list."""
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
        return Diagnosis(SignatureResult.NO_KEY, f"there is no {form} key to check it with, and no other key matches")
    return Diagnosis(
        SignatureResult.NO_MATCH,
        f"none of the keys ({len(held)} {form}) signed these bytes at this time:"
        " another key signed them, or the body was altered",
    )
