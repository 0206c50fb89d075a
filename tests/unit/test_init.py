"""Values in a `.env`, with everything else left as it is; addresses and keys as people paste them."""

import base64
import json
import stat
import subprocess
from pathlib import Path

import pytest

from supatoss.cli.init import fly
from supatoss.cli.init.asking import Asking
from supatoss.cli.init.env_file import EnvFile
from supatoss.cli.init.env_text import assign
from supatoss.cli.init.migrations import CopyStep, without_password
from supatoss.cli.init.project import describe, other_project, project_url
from supatoss.cli.init.setup import Options, Setup
from supatoss.cli.init.step import Stopped
from supatoss.store.schema import SCHEMA_VERSION

REF = "abcdefghijklmnopqrst"


@pytest.mark.parametrize(
    ("before", "values", "after"),
    [
        ("", {"A": "1"}, "# supatoss: docs/settings.md\nA=1\n"),
        ("# mine\nB=2 # why\n", {"A": "1"}, "# mine\nB=2 # why\n\n# supatoss: docs/settings.md\nA=1\n"),
        ("A=0\n# A=9\nB=2", {"A": "1"}, "A=1\n# A=9\nB=2\n"),
        ("export A='0'\n", {"A": "1"}, "export A=1\n"),
        ("A=0\nA=5\n", {"A": "1"}, "A=0\nA=1\n"),
        ("B=2\r\n", {"B": "3"}, "B=3\r\n"),
        ("AB=2\n", {"B": "a b$c"}, "AB=2\n\n# supatoss: docs/settings.md\nB='a b$c'\n"),
        ("# supatoss: docs/settings.md\nA=1\n", {"B": "2"}, "# supatoss: docs/settings.md\nA=1\nB=2\n"),
        ("B=2\n", {}, "B=2\n"),
    ],
)
def test_values_are_set_where_they_stand(before: str, values: dict[str, str], after: str) -> None:
    assert assign(before, values) == after


@pytest.mark.parametrize("value", ["1\nB=2", "it's"])
def test_a_value_that_the_file_cannot_hold_is_refused_by_name(value: str) -> None:
    with pytest.raises(ValueError, match=r"^PUBLIC_URL contains a line break or a quote$"):
        assign("", {"A": "1", "PUBLIC_URL": value})


def test_a_missing_repository_is_no_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    setup = Setup(Options(), Asking(is_there=False), EnvFile(tmp_path / ".env"))
    with pytest.raises(Stopped) as stopped:
        CopyStep().run(setup)
    assert (stopped.value.cause, stopped.value.remedy) == ("no repository given", "supatoss init --repository DIR")


def test_nobody_else_reads_the_file_and_a_link_stays_one(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / ".env"
    real.write_text("A=1\n")
    real.chmod(0o644)
    link.symlink_to(real)
    EnvFile(link).put({"B": "2"})
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    assert EnvFile(link).values() == {"A": "1", "B": "2"}
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".env.")] == []


def git(folder: Path, *arguments: str) -> None:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)  # noqa: S603


def test_git_does_not_take_it_in(tmp_path: Path) -> None:
    file = EnvFile(tmp_path / ".env")
    assert file.hide_from_git() == ""
    git(tmp_path, "init")
    (tmp_path / ".gitignore").write_text("node_modules")
    assert file.hide_from_git() == "added to .gitignore"
    assert (tmp_path / ".gitignore").read_text() == "node_modules\n.env\n"
    assert file.hide_from_git() == "ignored by git"


def test_a_file_that_git_has_is_refused(tmp_path: Path) -> None:
    git(tmp_path, "init")
    (tmp_path / ".env").write_text("A=1\n")
    git(tmp_path, "add", "--force", ".env")
    with pytest.raises(Stopped, match="is tracked by git") as stopped:
        EnvFile(tmp_path / ".env").hide_from_git()
    assert "git rm --cached .env" in stopped.value.remedy


@pytest.mark.parametrize(
    "text",
    [
        f"https://{REF}.supabase.co",
        f" https://{REF}.supabase.co/ ",
        f"{REF}.supabase.co",
        f"https://{REF}.supabase.co/rest/v1/",
        f"https://supabase.com/dashboard/project/{REF}/settings/api-keys",
        f'"https://{REF}.supabase.co"',
        REF,
    ],
)
def test_a_project_s_address_is_found_in_what_people_paste(text: str) -> None:
    assert project_url(text) == f"https://{REF}.supabase.co"


@pytest.mark.parametrize(
    "text", ["https://supabase.com/dashboard/projects", "postgresql://x/y", "shop", "http://x.dev", ""]
)
def test_what_is_no_address_of_a_project_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"should be|should begin"):
        project_url(text)


def test_a_legacy_key_names_its_project() -> None:
    body = base64.urlsafe_b64encode(json.dumps({"role": "service_role", "ref": REF}).encode()).decode().rstrip("=")
    key = f"eyJ.{body}.x"
    assert other_project(f"https://{REF}.supabase.co", key) is None
    assert other_project("https://zzzzzzzzzzzzzzzzzzzz.supabase.co", key) == REF
    assert other_project("https://db.shop.dev", key) is None


def test_what_is_there_in_words() -> None:
    assert describe(None, []) == "supatoss is not installed, and there are no tables to adopt"
    assert describe(None, ["payments"]) == "supatoss is not installed; it will adopt payments"
    assert describe(SCHEMA_VERSION, []) == f"supatoss is installed (schema version {SCHEMA_VERSION})"
    assert "schema (1) older" in describe(1, [])
    assert "schema (99) newer" in describe(99, [])


@pytest.mark.parametrize(
    ("url", "address", "password"),
    [
        (
            "postgresql://postgres.ref:p%40ss@h:5432/d?sslmode=require",
            "postgresql://postgres.ref@h:5432/d?sslmode=require",
            "p@ss",
        ),
        ("postgresql://h/d", "postgresql://h/d", ""),
        ("postgresql://u@h/d", "postgresql://u@h/d", ""),
    ],
)
def test_a_password_is_no_part_of_a_command(url: str, address: str, password: str) -> None:
    assert without_password(url) == (address, password)


def test_a_secret_that_fly_would_read_otherwise_is_refused() -> None:
    assert fly.as_lines({"A": "x,y", "B": "https://a/b?c=d"}) == "A=x,y\nB=https://a/b?c=d\n"
    for value in ("a#b", 'a"b', "a\nb"):
        with pytest.raises(Stopped, match="contains a quote"):
            fly.as_lines({"A": value})


def test_outside_of_the_checkout_the_files_of_fly_are_written(tmp_path: Path) -> None:
    written = fly.write_fly_files(tmp_path, "shop-hooks")
    assert [file.name for file in written] == ["fly.toml", "Dockerfile"]
    assert 'app = "shop-hooks"' in written[0].read_text()
    assert "pip install --no-cache-dir supatoss==" in written[1].read_text()
    assert fly.write_fly_files(tmp_path, "another") == []
