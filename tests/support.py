"""What several kinds of tests share: Toss's example deliveries, the guide's bodies, and signed requests."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from supatoss.toss.delivery import SIGNATURE_HEADER, TIME_HEADER
from supatoss.toss.signature import sign_hex, sign_v1

FIXTURES = Path(__file__).parent / "fixtures"

SECRET_KEY = "test_sk_made_up_for_tests_0001"
NEWER_KEY = "test_sk_newer_than_the_other_one"
SECURITY_KEY = "5e88ea7b1b755d2bf6642fb6b04ea601cdcc7fcafc859cb75ce76937a264b28a"
OLDER_SECURITY_KEY = "2aaf7d2b06be1f51a71f3f5ee0292d48f6247d9dbb61a06dcc3ea559f6ff4a0f"
"""The keys of signature_vectors.json; Toss lets two live for seven days."""

TRANSMISSION_TIME = "2026-03-14T10:21:08+09:00"

ANY_AGE_HOURS = 1_000_000
"""For services that get deliveries of days that never change."""

GUIDE_PAYMENT: dict[str, Any] = {
    "eventType": "PAYMENT_STATUS_CHANGED",
    "data": {
        "paymentKey": "tviva20240101000001...",
        "orderId": "order_123456",
        "status": "DONE",
        "approvedAt": "2024-01-01T10:00:00+09:00",
        "totalAmount": 9900,
    },
}
GUIDE_DEPOSIT: dict[str, Any] = {
    "eventType": "VIRTUAL_ACCOUNT_DEPOSIT",
    "data": {
        "paymentKey": "tviva20240101000002...",
        "orderId": "order_123456",
        "secret": "secret_key_...",
        "depositedAt": "2024-01-01T10:00:00+09:00",
    },
}
GUIDE_BILLING_KEY: dict[str, Any] = {
    "eventType": "BILLING_KEY_ISSUED",
    "data": {
        "billingKey": "billing_key_...",
        "customerKey": "customer_123",
        "issuedAt": "2024-01-01T10:00:00+09:00",
    },
}
GUIDE_BODIES = (GUIDE_PAYMENT, GUIDE_DEPOSIT, GUIDE_BILLING_KEY)


@dataclass(frozen=True, slots=True)
class Example:
    """One delivery of examples.jsonl. Headers are those that Toss would send."""

    name: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def raw(self) -> bytes:
        return raw_body(self.body)


@dataclass(frozen=True, slots=True)
class Vector:
    """One signature of signature_vectors.json, in both derivations of the key."""

    name: str
    raw_body_utf8: str
    transmission_time: str
    security_keys_hex: list[str]
    expected_valid: bool
    key_bytes_used_in_header: str
    signature_header: str
    header_if_ascii_key: str
    header_if_hex_decoded_key: str


def raw_body(body: object) -> bytes:
    """The bytes that the examples' signatures cover."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


@cache
def examples() -> tuple[Example, ...]:
    lines = (FIXTURES / "examples.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(Example(line["name"], line["headers"], line["body"]) for line in map(json.loads, lines))


def example(name: str) -> Example:
    (found,) = (item for item in examples() if item.name == name)
    return found


@cache
def vectors() -> tuple[Vector, ...]:
    document = json.loads((FIXTURES / "signature_vectors.json").read_text(encoding="utf-8"))
    return tuple(Vector(**item) for item in document["vectors"])


def signed_headers(body: bytes, secret_key: str = SECRET_KEY, sent_at: str = TRANSMISSION_TIME) -> dict[str, str]:
    """Headers of a delivery in the guide's form: signed with the secret key, as hex."""
    return {
        "content-type": "application/json",
        TIME_HEADER: sent_at,
        SIGNATURE_HEADER: sign_hex(body, sent_at, secret_key),
    }


def v1_signed_headers(body: bytes, *security_keys: str, sent_at: str = TRANSMISSION_TIME) -> dict[str, str]:
    """Headers of a delivery in Toss's form: one `v1:` value for each security key."""
    signature = sign_v1(body, sent_at, *(security_keys or (SECURITY_KEY,)))
    return {"content-type": "application/json", TIME_HEADER: sent_at, SIGNATURE_HEADER: signature}
