"""Commands read Supabase's settings without the others, and as the service does."""

from collections.abc import Mapping

import pytest

from supatoss.data_api import DataApi
from supatoss.errors import ConfigurationError
from supatoss.settings import Settings

COMPLETE = {"SUPABASE_URL": "https://abcdefgh.supabase.co", "SUPABASE_SECRET_KEY": "sb_secret_made_up_for_tests"}
TOSS = {"TOSS_SECRET_KEY": "test_sk_made_up_for_tests_1"}
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYW5vbiJ9.x"


def of_the_service(monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str]) -> DataApi | list[str]:
    for name in (*COMPLETE, "SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_PUBLISHABLE_KEY", "SUPABASE_TIMEOUT_SECONDS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**TOSS, **variables}.items():
        monkeypatch.setenv(name, value)
    try:
        return Settings.load().data_api
    except ConfigurationError as error:
        return error.problems


def of_a_command(variables: Mapping[str, str]) -> DataApi | list[str]:
    try:
        return DataApi.read(variables)
    except ConfigurationError as error:
        return error.problems


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"SUPABASE_URL": " https://abcdefgh.supabase.co/ "},
        {"SUPABASE_URL": "http://127.0.0.1:54321"},
        {"SUPABASE_URL": "http://abcdefgh.supabase.co"},
        {"SUPABASE_URL": "abcdefgh"},
        {"SUPABASE_SECRET_KEY": "sb_publishable_made_up_for_tests"},
        {"SUPABASE_SECRET_KEY": JWT},
        {"SUPABASE_SECRET_KEY": "short"},
        {"SUPABASE_PUBLISHABLE_KEY": "sb_publishable_made_up_for_tests"},
        {"SUPABASE_PUBLISHABLE_KEY": ""},
        {"SUPABASE_PUBLISHABLE_KEY": "sb_secret_made_up_for_tests"},
        {"SUPABASE_TIMEOUT_SECONDS": "0.5"},
        {"SUPABASE_SERVICE_ROLE_KEY": "sb_secret_of_the_older_name"},
    ],
)
def test_it_reads_what_the_service_reads(monkeypatch: pytest.MonkeyPatch, changes: dict[str, str]) -> None:
    variables = {**COMPLETE, **changes}
    assert of_a_command(variables) == of_the_service(monkeypatch, variables)


def test_the_older_name_of_the_key_will_do() -> None:
    older = {"SUPABASE_URL": COMPLETE["SUPABASE_URL"], "SUPABASE_SERVICE_ROLE_KEY": "sb_secret_of_the_older_name"}
    assert DataApi.read(older).supabase_secret_key == "sb_secret_of_the_older_name"


def test_what_is_missing_is_named_as_the_service_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert of_a_command({}) == of_the_service(monkeypatch, {})


@pytest.mark.parametrize("seconds", ["0", "10", "-1", "nan", "soon"])
def test_a_time_that_cannot_be(seconds: str) -> None:
    assert of_a_command({**COMPLETE, "SUPABASE_TIMEOUT_SECONDS": seconds}) == [
        "SUPABASE_TIMEOUT_SECONDS should be a number of seconds, more than 0 and less than 10."
    ]


def test_no_key_is_shown() -> None:
    assert "made_up" not in repr(DataApi.read(COMPLETE))
