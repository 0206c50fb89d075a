import base64
import hashlib
import hmac

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from supatoss.toss.delivery import Delivery
from supatoss.toss.signature import Keys, SignatureCheck, check_signature, sign_hex, sign_v1
from tests.support import OLDER_SECURITY_KEY, SECRET_KEY, SECURITY_KEY, TRANSMISSION_TIME, Vector, vectors

BODY = '{"eventType":"PAYMENT_STATUS_CHANGED","data":{"orderName":"가상 상품"}}'.encode()
KEYS = Keys((SECRET_KEY,), (SECURITY_KEY,))
HEX = sign_hex(BODY, TRANSMISSION_TIME, SECRET_KEY)
V1 = sign_v1(BODY, TRANSMISSION_TIME, SECURITY_KEY)


def check(
    signature: str | bytes | None, body: bytes = BODY, sent_at: str | None = TRANSMISSION_TIME, keys: Keys = KEYS
) -> SignatureCheck:
    raw = signature.encode() if isinstance(signature, str) else signature
    return check_signature(Delivery(body, raw, sent_at.encode() if sent_at is not None else None), keys)


def v1_value(mac: bytes) -> str:
    return f"v1:{base64.b64encode(mac).decode()}"


def check_vector(vector: Vector, header: str, keys: list[str]) -> SignatureCheck:
    return check(header, vector.raw_body_utf8.encode(), vector.transmission_time, Keys((), keys))


@pytest.mark.parametrize("vector", vectors(), ids=lambda vector: vector.name)
class TestVectors:
    def test_the_header_of_the_example_is_judged_as_the_vector_says(self, vector: Vector) -> None:
        forms = {"ascii": SignatureCheck.V1_TEXT_KEY, "hex": SignatureCheck.V1_DECODED_KEY}
        expected = forms[vector.key_bytes_used_in_header] if vector.expected_valid else SignatureCheck.INVALID
        assert check_vector(vector, vector.signature_header, vector.security_keys_hex) is expected

    def test_both_derivations_of_the_key_are_valid(self, vector: Vector) -> None:
        keys = vector.security_keys_hex
        assert check_vector(vector, vector.header_if_ascii_key, keys) is SignatureCheck.V1_TEXT_KEY
        assert check_vector(vector, vector.header_if_hex_decoded_key, keys) is SignatureCheck.V1_DECODED_KEY

    @pytest.mark.parametrize("position", [0, 1])
    def test_either_value_is_enough_with_either_key(self, vector: Vector, position: int) -> None:
        key = vector.security_keys_hex[position]
        for header in (vector.header_if_ascii_key, vector.header_if_hex_decoded_key):
            value = header.split(",")[position]
            assert check_vector(vector, header, [key]).is_valid
            assert check_vector(vector, value, vector.security_keys_hex).is_valid
            assert check_vector(vector, value, [key]).is_valid
            assert not check_vector(vector, value, [vector.security_keys_hex[1 - position]]).is_valid

    def test_the_keys_of_others_are_invalid(self, vector: Vector) -> None:
        assert not check_vector(vector, vector.header_if_ascii_key, ["0" * 64]).is_valid
        assert not check_vector(vector, vector.header_if_hex_decoded_key, []).is_valid

    def test_our_own_signer_makes_the_header_of_the_vector(self, vector: Vector) -> None:
        body = vector.raw_body_utf8.encode()
        assert sign_v1(body, vector.transmission_time, *vector.security_keys_hex) == vector.header_if_ascii_key


