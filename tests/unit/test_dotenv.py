"""Commands take settings that the environment lacks from `.env`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from supatoss.cli.dotenv import NAMES, load_dotenv
from supatoss.settings import Settings

ONLY_COMMANDS = {"SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_DB_URL", "WEBHOOK_URL"}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """The environment, empty, in a working directory of its own."""
    variables: dict[str, str] = {}
    monkeypatch.setattr(os, "environ", variables)
    monkeypatch.chdir(tmp_path)
    return variables


def settings(environment: dict[str, str]) -> dict[str, str]:
    """Without what pytest notes there."""
    return {name: value for name, value in environment.items() if not name.startswith("PYTEST_")}


def write(text: str) -> None:
    Path(".env").write_text(text, encoding="utf-8")


def test_every_setting_can_come_from_the_file() -> None:
    assert set(NAMES) == {name.upper() for name in Settings.model_fields} | ONLY_COMMANDS


def test_what_is_missing_comes_from_the_file_and_is_named(
    environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    environment["PORT"] = "9"
    write("export PUBLIC_URL='https://a.fly.dev' # here\nPORT=8080\nLD_PRELOAD=/evil.so\nTOSS_SECRET_KEY=\nno line\n")
    load_dotenv()
    assert settings(environment) == {"PORT": "9", "PUBLIC_URL": "https://a.fly.dev"}
    assert capsys.readouterr() == ("", f"supatoss: using PUBLIC_URL of {Path.cwd() / '.env'}\n")
    load_dotenv()
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("environment")
def test_long_lists_are_cut(capsys: pytest.CaptureFixture[str]) -> None:
    write("".join(f"{name}=1\n" for name in NAMES))
    load_dotenv()
    assert f"using SUPABASE_URL, SUPABASE_SECRET_KEY, SUPABASE_SERVICE_ROLE_KEY and {len(NAMES) - 3} more of" in (
        capsys.readouterr().err
    )


def test_a_variable_that_a_command_names_is_taken_too(environment: dict[str, str]) -> None:
    write("OTHER_KEY=test_sk_other\nANOTHER=1\n")
    load_dotenv("OTHER_KEY")
    assert settings(environment) == {"OTHER_KEY": "test_sk_other"}


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("SUPABASE_URL", "SUPABASE_SECRET_KEY"),
        ("SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY"),
        ("TOSS_API_URL", "TOSS_SECRET_KEY"),
    ],
)
def test_a_key_of_the_environment_is_not_sent_where_a_file_says(
    environment: dict[str, str], capsys: pytest.CaptureFixture[str], address: str, key: str
) -> None:
    environment[key] = "secret"
    write(f"{address}=https://elsewhere.example\n")
    load_dotenv()
    assert settings(environment) == {key: "secret"}
    assert f"{address} of .env is ignored: it would receive {key}, which comes" in capsys.readouterr().err


def test_the_older_name_of_a_key_in_the_environment_wins(environment: dict[str, str]) -> None:
    environment["SUPABASE_SERVICE_ROLE_KEY"] = "of the environment"
    environment["SUPABASE_URL"] = "https://a.supabase.co"
    write("SUPABASE_SECRET_KEY=of the file\n")
    load_dotenv()
    assert "SUPABASE_SECRET_KEY" not in environment


def test_without_a_file_nothing_happens(environment: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    load_dotenv()
    Path(".env").mkdir()
    load_dotenv()
    assert (settings(environment), capsys.readouterr()) == ({}, ("", ""))


def test_a_file_that_is_no_text_is_named(environment: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    Path(".env").write_bytes(b"PORT=\xff\xfe\n")
    load_dotenv()
    assert settings(environment) == {}
    assert capsys.readouterr().err == f"supatoss: can't read {Path.cwd() / '.env'}: it is not UTF-8\n"


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_the_service_reads_no_file(tmp_path: Path, command: str) -> None:
    (tmp_path / ".env").write_text("SUPABASE_URL=https://a.supabase.co\nSUPABASE_SECRET_KEY=sb_secret_a\n")
    result = subprocess.run(  # noqa: S603 - its own arguments
        [sys.executable, "-m", "supatoss", command],
        env={"PATH": os.defpath},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (result.returncode, "SUPABASE_URL is missing" in result.stderr) == (2, True)
