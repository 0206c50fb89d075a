import time

import pytest

from supatoss.ops.cookies import DEVICE_SECONDS, SESSION_SECONDS, Cookies
from supatoss.ops.operators import Operators
from supatoss.passwords import PasswordHash

PASSWORD, KEY = "a phrase for tests", "sb_secret_hidden"
ANNA, BEN = PasswordHash(b"a" * 16, b"a" * 32), PasswordHash(b"b" * 16, b"b" * 32)


@pytest.fixture
def cookies() -> Cookies:
    return Cookies(Operators({}, PASSWORD), KEY)


def test_a_session_is_read_back(cookies: Cookies) -> None:
    holder, cookie = cookies.sign_session("operator")
    assert cookies.read_session(cookie) == holder
    assert holder.operator == "operator"


@pytest.mark.parametrize(
    "other",
    [
        Cookies(Operators({}, "another phrase for tests"), KEY),
        Cookies(Operators({}, PASSWORD), "sb_secret_rotated"),
        Cookies(Operators({"anna": ANNA}), KEY),
        Cookies(Operators({"operator": ANNA}), KEY),
    ],
)
def test_a_new_password_or_key_ends_every_session(cookies: Cookies, other: Cookies) -> None:
    assert other.read_session(cookies.sign_session("operator")[1]) is None
    assert other.read_device(cookies.sign_device("operator")) is None


def test_a_named_operators_session_ends_with_their_own_password_or_name_alone() -> None:
    before = Cookies(Operators({"anna": ANNA, "ben": BEN}), KEY)
    of_anna, of_ben = before.sign_session("anna")[1], before.sign_session("ben")[1]
    changed = Cookies(Operators({"anna": PasswordHash(b"c" * 16, b"c" * 32), "ben": BEN}), KEY)
    removed = Cookies(Operators({"ben": BEN}), KEY)
    for after in (changed, removed):
        assert after.read_session(of_anna) is None
        assert after.read_session(of_ben) is not None


def test_a_session_ends_after_its_time(cookies: Cookies, monkeypatch: pytest.MonkeyPatch) -> None:
    cookie, device = cookies.sign_session("operator")[1], cookies.sign_device("operator")
    began = time.time()
    monkeypatch.setattr(time, "time", lambda: began + SESSION_SECONDS - 5)
    assert cookies.read_session(cookie)
    monkeypatch.setattr(time, "time", lambda: began + SESSION_SECONDS + 5)
    assert cookies.read_session(cookie) is None
    assert cookies.read_device(device)
    monkeypatch.setattr(time, "time", lambda: began + DEVICE_SECONDS + 5)
    assert cookies.read_device(device) is None


@pytest.mark.parametrize("cookie", [None, "", "x", "a.b.c", "é.ü.ö", "." * 5000, "\x00.\x00.\x00"])
def test_a_foreign_cookie_is_no_session(cookies: Cookies, cookie: str | None) -> None:
    assert cookies.read_session(cookie) is None
    assert cookies.read_device(cookie) is None
    assert cookies.read_anonymous(cookie) is None
    assert cookies.read_flash("session", cookie) is None


def test_a_changed_cookie_is_no_session(cookies: Cookies) -> None:
    _, cookie = cookies.sign_session("operator")
    assert cookies.read_session(("A" if cookie[0] != "A" else "B") + cookie[1:]) is None


def test_no_cookie_is_worth_anything_in_the_place_of_another(cookies: Cookies) -> None:
    session, device = cookies.sign_session("operator")[1], cookies.sign_device("operator")
    anonymous = cookies.open_anonymous()
    assert cookies.read_session(anonymous) is cookies.read_session(device) is None
    assert cookies.read_device(anonymous) is cookies.read_device(session) is None
    assert cookies.read_anonymous(session) is cookies.read_anonymous(device) is None


def test_a_form_token_belongs_to_one_session(cookies: Cookies) -> None:
    one, two = cookies.sign_session("operator")[0].id, cookies.sign_session("operator")[0].id
    assert cookies.is_form_token(one, cookies.form_token(one))
    assert not cookies.is_form_token(two, cookies.form_token(one))
    assert not cookies.is_form_token(one, "")
    assert not cookies.is_form_token(one, "키")


def test_a_flash_message_is_for_its_own_session(cookies: Cookies) -> None:
    cookie = cookies.sign_flash("one", "replayed", status="processed")
    assert cookies.read_flash("one", cookie) == ("replayed", {"status": "processed"})
    assert cookies.read_flash("two", cookie) is None
