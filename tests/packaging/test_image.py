"""The steps of the Dockerfile, run in a clean environment below a temporary folder, and what is then in the image."""

import json
import os
import re
import shlex
import shutil
import subprocess
import venv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from supatoss import __version__
from supatoss.cli import app

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
    image = Image(folder / "root")
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
    for name in ("tmp", "src"):
        shutil.rmtree(image.root / name)
    shutil.rmtree(folder / "python")
    yield image
    shutil.rmtree(folder)


def _copy(image: Image, *names: str) -> None:
    *sources, target = names
    for source in sources:
        into = Path(image.inside(target)) / ("" if (ROOT / source).is_dir() else Path(source).name)
        into.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, into, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, into)


def test_the_image_has_the_command(image: Image) -> None:
    for command in (("supatoss",), ("python", "-m", "supatoss")):
        answer = image.run(*command, "--version")
        assert (answer.returncode, answer.stdout, answer.stderr) == (0, f"{__version__}\n", "")


LOGIN_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""PATH in /etc/profile of Debian, which `fly ssh console` has."""


@pytest.fixture(scope="module")
def login(image: Image) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command as a login shell of the image finds it; the last stage's links are made first."""
    _, final = stages()
    for step in final:
        if step.instruction == "RUN" and step.rest.startswith("ln -s "):
            source, target = step.rest.removeprefix("ln -s ").split()
            linked = image.root / target.lstrip("/")
            linked.parent.mkdir(parents=True)
            linked.symlink_to(image.inside(source))
    path = [f"{image.root}{folder}" for folder in LOGIN_PATH if folder.startswith("/usr/local")] + list(LOGIN_PATH[2:])

    def run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - commands of the test
            ["/bin/sh", "-c", 'exec "$0" "$@"', *command], cwd=image.root, capture_output=True, text=True, check=False,
            timeout=COMMAND_SECONDS, env={"PATH": ":".join(path), "HOME": str(image.root), **variables},
        )  # fmt: skip

    return run


def every_command(command: Any = None, *names: str) -> list[tuple[str, ...]]:
    """`supatoss`, its commands and theirs."""
    command = command or get_command(app)
    children = getattr(command, "commands", {})
    return [names, *(found for name, child in children.items() for found in every_command(child, *names, name))]


ALL_HELP = """
import json, sys
from supatoss.cli import main
for names in json.loads(sys.argv[1]):
    print("\\x1e")
    assert main([*names, "--help"]) == 0, names
"""
"""Each command's help in one process: what it imports is there, and the process starts once."""


def test_every_command_is_there(login: Callable[..., subprocess.CompletedProcess[str]], image: Image) -> None:
    commands = every_command()
    for name in ("doctor", "events", "reconcile", "migrations"):
        assert (name,) in commands
        answer = login("supatoss", name, "--help")
        assert (answer.returncode, answer.stderr) == (0, "")
        assert f"Usage: supatoss {name} " in answer.stdout
    answer = image.run("python", "-c", ALL_HELP, json.dumps(commands))
    assert (answer.returncode, answer.stderr) == (0, "")
    shown = answer.stdout.split("\x1e")[1:]
    for names, text in zip(commands, shown, strict=True):
        assert f"Usage: {' '.join(('supatoss', *names))} " in text


def test_commands_of_the_runbook_say_which_setting_is_missing(
    login: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    for names in (("doctor",), ("doctor", "--release"), ("events", "list"), ("reconcile",)):
        answer = login("supatoss", *names)
        assert answer.returncode in (1, 2)
        assert "SUPABASE_URL is missing" in answer.stdout + answer.stderr
        assert "Traceback" not in answer.stderr


def test_the_image_copies_its_migrations(
    login: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "supabase").mkdir()
    (tmp_path / "supabase/config.toml").write_text('project_id = "shop"\n')
    answer = login("supatoss", "migrations", "copy", str(tmp_path))
    assert (answer.returncode, answer.stderr) == (0, "")
    copied = {file.read_text() for file in (tmp_path / "supabase/migrations").iterdir()}
    ours = {file.read_text() for file in (ROOT / "supabase/migrations").iterdir()}
    assert {text.split("\n", 2)[2] if text not in ours else text for text in copied} == ours


def test_what_the_image_starts_needs_settings_and_says_which(image: Image) -> None:
    _, final = stages()
    (command,) = (step.rest for step in final if step.instruction == "CMD")
    assert command == '["supatoss", "serve"]'
    answer = image.run("supatoss", "serve")
    assert answer.returncode == 2
    assert "SUPABASE_URL is missing" in answer.stderr


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
