"""The `.env` of the working directory: only its owner can read it, and git ignores it."""

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from supatoss.cli.init.env_text import assign
from supatoss.cli.init.step import Stopped
from supatoss.cli.output import ExitStatus

MODE = 0o600
GIT_SECONDS = 10


class EnvFile:
    """A `.env`. Raises Stopped where it can't be read or written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def values(self) -> dict[str, str]:
        """Its values, without empty ones."""
        from dotenv import dotenv_values

        if not self.path.exists():
            return {}
        self._read()  # says what is wrong with the file
        return {name: value for name, value in dotenv_values(self.path, interpolate=False).items() if value}

    def put(self, values: Mapping[str, str]) -> None:
        """Sets values, and keeps every other line."""
        before = self._read()
        after = assign(before, values)
        if after != before:
            self._write(self.path.resolve(), after)
        else:
            self._close()

    def _read(self) -> str:
        try:
            return self.path.read_bytes().decode()
        except FileNotFoundError:
            return ""
        except UnicodeDecodeError:
            raise Stopped(f"{self.path} is not UTF-8", "save it as UTF-8", ExitStatus.MISUSE) from None
        except OSError as error:
            raise _unusable(self.path, error) from None

    def _write(self, target: Path, text: str) -> None:
        """Atomically: the old file is replaced in one step."""
        part = None
        try:
            handle, part = tempfile.mkstemp(prefix=".env.", dir=target.parent)  # readable by its owner alone
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as opened:
                opened.write(text)
            Path(part).replace(target)
        except OSError as error:
            if part:
                with suppress(OSError):
                    Path(part).unlink(missing_ok=True)
            raise _unusable(target, error) from None

    def _close(self) -> None:
        with suppress(OSError):
            if self.path.exists() and stat.S_IMODE(self.path.stat().st_mode) & 0o077:
                self.path.chmod(MODE)

    def hide_from_git(self) -> str:
        """Adds it to .gitignore if it is in a repository. Returns what was done, for the report."""
        folder = self.path.parent
        if not shutil.which("git") or _git(folder, "rev-parse", "--is-inside-work-tree") != 0:
            return ""
        if _git(folder, "ls-files", "--error-unmatch", self.path.name) == 0:
            raise Stopped(
                f"{self.path} is tracked by git, so everybody with access to the repository has its keys",
                f"git rm --cached {self.path.name}, commit, and replace every key that is in it",
            )
        if _git(folder, "check-ignore", "--quiet", self.path.name) == 0:
            return "ignored by git"
        ignore = folder / ".gitignore"
        try:
            before = ignore.read_text(encoding="utf-8") if ignore.exists() else ""
            gap = "" if not before or before.endswith("\n") else "\n"
            ignore.write_text(f"{before}{gap}{self.path.name}\n", encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise Stopped(
                f"can't write {ignore}", f"add the line {self.path.name} to it: the file contains keys"
            ) from None
        return "added to .gitignore"


def _unusable(path: Path, error: OSError) -> Stopped:
    return Stopped(
        f"can't use {path}: {error.strerror}",
        "make the folder writable, or run supatoss init in another one",
        ExitStatus.MISUSE,
    )


def _git(folder: Path, *arguments: str) -> int:
    try:
        return subprocess.run(  # noqa: S603 - the same
            ["git", *arguments],  # noqa: S607 - the user's own git
            cwd=folder,
            capture_output=True,
            check=False,
            timeout=GIT_SECONDS,
        ).returncode
    except (OSError, subprocess.TimeoutExpired):
        return -1
