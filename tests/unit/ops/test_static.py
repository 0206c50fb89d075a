"""The libraries of others that the page serves, and that the package holds everything the page needs."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[3]
OPS = ROOT / "service" / "supatoss" / "ops"
VENDOR = OPS / "static" / "vendor"


def test_every_library_is_in_the_table_with_its_licence() -> None:
    table = (VENDOR / "README.md").read_text(encoding="utf-8")
    folders = sorted(path.name for path in VENDOR.iterdir() if path.is_dir())
    assert folders == sorted(re.findall(r"^\| `(\w+)/` \|", table, re.MULTILINE)) == ["htmx", "uplot"]
    for folder in folders:
        assert (VENDOR / folder / "LICENSE").stat().st_size > 0


def test_the_versions_are_those_of_the_table() -> None:
    assert 'version:"2.0.11"' in (VENDOR / "htmx" / "htmx.min.js").read_text(encoding="utf-8")
    assert "(v1.6.32)" in (VENDOR / "uplot" / "uPlot.iife.min.js").read_text(encoding="utf-8")
    table = (VENDOR / "README.md").read_text(encoding="utf-8")
    assert "| 2.0.11 |" in table
    assert "| 1.6.32 |" in table


def test_no_file_names_another_host() -> None:
    ours = [OPS / "static" / "ops.js", OPS / "static" / "ops.css", *(OPS / "templates").glob("*.html")]
    for path in ours:
        addresses = re.findall(r"https?://[^\s\"']+", path.read_text(encoding="utf-8"))
        assert addresses == [], path.name


def test_htmx_neither_evaluates_text_nor_keeps_pages() -> None:
    found = re.search(r"name=\"htmx-config\" content='(.*?)'", (OPS / "templates" / "base.html").read_text("utf-8"))
    assert found
    assert json.loads(found[1]) == {
        "allowEval": False,
        "historyCacheSize": 0,
        "includeIndicatorStyles": False,
        "refreshOnHistoryMiss": True,
        "selfRequestsOnly": True,
    }


def test_the_wheel_holds_one_package_with_its_pages_and_the_migrations(tmp_path: Path) -> None:
    subprocess.run(  # noqa: S603 - our own build
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=60,
    )
    (wheel,) = tmp_path.glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    pages = {
        path.relative_to(ROOT / "service").as_posix()
        for folder in ("static", "templates")
        for path in (OPS / folder).rglob("*")
        if path.is_file()
    }
    migrations = {f"supatoss/migrations/{path.name}" for path in (ROOT / "supabase" / "migrations").glob("*.sql")}
    assert len(pages) > 12
    assert len(migrations) > 5
    assert pages | migrations <= packed
    assert {name.partition("/")[0] for name in packed} == {"supatoss"}
