import time

import pytest

from supatoss.ops.sessions import SESSION_SECONDS, Sessions

PASSWORD, KEY = "a phrase for tests", "sb_secret_hidden"


@pytest.fixture
def sessions() -> Sessions:
    return Sessions(PASSWORD, KEY)


def test_a_session_is_read_back(sessions: Sessions) -> None:
    assert sessions.read(sessions.open())


@pytest.mark.parametrize("other", [Sessions("another phrase for tests", KEY), Sessions(PASSWORD, "sb_secret_rotated")])
def test_a_new_password_or_key_ends_every_session(sessions: Sessions, other: Sessions) -> None:
    assert other.read(sessions.open()) is None


def test_a_session_ends_after_its_time(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    cookie = sessions.open()
    began = time.time()
    monkeypatch.setattr(time, "time", lambda: began + SESSION_SECONDS - 5)
    assert sessions.read(cookie)
    monkeypatch.setattr(time, "time", lambda: began + SESSION_SECONDS + 5)
    assert sessions.read(cookie) is None


@pytest.mark.parametrize("cookie", [None, "", "x", "a.b.c", "é.ü.ö", "." * 5000, "\x00.\x00.\x00"])
def test_a_foreign_cookie_is_no_session(sessions: Sessions, cookie: str | None) -> None:
    assert sessions.read(cookie) is None
    assert sessions.read_anonymous(cookie) is None
    assert sessions.read_flash("session", cookie) is None


def test_a_changed_cookie_is_no_session(sessions: Sessions) -> None:
    cookie = sessions.open()
    assert sessions.read(("A" if cookie[0] != "A" else "B") + cookie[1:]) is None


def test_an_anonymous_session_is_not_signed_in_and_a_signed_in_one_not_anonymous(sessions: Sessions) -> None:
    assert sessions.read(sessions.open_anonymous()) is None
    assert sessions.read_anonymous(sessions.open()) is None


def test_a_form_token_belongs_to_one_session(sessions: Sessions) -> None:
    one, two = sessions.read(sessions.open()), sessions.read(sessions.open())
    assert one
    assert two
    assert sessions.is_form_token(one, sessions.form_token(one))
    assert not sessions.is_form_token(two, sessions.form_token(one))
    assert not sessions.is_form_token(one, "")
    assert not sessions.is_form_token(one, "키")


def test_a_flash_message_is_for_its_own_session(sessions: Sessions) -> None:
    cookie = sessions.sign_flash("one", "replayed", status="processed")
    assert sessions.read_flash("one", cookie) == ("replayed", {"status": "processed"})
    assert sessions.read_flash("two", cookie) is None


@pytest.mark.parametrize("text", ["", "a phrase for test", "a phrase for tests ", "A phrase for tests", "\ufffd"])
def test_only_the_password_is_the_password(sessions: Sessions, text: str) -> None:
    assert not sessions.is_password(text)
    assert sessions.is_password(PASSWORD)
