"""`sign` and `verify`: what the one makes the other believes, as the endpoint does."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from supatoss.cli import app
from supatoss.toss.delivery import SIGNATURE_HEADER, TIME_HEADER, Delivery
from supatoss.toss.signature import Keys, SignatureCheck, check_signature
from tests.support import OLDER_SECURITY_KEY, SECRET_KEY, SECURITY_KEY

BODY = '{"orderName":"커피 외 1건","totalAmount":9900}'.encode()
ENVIRONMENT = {
    "TOSS_SECRET_KEY": f"{SECRET_KEY}, test_sk_older",
    "TOSS_SECURITY_KEY": f"{SECURITY_KEY},{OLDER_SECURITY_KEY}",
}


def supatoss(*arguments: str, stdin: bytes | None = None, **environment: str | None) -> Result:
    names = {"TOSS_SECRET_KEY": None, "TOSS_SECURITY_KEY": None, **ENVIRONMENT, **environment}
    return CliRunner().invoke(app, arguments, input=stdin, env=names)


@pytest.fixture
def body(tmp_path: Path) -> Path:
    file = tmp_path / "body.json"
    file.write_bytes(BODY)
    return file


@pytest.mark.parametrize(
    ("form", "check", "said"),
    [
        ("hex", SignatureCheck.HEX, "(TOSS_SECRET_KEY, key 1)"),
        ("v1", SignatureCheck.V1_TEXT_KEY, "(TOSS_SECURITY_KEY, key 1)"),
    ],
)
def test_what_is_signed_is_believed(body: Path, tmp_path: Path, form: str, check: SignatureCheck, said: str) -> None:
    signed = supatoss("sign", str(body), "--form", form, "--time", "2026-03-14T10:21:08+09:00")
    assert signed.exit_code == 0
    headers = dict(line.split(": ", 1) for line in signed.stdout.splitlines())
    delivery = Delivery(BODY, headers[SIGNATURE_HEADER].encode(), headers[TIME_HEADER].encode())
    assert check_signature(delivery, Keys((SECRET_KEY,), (SECURITY_KEY, OLDER_SECURITY_KEY))) is check
    assert headers[TIME_HEADER] == "2026-03-14T10:21:08+09:00"
    file = tmp_path / "headers"
    file.write_text(f"POST /webhooks/toss HTTP/1.1\n{signed.stdout}")
    verified = supatoss("verify", str(body), "--headers", str(file))
    assert (verified.exit_code, verified.stdout.startswith("valid: "), said in verified.stdout) == (0, True, True)


def test_the_body_comes_from_standard_input_byte_for_byte() -> None:
    headers = json.loads(supatoss("sign", "--json", stdin=BODY + b"\r\n").stdout)
    given = ("--signature", headers[SIGNATURE_HEADER], "--time", headers[TIME_HEADER])
    assert supatoss("verify", *given, stdin=BODY + b"\r\n").exit_code == 0
    altered = supatoss("verify", *given, "--json", stdin=BODY)
    assert altered.exit_code == 1
    assert json.loads(altered.stdout) == {
        "valid": False,
        "result": "tampered",
        "form": "hex",
        "key": None,
        "key_number": 1,
        "tamperings": ["line_ends"],
        "explanation": "line endings, whitespace or a byte order mark were added to or stripped from the body",
    }


def test_an_older_key_is_named_by_its_number(body: Path) -> None:
    headers = json.loads(supatoss("sign", str(body), "--json", TOSS_SECRET_KEY="test_sk_older").stdout)
    verified = supatoss("verify", str(body), "--signature", headers[SIGNATURE_HEADER], "--time", headers[TIME_HEADER])
    assert "(TOSS_SECRET_KEY, key 2)" in verified.stdout


def test_another_variable_can_hold_the_key(body: Path) -> None:
    signed = supatoss("sign", str(body), "--key-env", "OTHER", "--json", OTHER="test_sk_other")
    headers = json.loads(signed.stdout)
    given = ("--signature", headers[SIGNATURE_HEADER], "--time", headers[TIME_HEADER])
    assert supatoss("verify", str(body), *given).exit_code == 1
    verified = supatoss("verify", str(body), *given, "--key-env", "OTHER", OTHER="test_sk_other")
    assert "(OTHER, key 1)" in verified.stdout


def test_without_a_key_it_says_which_variable_is_missing(body: Path) -> None:
    result = supatoss("sign", str(body), TOSS_SECRET_KEY=None)
    assert result.exit_code == 2
    assert "TOSS_SECRET_KEY is missing" in result.stderr
    assert "it must hold the key" in supatoss("sign", str(body), "--key-env", "NOBODY").stderr


def test_form_none_has_no_signature_and_needs_no_key(body: Path) -> None:
    result = supatoss("sign", str(body), "--form", "none", TOSS_SECRET_KEY=None)
    assert result.exit_code == 0
    assert SIGNATURE_HEADER not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("sign", "no-such-file"), "no-such-file: No such file or directory"),
        (("sign", "--time", "어제"), "must be printable ASCII"),
        (("sign", "--form", "sha1"), "'sha1' is not one of 'hex', 'v1', 'none'"),
        (("verify", "--signature", "서명"), "must be a header value"),
        (("verify", "--headers", "no-such-file"), "no-such-file"),
    ],
)
def test_wrong_input_names_what_was_expected(arguments: tuple[str, ...], expected: str) -> None:
    result = supatoss(*arguments, stdin=BODY)
    assert result.exit_code == 2
    assert expected in " ".join(result.stderr.replace("│", " ").split())


def test_neither_key_is_ever_shown(body: Path) -> None:
    shown = supatoss("sign", str(body)).output + supatoss("verify", str(body), "--signature", "0" * 64).output
    assert SECRET_KEY not in shown
    assert SECURITY_KEY not in shown
