"""Why a signature is right or wrong, for a person: tries what goes wrong in practice. Pure; never used to believe one.

The endpoint asks check_signature alone. Here a signature that does not match is compared with those of the damages that
integrations report: another key, JSON that was read and written again, a time that was written anew.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import product

from supatoss.toss import damages
from supatoss.toss.damages import Damage
from supatoss.toss.delivery import Delivery
from supatoss.toss.signature import Keys, SignatureCheck, check_signature


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
    if not damages.is_hex(delivery.signature) and not damages.is_v1(delivery.signature):
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
                words = "; ".join(damages.WORDS[damage] for damage in all_causes)
                return Diagnosis(Finding.DAMAGED, words, *match, all_causes)
    return None


def _guesses(delivery: Delivery) -> Iterator[tuple[Delivery, tuple[Damage, ...]]]:
    """Deliveries that may have become this one, each with what must have happened to it."""
    for parts in product(
        damages.signatures(delivery.signature or b""),
        damages.times(delivery.transmission_time or b""),
        damages.bodies(delivery.body),
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
    form, held = (
        ("secret", keys.secret_keys) if damages.is_hex(delivery.signature or b"") else ("security", keys.security_keys)
    )
    if not held:
        return Diagnosis(Finding.NO_KEY, f"there is no {form} key to check it with, and none of the others fits")
    return Diagnosis(
        Finding.NO_MATCH,
        f"none of the keys ({len(held)} {form}) made it for these bytes and this time:"
        " another key signed it, or the body was altered",
    )