class TestHexForm:
    def test_is_the_hex_hmac_of_body_colon_time(self) -> None:
        expected = hmac.new(SECRET_KEY.encode(), BODY + b":" + TRANSMISSION_TIME.encode(), hashlib.sha256).hexdigest()
        assert expected == HEX
        assert check(HEX) is SignatureCheck.HEX

    @pytest.mark.parametrize("signature", [f" {HEX}", f"{HEX} ", f"\t{HEX}\r\n"], ids=["before", "after", "lines"])
    def test_whitespace_around_it_does_not_count(self, signature: str) -> None:
        assert check(signature) is SignatureCheck.HEX

    @pytest.mark.parametrize(
        "signature",
        [
            HEX.upper(),
            HEX.title(),
            HEX[:-1],
            HEX + "0",
            HEX + HEX,
            f"{HEX},{HEX}",
            f"{HEX[:32]} {HEX[32:]}",
            f"sha256={HEX}",
            f"0x{HEX}",
            f"\ufeff{HEX}",
            f"{HEX}\0",
            base64.b64encode(bytes.fromhex(HEX)).decode(),
            sign_hex(BODY, TRANSMISSION_TIME, "test_sk_of_somebody_else"),
            sign_hex(BODY, TRANSMISSION_TIME, ""),
            sign_hex(BODY, TRANSMISSION_TIME, SECURITY_KEY),
            sign_hex(BODY, "2026-03-14T10:21:09+09:00", SECRET_KEY),
            hashlib.sha256(BODY).hexdigest(),
            "",
            " ",
            "가",
        ],
    )
    def test_anything_else_is_invalid(self, signature: str) -> None:
        assert check(signature) is SignatureCheck.INVALID

    @pytest.mark.parametrize("body", [BODY + b" ", b" " + BODY, BODY[:-1], BODY.replace(b"PAYMENT", b"payment"), b""])
    def test_a_body_that_differs_is_invalid(self, body: bytes) -> None:
        assert check(HEX, body) is SignatureCheck.INVALID

    def test_every_single_changed_byte_is_invalid(self) -> None:
        for position in range(len(BODY)):
            changed = bytearray(BODY)
            changed[position] ^= 1
            assert check(HEX, bytes(changed)) is SignatureCheck.INVALID

    @pytest.mark.parametrize(
        "sent_at", ["2026-03-14T01:21:08Z", "2026-03-14T10:21:08 09:00", "2026-03-14T10:21:08+09:00 ", "", None]
    )
    def test_a_time_that_is_not_byte_for_byte_the_signed_one_is_invalid(self, sent_at: str | None) -> None:
        assert check(HEX, sent_at=sent_at) is SignatureCheck.INVALID

    def test_the_time_is_a_part_of_the_message_even_when_it_is_no_time(self) -> None:
        assert check(sign_hex(BODY, "whenever", SECRET_KEY), sent_at="whenever") is SignatureCheck.HEX

    @pytest.mark.parametrize("position", [0, 1, 2])
    def test_any_of_several_keys_may_have_signed(self, position: int) -> None:
        secret_keys = [f"test_sk_{number}" for number in range(3)]
        signature = sign_hex(BODY, TRANSMISSION_TIME, secret_keys[position])
        assert check(signature, keys=Keys(secret_keys)) is SignatureCheck.HEX
        assert check(signature, keys=Keys(secret_keys[:position])) is SignatureCheck.INVALID


class TestV1Form:
    def test_is_the_base64_hmac_of_body_colon_time(self) -> None:
        message = BODY + b":" + TRANSMISSION_TIME.encode()
        assert v1_value(hmac.digest(SECURITY_KEY.encode(), message, "sha256")) == V1
        assert check(V1) is SignatureCheck.V1_TEXT_KEY
        decoded = v1_value(hmac.digest(bytes.fromhex(SECURITY_KEY), message, "sha256"))
        assert check(decoded) is SignatureCheck.V1_DECODED_KEY

    @pytest.mark.parametrize(
        "signature",
        [
            f"v2:future,{V1}",
            f"{V1},v2:future",
            f"v0:,{V1},",
            f",,{V1}",
            f"v1:,{V1}",
            f"v1:!not base64!,{V1}",
            f"v1:{'A' * 43}=,{V1}",
            f" {V1} , v1:AAAA ",
            f"{V1},{HEX}",
        ],
    )
    def test_one_right_value_is_enough_beside_others(self, signature: str) -> None:
        assert check(signature) is SignatureCheck.V1_TEXT_KEY

    @pytest.mark.parametrize(
        "signature",
        [
            V1.upper(),
            V1.replace("v1:", "V1:"),
            V1.replace("v1:", "v2:"),
            V1.replace("v1:", "v1 :"),
            V1.replace("v1:", "v1: "),
            V1.replace("v1:", "v1::"),
            V1.replace("v1:", ":"),
            V1.rstrip("="),
            f"{V1}=",
            f"{V1}AAAA",
            f"v1:{HEX}",
            f"v1:{base64.b64encode(HEX.encode()).decode()}",
            sign_v1(BODY, TRANSMISSION_TIME, OLDER_SECURITY_KEY),
            sign_v1(BODY, TRANSMISSION_TIME, SECRET_KEY),
            "v1:",
            "v1",
            ":",
            ",",
            "v1:가",
        ],
    )
    def test_anything_else_is_invalid(self, signature: str) -> None:
        assert check(signature) is SignatureCheck.INVALID

    def test_the_alphabet_of_urls_is_not_the_one_of_the_header(self) -> None:
        times = (f"2026-03-14T10:21:{second:02}+09:00" for second in range(60))
        signatures = {sent_at: sign_v1(BODY, sent_at, SECURITY_KEY) for sent_at in times}
        for sent_at, signature in signatures.items():
            assert check(signature, sent_at=sent_at).is_valid
            damaged = signature.replace("+", "-").replace("/", "_")
            assert check(damaged, sent_at=sent_at).is_valid is (damaged == signature)
            assert check(signature.replace("+", " "), sent_at=sent_at).is_valid is ("+" not in signature)
        assert any("+" in signature for signature in signatures.values())
        assert any("/" in signature for signature in signatures.values())

    def test_a_right_mac_of_the_secret_key_does_not_pass_as_v1(self) -> None:
        mac = hmac.digest(SECRET_KEY.encode(), BODY + b":" + TRANSMISSION_TIME.encode(), "sha256")
        assert check(v1_value(mac)) is SignatureCheck.INVALID

    def test_a_security_key_that_is_not_hex_is_taken_as_text_alone(self) -> None:
        keys = Keys((), ("not hex at all",))
        assert check(sign_v1(BODY, TRANSMISSION_TIME, "not hex at all"), keys=keys) is SignatureCheck.V1_TEXT_KEY

    @pytest.mark.parametrize("keys", [(SECURITY_KEY, OLDER_SECURITY_KEY), (OLDER_SECURITY_KEY, SECURITY_KEY)])
    def test_two_values_meet_either_key(self, keys: tuple[str, str]) -> None:
        signature = sign_v1(BODY, TRANSMISSION_TIME, *keys)
        assert check(signature) is SignatureCheck.V1_TEXT_KEY

    def test_a_time_that_is_missing_is_invalid(self) -> None:
        assert check(V1, sent_at=None) is SignatureCheck.INVALID


