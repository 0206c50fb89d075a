"""The steps of the Dockerfile, run in a clean environment below a temporary folder, and what is then in the image."""

import os
import re
import shlex
import shutil
import subprocess
import venv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from supatoss import __version__

ROOT = Path(__file__).parents[2]
FOLDERS = re.compile(r"(?<!\S)(?=/(opt/venv|tmp|src)\b)")
"""Before each folder of the image that a step names."""

COMMAND_SECONDS = 60


@dataclass(frozen=True)
class Step:
    """One instruction of a Dockerfile: its name, and the rest of the line."""

    instruction: str
    rest: str


def stages() -> list[list[Step]]:
    """The instructions of each stage, FROM left out."""
    found: list[list[Step]] = []
    for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        assert not line.endswith("\\"), "this reader takes one line a step"
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            found.append([])
        elif found:  # what stands before the first stage says which image both start from
            found[-1].append(Step(instruction, rest))
    return found


@dataclass(frozen=True)
class Image:
    """The folder that stands for the root of the image, and its environment."""

    root: Path
    wheels: Path

    def inside(self, text: str) -> str:
        """A text of the Dockerfile, its folders below ours."""
        return FOLDERS.sub(str(self.root), text)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """What a command of the image answers, without any settings."""
        return subprocess.run(  # noqa: S603 - commands of the test
            command, cwd=self.root, capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS,
            env={"PATH": f"{self.root}/opt/venv/bin:/usr/bin:/bin"},
        )  # fmt: skip


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The build stage done step by step; then only what the last stage copies is left."""
    folder = tmp_path_factory.mktemp("image")
    image = Image(folder / "root", folder / "wheels")
    image.root.mkdir()
    venv.EnvBuilder(with_pip=True, symlinks=True).create(folder / "python")
    build, final = stages()
    path = f"{folder / 'python' / 'bin'}:/usr/bin:/bin"
    environment = {**os.environ, "PATH": path}
    for name in ("VIRTUAL_ENV", "PYTHONPATH"):
        environment.pop(name, None)
    for step in build:
        if step.instruction == "COPY":
            _copy(image, *shlex.split(step.rest))
        elif step.instruction == "RUN":
            done = subprocess.run(  # noqa: S602 - the Dockerfile's own lines
                image.inside(step.rest), shell=True, cwd=image.root, env=environment, capture_output=True, text=True,
                check=False, timeout=240,
            )  # fmt: skip
            assert done.returncode == 0, f"{step.rest}\n{done.stdout}{done.stderr}"
        else:
            assert step.instruction == "ENV"  # pip's cache is wanted here, so these are left out
    assert [step.rest for step in final if step.instruction == "COPY"] == ["--from=build /opt/venv /opt/venv"]
    shutil.copytree(image.root / "tmp/wheels", image.wheels)
    for name in ("tmp", "src"):
        shutil.rmtree(image.root / name)
    shutil.rmtree(folder / "python")
    yield image
    shutil.rmtree(folder)


def _copy(image: Image, *names: str) -> None:
    *sources, target = names
    for source in sources:
        into = Path(image.inside(target)) / ("" if (ROOT / source).is_dir() else source)
        into.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, into, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, into)


def test_the_image_has_the_command(image: Image) -> None:
    for command in (("supatoss",), ("python", "-m", "supatoss")):
        answer = image.run(*command, "--version")
        assert (answer.returncode, answer.stdout, answer.stderr) == (0, f"{__version__}\n", "")


def test_a_login_shell_finds_the_command_too(image: Image) -> None:
    _, final = stages()
    link = next(step.rest for step in final if step.rest.startswith("ln -s "))
    source, target = link.removeprefix("ln -s ").split()
    assert target == "/usr/local/bin/supatoss"
    linked = image.root / "supatoss"
    linked.symlink_to(image.inside(source))
    assert image.run(str(linked), "--version").stdout == f"{__version__}\n"


@pytest.mark.parametrize("command", ["doctor", "events", "reconcile", "worker", "serve"])
def test_the_commands_of_the_runbook_start(image: Image, command: str) -> None:
    answer = image.run("supatoss", command, "--help")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert f"Usage: supatoss {command}" in answer.stdout


def test_what_the_image_starts_needs_settings_and_says_which(image: Image) -> None:
    _, final = stages()
    (command,) = (step.rest for step in final if step.instruction == "CMD")
    assert command == '["supatoss", "serve"]'
    answer = image.run("supatoss", "serve")
    assert answer.returncode == 2
    assert "SUPABASE_URL is missing" in answer.stderr


def test_the_wheel_brings_one_package_and_the_migrations(image: Image) -> None:
    (wheel,) = image.wheels.iterdir()
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"supatoss", f"supatoss-{__version__}.dist-info"}
    migrations = {name.rpartition("/")[2] for name in names if name.startswith("supatoss/migrations/")}
    assert migrations == {file.name for file in (ROOT / "supabase/migrations").iterdir()} != set()
    assert "supatoss/ops/templates/base.html" in names
    assert "supatoss/ops/static/ops.css" in names


def test_the_image_has_neither_pip_nor_what_builds_wheels(image: Image) -> None:
    (packages,) = (image.root / "opt/venv/lib").glob("python*/site-packages")
    here = {name.name.split("-")[0].lower() for name in packages.iterdir()}
    assert here.isdisjoint({"pip", "setuptools", "hatchling", "tests", "scripts", "service"})
    assert "supatoss" in here
    assert not (image.root / "opt/venv/bin/pip").exists()


def test_the_context_holds_what_the_steps_copy() -> None:
    allowed = {
        line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")
    }
    copied = {
        name
        for stage in stages()
        for step in stage
        if step.instruction == "COPY" and not step.rest.startswith("--from")
        for name in step.rest.split()[:-1]
    }
    assert copied == allowed
