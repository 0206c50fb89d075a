import time

import pytest

from supatoss.ops.sessions import SESSION_SECONDS, Tickets

PASSWORD, KEY = "a phrase for tests", "sb_secret_hidden"


@pytest.fixture
def tickets() -> Tickets:
    return Tickets(PASSWORD, KEY)


def test_a_session_is_read_back(tickets: Tickets) -> None:
    assert tickets.session(tickets.open_session())


@pytest.mark.parametrize("other", [Tickets("another phrase for tests", KEY), Tickets(PASSWORD, "sb_secret_rotated")])
def test_a_new_password_or_key_ends_every_session(tickets: Tickets, other: Tickets) -> None:
    assert other.session(tickets.open_session()) is None


def test_a_session_ends_after_its_time(tickets: Tickets, monkeypatch: pytest.MonkeyPatch) -> None:
    cookie = tickets.open_session()
    began = time.time()
    monkeypatch.setattr(time, "time", lambda: began + SESSION_SECONDS - 5)
    assert tickets.session(cookie)
    monkeypatch.setattr(time, "time", lambda: began + SESSION_SECONDS + 5)
    assert tickets.session(cookie) is None


@pytest.mark.parametrize("cookie", [None, "", "x", "a.b.c", "é.ü.ö", "." * 5000, "\x00.\x00.\x00"])
def test_what_is_not_ours_is_no_session(tickets: Tickets, cookie: str | None) -> None:
    assert tickets.session(cookie) is None
    assert tickets.visit(cookie) is None
    assert tickets.read_note("session", cookie) is None


def test_a_changed_cookie_is_no_session(tickets: Tickets) -> None:
    cookie = tickets.open_session()
    assert tickets.session(("A" if cookie[0] != "A" else "B") + cookie[1:]) is None


def test_a_visit_is_no_session_and_a_session_no_visit(tickets: Tickets) -> None:
    assert tickets.session(tickets.open_visit()) is None
    assert tickets.visit(tickets.open_session()) is None


def test_a_form_token_belongs_to_one_session(tickets: Tickets) -> None:
    one, two = tickets.session(tickets.open_session()), tickets.session(tickets.open_session())
    assert one
    assert two
    assert tickets.is_form_token(one, tickets.form_token(one))
    assert not tickets.is_form_token(two, tickets.form_token(one))
    assert not tickets.is_form_token(one, "")
    assert not tickets.is_form_token(one, "키")


def test_a_note_is_for_its_own_session(tickets: Tickets) -> None:
    cookie = tickets.note("one", "replayed", status="processed")
    assert tickets.read_note("one", cookie) == ("replayed", {"status": "processed"})
    assert tickets.read_note("two", cookie) is None


@pytest.mark.parametrize("text", ["", "a phrase for test", "a phrase for tests ", "A phrase for tests", "\ufffd"])
def test_only_the_password_is_the_password(tickets: Tickets, text: str) -> None:
    assert not tickets.is_password(text)
    assert tickets.is_password(PASSWORD)
