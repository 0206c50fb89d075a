"""What is in the wheel and the sdist, and what their metadata says."""

import re
import tarfile
import tomllib
import zipfile
from pathlib import Path

from packaging.metadata import Metadata

from supatoss import __version__
from tests.packaging.conftest import ROOT, Distribution, build

SERVICE = ROOT / "service"


def test_the_wheel_has_the_package_its_files_and_nothing_else(distribution: Distribution) -> None:
    names = set(zipfile.ZipFile(distribution.wheel).namelist())
    package = {
        file.relative_to(SERVICE).as_posix()
        for file in SERVICE.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts and file.suffix != ".pyc"
    }
    migrations = {f"supatoss/migrations/{file.name}" for file in (ROOT / "supabase/migrations").iterdir()}
    runbook = {f"supatoss/runbook/{name}" for name in ("runbook.md", "runbook.ko.md")}
    about = {f"supatoss-{__version__}.dist-info/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt")}
    others = {"supatoss/fly.toml", f"supatoss-{__version__}.dist-info/licenses/LICENSE"}
    assert names == package | migrations | runbook | about | others
    assert {
        "supatoss/py.typed",
        "supatoss/ops/templates/base.html",
        "supatoss/ops/static/ops.css",
        "supatoss/migrations/20261126000000_preflight.sql",
    } <= names


def test_the_sdist_has_what_the_wheel_is_built_from_and_neither_tests_nor_scripts(distribution: Distribution) -> None:
    with tarfile.open(distribution.sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    tops = {name.partition("/")[0] for name in names}
    files = {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "PKG-INFO", ".gitignore", "fly.toml"}
    assert tops == files | {"service", "supabase", "docs"}
    assert {name for name in names if name.startswith("docs/")} == {"docs/runbook.md", "docs/runbook.ko.md"}
    assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".env"))]


def test_the_sdist_builds_the_same_wheel(distribution: Distribution, tmp_path: Path) -> None:
    with tarfile.open(distribution.sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    build(source, tmp_path / "dist", "wheel")
    (again,) = (tmp_path / "dist").iterdir()
    assert again.name == distribution.wheel.name
    assert again.read_bytes() == distribution.wheel.read_bytes()


def test_the_metadata_is_valid_and_says_what_pyproject_says(distribution: Distribution) -> None:
    with zipfile.ZipFile(distribution.wheel) as archive:
        text = archive.read(f"supatoss-{__version__}.dist-info/METADATA")
    metadata = Metadata.from_email(text, validate=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (metadata.name, str(metadata.version)) == ("supatoss", __version__)
    assert str(metadata.requires_python) == project["requires-python"]
    assert (metadata.license_expression, metadata.license_files) == ("MIT", ["LICENSE"])
    assert metadata.description_content_type == "text/markdown"
    assert metadata.description == (ROOT / "README.md").read_text(encoding="utf-8")
    required = [str(line) for line in metadata.requires_dist or [] if "extra ==" not in str(line)]
    assert {re.split(r"[<>=]", line)[0] for line in required} == {
        re.split(r"[<>=]", line)[0] for line in project["dependencies"]
    }
