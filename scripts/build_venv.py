"""Build `.venv` from the locked requirements. Runs on the system's Python, with the standard library only.

Usage: python3 scripts/build_venv.py .venv requirements-dev.txt
"""

import os
import re
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

TAIL_LINES = 15
ROOT = Path(__file__).resolve().parent.parent


def main(folder: Path, requirements: Path) -> int:
    """Rebuild the environment. Exit status 0, or 1 with pip's last lines on standard error."""
    started = time.monotonic()
    total = len(re.findall(r"^[A-Za-z0-9]\S*==", requirements.read_text(encoding="utf-8"), re.MULTILINE))
    version = ".".join(map(str, sys.version_info[:3]))
    _show(f"… Python {version}: up to {total} packages (first run only)", end="")
    os.environ.update(_environment())  # before pip is installed by pip
    venv.EnvBuilder(clear=True, with_pip=True, symlinks=True).create(folder)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
    for arguments in (
        ["--no-deps", "--require-hashes", "-r", str(requirements)],
        ["--no-deps", "--no-build-isolation", "-e", str(ROOT)],
    ):
        if not _install([*pip, *arguments], total):
            shutil.rmtree(folder, ignore_errors=True)
            return 1
    _show(f"✓ Python {version} environment ({time.monotonic() - started:.1f} s)", end="\n")
    return 0


def _install(command: list[str], total: int) -> bool:
    lines: list[str] = []
    collected = 0
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as pip:
        for line in pip.stdout or ():
            lines.append(line.rstrip())
            if line.startswith("Collecting "):
                collected += 1
                if sys.stderr.isatty():
                    _show(f"… {collected} of {total}: {line.split()[1].split('==')[0]}", end="")
            elif line.startswith("Installing collected") and sys.stderr.isatty():
                _show("… installing", end="")
    if pip.returncode != 0:
        _show("✗ pip could not install the packages:", end="\n")
        print("\n".join(f"    {line}" for line in lines[-TAIL_LINES:]), file=sys.stderr)
    return pip.returncode == 0


def _environment() -> dict[str, str]:
    """Ours; unless it says otherwise, nothing is written outside the checkout."""
    cache = ROOT / ".local" / "cache"
    defaults = {"PIP_CACHE_DIR": str(cache / "pip")}
    if not Path("~/.rustup").expanduser().exists():
        defaults["RUSTUP_HOME"] = str(cache / "rustup")  # pip asks for rustc's version, and rustup makes its folder
    return {**defaults, **os.environ}


def _show(text: str, end: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end=end, file=sys.stderr, flush=True)
    else:
        print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
