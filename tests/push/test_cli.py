"""Our migrations beside a merchant's own, pushed by the real Supabase CLI."""

import psycopg
import pytest

from supatoss.cli import copies
from tests.push.conftest import Repository

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # 64 MB of npm packages, and a second or two for each command

NEXT = {"20991231000000_next.sql": "create table supatoss.of_the_next_release (id int);\n"}


def with_next_release(monkeypatch: pytest.MonkeyPatch) -> None:
    release = {**copies.read_release(), **NEXT}
    monkeypatch.setattr(copies, "read_release", lambda: release)


def subjects(applied: object) -> list[str]:
    assert isinstance(applied, list)
    return [name.partition("_")[2] for name in applied]


@pytest.mark.parametrize("newest", ["20260301000000", "29990101000000"])
def test_ours_then_theirs_then_our_next_release(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, newest: str
) -> None:
    repository.add("20250101000000_profiles.sql", "create table public.profiles (id uuid primary key);")
    repository.add(f"{newest}_posts.sql", "create table public.posts (id uuid primary key);")
    assert subjects(repository.must_push()) == ["profiles.sql", "posts.sql"]

    assert repository.copy().exit_code == 0
    release = copies.read_release()
    assert subjects(repository.must_push()) == [f"supatoss_{name.partition('_')[2]}" for name in release]

    theirs = repository.cli("migration", "new", "likes")
    assert theirs.returncode == 0
    (made,) = repository.folder.glob("*_likes.sql")
    made.write_text("create table public.likes (id uuid primary key);")
    if newest.startswith("2999"):  # as before ours: they have to date it after their own newest
        assert "--include-all" in repository.push().stderr
        made = made.rename(made.with_name("29990101010000_likes.sql"))
    assert repository.must_push() == [made.name]

    with_next_release(monkeypatch)
    assert repository.copy("--check").exit_code == 1
    assert repository.copy().exit_code == 0
    assert subjects(repository.must_push()) == ["supatoss_next.sql"]

    assert repository.listed() == [(version, version) for version in repository.versions()]
    assert len(repository.versions()) == 2 + len(release) + 2
    assert repository.must_push() == []
    assert repository.copy("--check").exit_code == 0
    with psycopg.connect(repository.dsn) as connection:
        found = connection.execute("select to_regclass('public.payments'), to_regclass('supatoss.of_the_next_release')")
        assert found.fetchone() == ("payments", "supatoss.of_the_next_release")


def test_our_checkout_is_refused_where_they_have_a_history(repository: Repository) -> None:
    """Why there is `migrations copy`."""
    repository.add("20250101000000_profiles.sql", "create table public.profiles (id uuid primary key);")
    repository.must_push()
    (repository.folder / "20250101000000_profiles.sql").unlink()
    for name, text in copies.read_release().items():
        repository.add(name, text)
    refused = repository.push()
    assert refused.returncode == 1
    assert "Remote migration versions not found in local migrations directory" in refused.stderr


def test_files_older_than_their_newest_are_refused(repository: Repository) -> None:
    """Why the copies get new versions."""
    repository.add("29990101000000_posts.sql", "create table public.posts (id uuid primary key);")
    repository.must_push()
    for name, text in copies.read_release().items():
        repository.add(name, text)
    refused = repository.push()
    assert refused.returncode == 1
    assert "Found local migration files to be inserted before the last migration" in refused.stderr


def test_a_fresh_project_pushed_from_our_checkout_gets_a_repository_later(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in copies.read_release().items():
        repository.add(name, text)
    assert list(repository.must_push()) == list(copies.read_release())
    for file in repository.folder.iterdir():
        file.unlink()
    repository.add("29990101000000_posts.sql", "create table public.posts (id uuid primary key);")
    assert "not found in local" in repository.push().stderr

    fetched = repository.cli("migration", "fetch", f"--remote={repository.dsn}", "--yes")
    assert fetched.returncode == 0, fetched.stderr
    assert repository.copy("--check").exit_code == 0
    assert repository.must_push() == ["29990101000000_posts.sql"]
    with_next_release(monkeypatch)
    assert repository.copy().exit_code == 0
    assert subjects(repository.must_push()) == ["supatoss_next.sql"]


def test_the_copies_of_an_empty_repository_are_those_of_our_checkout(repository: Repository) -> None:
    for name, text in copies.read_release().items():
        repository.add(name, text)
    repository.must_push()
    for file in repository.folder.iterdir():
        file.unlink()
    repository.folder.rmdir()
    assert repository.copy().exit_code == 0
    assert repository.must_push() == []
    assert repository.listed() == [(version, version) for version in repository.versions()]


def test_copies_that_a_colleague_fetches_are_known(repository: Repository) -> None:
    repository.add("20250101000000_profiles.sql", "create table public.profiles (id uuid primary key);")
    assert repository.copy("--schema", "toss").exit_code == 0
    repository.must_push()
    for file in repository.folder.iterdir():
        file.unlink()
    assert repository.cli("migration", "fetch", f"--remote={repository.dsn}", "--yes").returncode == 0
    check = repository.copy("--check")
    assert (check.exit_code, "--schema toss" in check.output) == (0, True)
    assert repository.must_push() == []


def test_a_version_that_a_colleague_took_too(repository: Repository) -> None:
    """Nothing is half applied, and the copies that are not applied may be made again."""
    repository.add("20250101000000_profiles.sql", "create table public.profiles (id uuid primary key);")
    assert repository.copy().exit_code == 0
    copied = sorted(repository.folder.glob("*_supatoss_*.sql"))
    version = copied[3].name.partition("_")[0]
    repository.add(f"{version}_a_colleagues.sql", "create table public.of_a_colleague (id int);")
    assert "duplicate key value" in repository.push().stderr
    for file in copied[3:]:
        file.unlink()
    assert repository.copy().exit_code == 0
    assert len(repository.must_push()) == len(copied) - 3
    assert repository.copy("--check").exit_code == 0
    assert repository.listed() == [(version, version) for version in repository.versions()]
