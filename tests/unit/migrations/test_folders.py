"""`supatoss migrations copy`: where it reads from and writes to, and folders that don't let it."""

import os
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from supatoss.cli import copies
from tests.unit.migrations.conftest import copy, files, snapshot

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("below", ["", "supabase", "supabase/migrations", "supabase/../supabase"])
def test_the_repository_is_found_from_its_folders(shop: Path, below: str) -> None:
    assert copy(shop / below).exit_code == 0
    assert len(files(shop)) == 3


def test_the_repository_is_found_from_inside(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shop / "supabase/migrations")
    assert copy(Path()).exit_code == 0
    assert len(files(shop)) == 3


def test_a_folder_that_is_no_project_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "site").mkdir()
    (tmp_path / "site/config.toml").touch()  # somebody else's
    (tmp_path / "bare/supabase/migrations").mkdir(parents=True)
    (tmp_path / "odd/supabase").mkdir(parents=True)
    (tmp_path / "odd/supabase/config.toml").touch()
    (tmp_path / "odd/supabase/migrations").touch()
    before = sorted(tmp_path.rglob("*"))
    for folder, said in {
        "nowhere/at/all": "there is no folder",
        "nowhere": "there is no folder",
        "file": "is not a folder",
        "file/below": "there is no folder",
        "site": "supabase/config.toml. `npx supabase@3.1.0 init`",
        "bare": "is not a Supabase project",
        "bare/supabase/migrations": "is not a Supabase project",
        "odd": "Not a directory",
    }.items():
        result = copy(tmp_path / folder)
        assert result.exit_code == 2, folder
        assert said in result.output
    assert sorted(tmp_path.rglob("*")) == before


def test_a_migration_that_cannot_be_read_is_named(shop: Path) -> None:
    (shop / "supabase/migrations/20260201000000_away.sql").symlink_to(shop / "away.sql")
    result = copy(shop)
    assert (result.exit_code, "can't read" in result.output, "20260201000000_away" in result.output) == (2, True, True)


def test_a_disk_that_takes_no_more_leaves_whole_files_only(shop: Path) -> None:
    code = "import sys; from supatoss.cli import main; sys.exit(main(['migrations', 'copy', sys.argv[1]]))"
    result = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", code, str(shop)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000)),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 2
    assert "can't write to" in result.stderr
    assert "File too large" in result.stderr
    assert "Traceback" not in result.stderr
    assert all(len(text) < 10_000 for text in snapshot(shop).values())
    assert ".supatoss-copy" not in snapshot(shop)


def test_a_wheel_brings_what_it_copies(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    built = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(built)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=60)  # noqa: S603 - our own build
    (wheel,) = built.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(built / "unpacked")
    subprocess.run(
        [sys.executable, "-m", "supatoss", "migrations", "copy", "."],
        cwd=shop,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(built / "unpacked")},
        check=True,
        timeout=30,
    )
    texts = {file.read_text().split("\n", 2)[2] for file in (shop / "supabase/migrations").glob("*_supatoss_*.sql")}
    assert texts == {file.read_text() for file in (ROOT / "supabase/migrations").glob("*.sql")}


def test_the_release_is_that_of_the_checkout() -> None:
    assert copies.release_folder() == ROOT / "supabase/migrations"
