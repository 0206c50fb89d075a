"""`supatoss ops`: lines for OPS_USERS, and signing people out."""

import pytest
from typer.testing import CliRunner

from supatoss.cli import app
from supatoss.passwords import User
from supatoss.store.sessions import SessionCalls
from tests.support import SECRET_KEY

PASSWORD = "a phrase for tests"

runner = CliRunner()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("SUPABASE_URL", "http://127.0.0.1:1"),
        ("SUPABASE_SECRET_KEY", "sb_secret_hidden_for_tests"),
        ("TOSS_SECRET_KEY", SECRET_KEY),
    ):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("OPS_USERS", raising=False)


def users(value: str) -> dict[str, User]:
    return {user.name: user for user in map(User.read, value.strip().split(","))}


def test_a_line_is_made_of_a_name_and_a_password_on_standard_input() -> None:
    result = runner.invoke(app, ["ops", "add-user", "anna"], input=f"{PASSWORD}\n")
    assert result.exit_code == 0
    assert users(result.stdout)["anna"].password.matches(PASSWORD)
    assert PASSWORD not in result.output


def test_the_operators_of_the_environment_are_kept_and_a_new_password_replaces_the_old(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    value = ""
    for name, password in (
        ("anna", "an old phrase of hers"),
        ("김운영", "another phrase of tests"),
        ("Anna", PASSWORD),
    ):
        monkeypatch.setenv("OPS_USERS", value)
        value = runner.invoke(app, ["ops", "add-user", name], input=password).stdout
    assert list(users(value)) == ["김운영", "Anna"]
    assert users(value)["Anna"].password.matches(PASSWORD)


@pytest.mark.parametrize(
    ("name", "password", "problem"),
    [
        ("a:b", PASSWORD, "a name has 1 to 40 letters"),
        ("anna", "elevenchars\n", "at least 12 characters"),
        ("anna", "", "at least 12 characters"),
        ("anna", b"\xff" * 12, "is not UTF-8"),
    ],
)
def test_what_cannot_be_an_operator_is_refused(name: str, password: str | bytes, problem: str) -> None:
    result = runner.invoke(app, ["ops", "add-user", name], input=password)
    assert result.exit_code == 2
    assert problem in result.stderr
    assert not result.stdout


def test_a_broken_setting_is_not_carried_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_USERS", "anna:a plain password")
    result = runner.invoke(app, ["ops", "add-user", "ben"], input=PASSWORD)
    assert result.exit_code == 2
    assert "should be lines of `supatoss ops add-user NAME`" in result.stderr
    assert "plain" not in result.output


@pytest.mark.parametrize(
    ("arguments", "operator", "ended", "text"),
    [
        (["anna"], "anna", 2, "2 sessions ended."),
        (["--all"], None, 1, "1 session ended."),
    ],
)
def test_signing_out(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], operator: str | None, ended: int, text: str
) -> None:
    asked: list[tuple[str | None, str | None]] = []

    async def end_sessions(
        _store: SessionCalls, *, session_id: str | None = None, operator: str | None = None, ended_by: str | None = None
    ) -> int:
        assert session_id is None
        asked.append((operator, ended_by))
        return ended

    monkeypatch.setattr(SessionCalls, "end_sessions", end_sessions)
    result = runner.invoke(app, ["ops", "sign-out", *arguments])
    assert (result.exit_code, result.stdout.strip()) == (0, text)
    assert asked[0][0] == operator
    assert "@" in (asked[0][1] or "")


@pytest.mark.parametrize("arguments", [[], ["anna", "--all"]])
def test_whom_to_sign_out_is_said(arguments: list[str]) -> None:
    assert runner.invoke(app, ["ops", "sign-out", *arguments]).exit_code == 2
