"""OPS_USERS and OPS_PASSWORD: who may sign in."""

import pytest

from supatoss.errors import ConfigurationError
from supatoss.passwords import PasswordHash, User
from supatoss.settings import Settings
from tests.support import SECRET_KEY


def load(**environment: str) -> Settings:
    complete = {"supabase_url": "http://127.0.0.1:1", "SUPABASE_SECRET_KEY": "sb_secret_hidden_for_tests"}
    complete["toss_secret_key"] = SECRET_KEY
    return Settings.load(**complete, **environment)


ANNA, BEN = (str(User(name, PasswordHash(b"s" * 16, b"d" * 32))) for name in ("anna", "ben"))


@pytest.mark.parametrize(
    ("value", "names"), [("", []), (" ", []), (ANNA, ["anna"]), (f"{ANNA}, {BEN}", ["anna", "ben"])]
)
def test_operators(value: str, names: list[str]) -> None:
    settings = load(ops_users=value)
    assert [User.read(line.get_secret_value()).name for line in settings.ops_users] == names
    assert settings.has_ops_page == bool(names)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (",", "OPS_USERS should be lines of `supatoss ops add-user NAME` with commas between, such as anna:scrypt:…."),
        (f"{ANNA},", "OPS_USERS should be lines of"),
        ("anna:a plain password", "OPS_USERS should be lines of"),
        (f"{ANNA},{ANNA.replace('anna', 'Anna')}", "OPS_USERS has a name twice."),
    ],
)
def test_operators_that_are_none(value: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(ops_users=value)
    assert caught.value.problems[0].startswith(problem)
    assert "plain" not in str(caught.value.problems)


def test_the_shared_password_is_a_page_too() -> None:
    assert load(ops_password="a phrase for tests").has_ops_page
