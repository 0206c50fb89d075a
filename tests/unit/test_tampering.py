"""Why a signature is invalid: every tampering that integrations report is found, and no altered delivery is valid."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supatoss.toss.delivery import Delivery
from supatoss.toss.signature import Keys, SignatureCheck, check_signature, sign_hex, sign_v1
from supatoss.toss.tampering import SignatureResult, Tampering, diagnose
from tests.support import OLDER_SECURITY_KEY, SECRET_KEY, SECURITY_KEY, vectors

SENT_AT = "2026-05-06T10:00:05+09:00"
BODY = '{"eventType":"payout.changed","entityBody":{"amount":{"value":5000.0},"name":"5월/정산"}}'.encode()
KEYS = Keys(("test_sk_newest", SECRET_KEY), (SECURITY_KEY, OLDER_SECURITY_KEY))
HEX = Delivery(BODY, sign_hex(BODY, SENT_AT, SECRET_KEY).encode(), SENT_AT.encode())
V1 = Delivery(BODY, sign_v1(BODY, SENT_AT, OLDER_SECURITY_KEY).encode(), SENT_AT.encode())


def rewritten(write: Callable[[Any], str]) -> bytes:
    return write(json.loads(BODY)).encode()


@pytest.mark.parametrize(
    ("delivery", "check", "number"),
    [(HEX, SignatureCheck.HEX, 2), (V1, SignatureCheck.V1_TEXT_KEY, 2)],
)
def test_a_valid_one_says_its_form_and_its_key(delivery: Delivery, check: SignatureCheck, number: int) -> None:
    found = diagnose(delivery, KEYS)
    assert (found.result, found.check, found.key_number, found.tamperings) == (SignatureResult.VALID, check, number, ())


@pytest.mark.parametrize("vector", [vector for vector in vectors() if vector.expected_valid], ids=lambda v: v.name)
def test_the_vectors_of_both_derivations_are_valid(vector: Any) -> None:
    delivery = Delivery(
        vector.raw_body_utf8.encode(), vector.signature_header.encode(), vector.transmission_time.encode()
    )
    assert diagnose(delivery, Keys((), vector.security_keys_hex)).is_valid


@pytest.mark.parametrize(
    ("altered", "tamperings"),
    [
        ({"body": rewritten(json.dumps)}, {Tampering.JSON}),
        ({"body": rewritten(lambda value: json.dumps(value, indent=2))}, {Tampering.JSON}),
        ({"body": BODY.replace(b"5000.0", b"5000")}, {Tampering.JSON}),
        ({"body": BODY + b"\n"}, {Tampering.LINE_ENDS}),
        ({"body": b"\xef\xbb\xbf" + BODY}, {Tampering.LINE_ENDS}),
        ({"transmission_time": b"2026-05-06T01:00:05Z"}, {Tampering.TIME}),
        ({"transmission_time": b"2026-05-06T10:00:05 09:00"}, {Tampering.TIME}),
        ({"transmission_time": b"2026-05-06T10:00:05.000+09:00"}, {Tampering.TIME}),
        ({"signature": (HEX.signature or b"").upper()}, {Tampering.UPPER_CASE}),
        ({"body": BODY + b"\r\n", "transmission_time": b"2026-05-06T01:00:05Z"}, {Tampering.LINE_ENDS, Tampering.TIME}),
        ({"signature": sign_hex(BODY, SENT_AT, SECURITY_KEY).encode()}, {Tampering.KIND_OF_KEY}),
        ({"signature": sign_v1(BODY, SENT_AT, SECRET_KEY).encode()}, {Tampering.KIND_OF_KEY}),
    ],
)
def test_a_tampering_is_named_and_no_other(altered: dict[str, Any], tamperings: set[Tampering]) -> None:
    delivery = replace(HEX, **altered)
    found = diagnose(delivery, KEYS)
    assert not check_signature(delivery, KEYS).is_valid
    assert (found.result, set(found.tamperings)) == (SignatureResult.TAMPERED, tamperings)
    assert not found.is_valid


def test_a_v1_value_that_went_through_a_url_is_named() -> None:
    body = next(
        body
        for number in range(100)
        if b"+" in sign_v1(body := b'{"n":%d}' % number, SENT_AT, SECURITY_KEY).encode().removeprefix(b"v1:")
    )
    signature = sign_v1(body, SENT_AT, SECURITY_KEY).replace("+", " ").encode()
    found = diagnose(Delivery(body, signature, SENT_AT.encode()), KEYS)
    assert found.tamperings == (Tampering.BASE64,)


@pytest.mark.parametrize(
    ("delivery", "keys", "result"),
    [
        (replace(HEX, signature=None), KEYS, SignatureResult.NO_SIGNATURE),
        (replace(HEX, transmission_time=None), KEYS, SignatureResult.NO_TIME),
        (replace(HEX, signature=b"sha256=abc"), KEYS, SignatureResult.UNKNOWN_FORM),
        (HEX, Keys(()), SignatureResult.NO_KEY),
        (V1, Keys(("test_sk_other",)), SignatureResult.NO_KEY),
        (HEX, Keys(("test_sk_other",)), SignatureResult.NO_MATCH),
        (replace(HEX, body=BODY.replace(b"5000", b"6000")), KEYS, SignatureResult.NO_MATCH),
    ],
)
def test_what_no_tampering_explains_says_what_is_missing(
    delivery: Delivery, keys: Keys, result: SignatureResult
) -> None:
    assert diagnose(delivery, keys).result is result


def test_explanations_name_no_key_and_no_signature() -> None:
    for delivery in (HEX, V1, replace(HEX, body=BODY + b"\n"), replace(HEX, body=b"{}")):
        explanation = diagnose(delivery, KEYS).explanation
        assert not any(key in explanation for key in (*KEYS.secret_keys, *KEYS.security_keys))
        assert (delivery.signature or b"-").decode() not in explanation


@pytest.mark.parametrize("body", [b"[NaN, 1e999]", b"[" * 100_000, b"\xff\xfe", b"", b"null", b'{"a":1e999}'])
def test_any_body_has_a_finding(body: bytes) -> None:
    assert diagnose(replace(HEX, body=body), KEYS).result is SignatureResult.NO_MATCH


@given(body=st.binary(max_size=60), signature=st.binary(max_size=80), sent_at=st.binary(max_size=40))
def test_it_agrees_with_the_endpoint_whatever_the_bytes(body: bytes, signature: bytes, sent_at: bytes) -> None:
    delivery = Delivery(body, signature, sent_at)
    assert diagnose(delivery, KEYS).is_valid == check_signature(delivery, KEYS).is_valid