def test_no_header_at_all_is_missing_and_an_empty_one_is_invalid() -> None:
    assert check(None) is SignatureCheck.MISSING
    assert check(None, sent_at=None) is SignatureCheck.MISSING
    assert check(b"") is SignatureCheck.INVALID


@pytest.mark.parametrize("verdict", SignatureCheck)
def test_only_a_form_that_was_right_is_valid(verdict: SignatureCheck) -> None:
    assert verdict.is_valid is (verdict not in (SignatureCheck.MISSING, SignatureCheck.INVALID))


def test_keys_do_not_show_in_their_repr() -> None:
    assert SECRET_KEY not in repr(KEYS)
    assert SECURITY_KEY not in repr(KEYS)


@given(body=st.binary(), signature=st.none() | st.binary(), sent_at=st.none() | st.binary())
@example(body=b"", signature=b"v1:\xff", sent_at=b"")
@example(body=b"", signature=b"\xff" * 64, sent_at=b"\xff")
def test_bytes_that_nobody_signed_are_never_valid(body: bytes, signature: bytes | None, sent_at: bytes | None) -> None:
    verdict = check_signature(Delivery(body, signature, sent_at), KEYS)
    assert verdict is (SignatureCheck.MISSING if signature is None else SignatureCheck.INVALID)


@given(rest=st.binary(max_size=80), body=st.binary(max_size=20))
def test_nothing_after_v1_is_valid_by_chance(rest: bytes, body: bytes) -> None:
    assert check_signature(Delivery(body, b"v1:" + rest, b"now"), KEYS) is SignatureCheck.INVALID


@given(body=st.binary(), sent_at=st.text(max_size=40), key=st.text(min_size=1), other=st.text(min_size=1))
def test_what_a_key_signed_is_valid_with_it_alone(body: bytes, sent_at: str, key: str, other: str) -> None:
    delivery = Delivery(body, sign_hex(body, sent_at, key).encode(), sent_at.encode())
    assert check_signature(delivery, Keys((other, key))) is SignatureCheck.HEX
    v1 = Delivery(body, sign_v1(body, sent_at, other, key).encode(), sent_at.encode())
    assert check_signature(v1, Keys((), (key,))) is SignatureCheck.V1_TEXT_KEY
    # HMAC pads short keys with zero bytes, so keys that differ in these alone are the same key.
    if key.rstrip("\0") != other.rstrip("\0") and max(len(key.encode()), len(other.encode())) <= 64:
        assert check_signature(delivery, Keys((other,))) is SignatureCheck.INVALID
