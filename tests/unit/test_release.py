"""Cutting a release, and what it freezes."""

import datetime as dt
import shutil
from pathlib import Path

import pytest

from scripts.release import ROOT, Checkout, ReleaseError, check, cut, digests, notes, problems, write_json
from supatoss import __version__

DAY = dt.date(2026, 12, 1)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    made = Checkout(tmp_path)
    (tmp_path / "service/supatoss").mkdir(parents=True)
    made.migrations.mkdir(parents=True)
    for name in ("pyproject.toml", "service/supatoss/__init__.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    made.changelog.write_text("# Changelog\n\n## Unreleased\n\n- New.\n\n## 0.0.1 (2026-01-01)\n\n- Old.\n")
    made.released_file.write_text("{}\n")
    (made.migrations / "20260101000000_one.sql").write_text("select 1;\n")
    (made.migrations / "20260102000000_two.sql").write_text("select 2;\n")
    return made


def test_what_is_released_is_unchanged_and_comes_first() -> None:
    assert problems(Checkout().migrations, Checkout().released()) == []


def test_the_version_is_the_same_everywhere() -> None:
    assert Checkout().versions() == {__version__}


def test_a_release_is_written_and_is_what_its_tag_says(checkout: Checkout) -> None:
    cut(checkout, "1.2.3", DAY)
    assert checkout.versions() == {"1.2.3"}
    assert checkout.changelog.read_text().startswith("# Changelog\n\n## 1.2.3 (2026-12-01)\n\n- New.\n")
    assert checkout.released() == {"1.2.3": digests(checkout.migrations)}
    assert check(checkout, "v1.2.3") == ["tests/fixtures/released/1.2.3.json is missing"]
    write_json(checkout.calls("1.2.3"), [])
    assert check(checkout, "v1.2.3") == []
    assert notes(checkout, "1.2.3") == "- New.\n"
    assert len(check(checkout, "v1.2.4")) == 4
    assert check(checkout, "1.2.3") == ["1.2.3 is not a tag such as v0.2.0"]


def test_a_second_release_freezes_what_is_new(checkout: Checkout) -> None:
    cut(checkout, "1.0.0", DAY)
    with pytest.raises(ReleaseError, match="frozen already"):
        cut(checkout, "1.0.0", DAY)
    with pytest.raises(ReleaseError, match="no section ## Unreleased"):
        cut(checkout, "1.1.0", DAY)
    (checkout.migrations / "20260103000000_three.sql").write_text("select 3;\n")
    write_json(checkout.calls("1.0.0"), [])
    assert check(checkout, "v1.0.0") == ["20260103000000_three.sql is not frozen"]
    checkout.changelog.write_text("# Changelog\n\n## Unreleased\n\n- More.\n")
    cut(checkout, "1.1.0", DAY)
    assert list(checkout.released()) == ["1.0.0", "1.1.0"]
    assert list(checkout.released()["1.1.0"]) == ["20260103000000_three.sql"]


@pytest.mark.parametrize("version", ["1.2", "v1.2.3", "1.2.3-rc1", ""])
def test_what_is_no_version_is_refused(checkout: Checkout, version: str) -> None:
    with pytest.raises(ReleaseError, match="not a version"):
        cut(checkout, version, DAY)


def test_a_released_migration_never_changes(checkout: Checkout) -> None:
    cut(checkout, "1.0.0", DAY)
    one = checkout.migrations / "20260101000000_one.sql"
    one.write_text("select 1; -- only a comment\n")
    (found,) = problems(checkout.migrations, checkout.released())
    assert found.startswith("20260101000000_one.sql is released and was changed")
    one.unlink()
    assert problems(checkout.migrations, checkout.released()) == ["20260101000000_one.sql is released and gone"]


def test_a_new_migration_comes_after_the_released_ones(checkout: Checkout) -> None:
    cut(checkout, "1.0.0", DAY)
    (checkout.migrations / "20260102000001_later.sql").write_text("select 3;\n")
    assert problems(checkout.migrations, checkout.released()) == []
    (checkout.migrations / "20260101120000_between.sql").write_text("select 4;\n")
    (found,) = problems(checkout.migrations, checkout.released())
    assert found.startswith("20260101120000_between.sql comes before 20260102000000_two.sql")
    with pytest.raises(ReleaseError, match="comes before"):
        cut(checkout, "1.1.0", DAY)
