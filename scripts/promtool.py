"""promtool, which tests the rules of Prometheus: the one on PATH, else Debian's, kept in `.local` and without root.

`python -m scripts.promtool` fetches it and prints where it is.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from scripts.local.children import StackError
from scripts.local.npm import STATE

TIMEOUT_SECONDS = 300.0


def find_promtool() -> Path:
    """The program. StackError with the reason where it is neither there nor can be fetched."""
    kept = STATE / "promtool"
    if on_path := shutil.which("promtool"):
        return Path(on_path)
    if not kept.exists():
        STATE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=STATE) as folder:
            _fetch(Path(folder)).replace(kept)
    return kept


def _fetch(folder: Path) -> Path:
    """Debian's package `prometheus`, unpacked: promtool in it."""
    try:
        _run(["apt-get", "download", "prometheus"], folder)
    except StackError:
        # A machine whose lists of packages are empty, as in a container, and who may not be root: lists of our own.
        own = [f"Dir::State::lists={folder}/lists", f"Dir::Cache={folder}/cache", "APT::Sandbox::User=root"]
        for name in ("lists/partial", "cache/archives/partial"):
            (folder / name).mkdir(parents=True)
        options = [part for option in own for part in ("-o", option)]
        _run(["apt-get", *options, "update"], folder)
        _run(["apt-get", *options, "download", "prometheus"], folder)
    (package,) = folder.glob("prometheus_*.deb")
    _run(["dpkg-deb", "-x", package.name, "."], folder)
    return folder / "usr/bin/promtool"


def _run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StackError(f"promtool is not on PATH, and {command[0]}: {type(error).__name__}") from None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise StackError(f"promtool is not on PATH, and {' '.join(command[:1])} says: {last}")


if __name__ == "__main__":
    try:
        print(find_promtool())
    except StackError as error:
        sys.exit(str(error))
