"""The wheel as users install it: pip, pipx and uvx, outside the checkout.

`make slow` runs these. They need PyPI, or what pip has kept of it: each installs the locked packages from one folder,
which pip fills, and reaches nothing else.
"""

import os
import subprocess
import sys
import venv
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from typer.main import get_command

from supatoss import __version__
from supatoss.cli import app
from tests.packaging.conftest import ROOT, Distribution

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TOOLS = ROOT / ".local/release/packages"


def run(folder: Path, *command: str, **variables: str) -> str:
    """What a command prints, in a folder outside the checkout and without its environment."""
    done = subprocess.run(  # noqa: S603 - commands of the test
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=300,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **variables},
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The locked packages as wheels in one folder."""
    folder = tmp_path_factory.mktemp("packages")
    wanted = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", str(ROOT / "requirements.txt")]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder), *wanted]
    subprocess.run(command, check=True, timeout=400)  # noqa: S603 - our own command
    return folder


@pytest.fixture(scope="module")
def tools() -> Mapping[str, str]:
    """Installs uv and pipx as locked: the environment in which they reach nothing."""
    subprocess.run(["make", "--silent", ".local/release/.built"], cwd=ROOT, check=True, timeout=300)  # noqa: S607
    return {"PIP_NO_INDEX": "1", "UV_OFFLINE": "1", "UV_NO_CONFIG": "1"}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    before = sorted(path.name for path in ROOT.iterdir())
    yield tmp_path
    assert sorted(path.name for path in ROOT.iterdir()) == before


def use(supatoss: list[str], home: Path, **variables: str) -> None:
    """Every command starts, and the migrations are there."""
    assert run(home, *supatoss, "--version", **variables) == f"{__version__}\n"
    for name in getattr(get_command(app), "commands", {}):
        assert f"Usage: supatoss {name} " in run(home, *supatoss, name, "--help", **variables)
    (home / "shop/supabase").mkdir(parents=True)
    (home / "shop/supabase/config.toml").write_text('project_id = "shop"\n')
    run(home, *supatoss, "migrations", "copy", "shop", **variables)
    copied = len(list((home / "shop/supabase/migrations").iterdir()))
    assert copied == len(list((ROOT / "supabase/migrations").iterdir()))


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_pip(distribution: Distribution, packages: Path, home: Path, kind: str) -> None:
    venv.EnvBuilder(with_pip=True, symlinks=True).create(home / "env")
    python = str(home / "env/bin/python")
    quiet = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-index", "--find-links", str(packages)]
    if kind == "sdist":
        lock = str(ROOT / "requirements-build.txt")
        run(home, python, *quiet, "--no-deps", "--require-hashes", "-r", lock, **pip_settings())
        offline = ["--no-build-isolation", *offline]
    run(home, python, *quiet, *offline, str(getattr(distribution, kind)))
    run(home, python, "-m", "pip", "check")
    use([str(home / "env/bin/supatoss")], home)
    assert "http" not in run(home, python, "-c", "import supatoss; print(supatoss.__file__)")


def test_uvx(distribution: Distribution, packages: Path, home: Path, tools: Mapping[str, str]) -> None:
    uvx = [str(TOOLS / "bin/uv"), "tool", "run", "--quiet", "--no-index", "--find-links", str(packages)]
    use([*uvx, "--python", sys.executable, "--from", str(distribution.wheel), "supatoss"], home, **tools)


def test_pipx(distribution: Distribution, packages: Path, home: Path, tools: Mapping[str, str]) -> None:
    options = ["--python", sys.executable, "--pip-args", f"--no-index --find-links {packages}"]
    pipx = [sys.executable, "-m", "pipx"]
    run(home, *pipx, "install", "--quiet", *options, str(distribution.wheel), PYTHONPATH=str(TOOLS), **tools)
    use([str(home / ".local/bin/supatoss")], home)


def pip_settings() -> dict[str, str]:
    """How this machine's pip reaches PyPI, where that is set in the environment."""
    return {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
