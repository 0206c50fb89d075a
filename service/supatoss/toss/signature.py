"""Signatures of deliveries: the hex form of the merchant's guide and the `v1:` form of Toss.

Both are HMAC-SHA256 over the raw body, one colon, and the transmission time exactly as it was received.

- hex form: one lower-case hex digest, keyed with the secret key.
- `v1:` form (payout.changed, seller.changed): `v1:<base64>[,v1:<base64>]`, keyed with the security key, one value per
  key that is alive. Source: docs.tosspayments.com, webhook event reference. Whether the key is the 64 hex characters or
  the 32 bytes they stand for is not documented, so both are accepted; both come from the same secret.
"""

import base64
import binascii
import datetime as dt
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from supatoss.toss.delivery import Delivery
from supatoss.toss.fields import parse_time

MAX_AHEAD = dt.timedelta(minutes=10)
"""How far a sender's clock may be ahead of ours."""

_HEX_KEY = re.compile(r"[0-9a-fA-F]{64}")
_DIGEST_BYTES = 32


class SignatureCheck(StrEnum):
    """The check of a delivery's signature: the form that is valid, else why none is."""

    HEX = "hex"
    V1_TEXT_KEY = "v1_text_key"
    V1_DECODED_KEY = "v1_decoded_key"
    MISSING = "missing"
    INVALID = "invalid"

    @property
    def is_valid(self) -> bool:
        """Whether it proves that the delivery is genuine."""
        return self not in (SignatureCheck.MISSING, SignatureCheck.INVALID)


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys that may have signed, newest first; several, because a re-issued key overlaps the old one."""

    secret_keys: Sequence[str] = field(repr=False)
    security_keys: Sequence[str] = field(default=(), repr=False)


def check_signature(delivery: Delivery, keys: Keys) -> SignatureCheck:
    """Checks a delivery against every key. Never raises, whatever the bytes."""
    if delivery.signature is None:
        return SignatureCheck.MISSING
    if delivery.transmission_time is None:
        return SignatureCheck.INVALID
    message = delivery.body + b":" + delivery.transmission_time
    if b":" not in delivery.signature:
        return _check_hex(delivery.signature, message, keys.secret_keys)
    return _check_v1(delivery.signature, message, keys.security_keys)


def is_fresh(delivery: Delivery, now: dt.datetime, max_age: dt.timedelta) -> bool:
    """Whether the transmission time, which the signature covers, is near enough; not if it can't be read.

    Toss stamps and signs each attempt anew (community payloads; `createdAt` keeps the first time).
    """
    sent_at = read_sent_at(delivery.transmission_time or b"")
    return sent_at is not None and now - max_age <= sent_at <= now + MAX_AHEAD


@lru_cache(maxsize=64)
def read_sent_at(transmission_time: bytes) -> dt.datetime | None:
    """A transmission time in UTC, None if it can't be read. Cached: needed twice, and the same for all of a second."""
    return parse_time(transmission_time.decode("latin-1"))


def sign_hex(body: bytes, transmission_time: str, secret_key: str) -> str:
    """Signs in the hex form."""
    return _mac(secret_key.encode(), body + b":" + transmission_time.encode()).hex()


def sign_v1(body: bytes, transmission_time: str, *security_keys: str) -> str:
    """Signs in the `v1:` form, one value per key, with the keys' text."""
    message = body + b":" + transmission_time.encode()
    return ",".join(f"v1:{base64.b64encode(_mac(key.encode(), message)).decode()}" for key in security_keys)


def _check_hex(signature: bytes, message: bytes, secret_keys: Sequence[str]) -> SignatureCheck:
    given = signature.strip()
    matches = [hmac.compare_digest(_mac(key.encode(), message).hex().encode(), given) for key in secret_keys]
    return SignatureCheck.HEX if any(matches) else SignatureCheck.INVALID


def _check_v1(signature: bytes, message: bytes, security_keys: Sequence[str]) -> SignatureCheck:
    given = [digest for item in signature.split(b",") if (digest := _decode_v1(item))]
    for form, derived in (
        (SignatureCheck.V1_TEXT_KEY, [key.encode() for key in security_keys]),
        (SignatureCheck.V1_DECODED_KEY, [bytes.fromhex(key) for key in security_keys if _HEX_KEY.fullmatch(key)]),
    ):
        expected = [_mac(key, message) for key in derived]
        matches = [hmac.compare_digest(mac, digest) for mac in expected for digest in given]
        if any(matches):
            return form
    return SignatureCheck.INVALID


def _decode_v1(item: bytes) -> bytes | None:
    """The digest in one `v1:` item, None for anything else; values of a later version are skipped."""
    version, _, value = item.strip().partition(b":")
    if version != b"v1":
        return None
    try:
        digest = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None
    return digest if len(digest) == _DIGEST_BYTES else None


def _mac(key: bytes, message: bytes) -> bytes:
    mac = _keyed(key).copy()
    mac.update(message)
    return mac.digest()


@lru_cache(maxsize=16)
def _keyed(key: bytes) -> hmac.HMAC:
    """Keyed once: that takes longer than the hash of a delivery."""
    return hmac.new(key, digestmod=hashlib.sha256)
