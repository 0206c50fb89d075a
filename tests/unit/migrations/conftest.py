"""A merchant's repository with one migration of its own, and a release of ours with two."""

import datetime as dt
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from supatoss.cli import app, copies

RELEASE = {
    "20260901000000_tables.sql": "create table public.payments (id int);\n",
    "20260901000100_rows.sql": "-- Rows.\n\ncreate index payments_id_idx on public.payments (id);\n",
}
NEXT = {"20261001000000_more.sql": "alter table public.payments add column more int;\n"}


@pytest.fixture(autouse=True)
def release(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A release of two files, to which a test adds the next."""
    release = dict(RELEASE)
    monkeypatch.setattr(copies, "read_release", lambda: release)
    return release


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A repository with one migration of its own."""
    (tmp_path / "supabase/migrations").mkdir(parents=True)
    (tmp_path / "supabase/config.toml").write_text('project_id = "shop"\n')
    (tmp_path / "supabase/migrations/20260101000000_shop.sql").write_text("create table public.shop (id int);\n")
    return tmp_path


def copy(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["migrations", "copy", str(folder), *options])


def files(shop: Path) -> list[str]:
    return sorted(file.name for file in (shop / "supabase/migrations").iterdir())


def the_copy(shop: Path, subject: str) -> Path:
    (found,) = (shop / "supabase/migrations").glob(f"*_supatoss_{subject}.sql")
    return found


def snapshot(shop: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (shop / "supabase/migrations").iterdir() if file.is_file()}


def version(name: str) -> dt.datetime:
    return dt.datetime.strptime(name[:14], "%Y%m%d%H%M%S").replace(tzinfo=dt.UTC)
