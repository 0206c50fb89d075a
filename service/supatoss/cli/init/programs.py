"""Runs other programs (fly, npx). Their output is shown; secrets go to them over standard input."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from supatoss.cli.init.step import Stopped
from supatoss.cli.output import plain


@dataclass(frozen=True, slots=True)
class Program:
    """A program that the user has installed."""

    path: str
    name: str

    @classmethod
    def find(cls, *names: str) -> "Program | None":
        """The first of these names that is on PATH."""
        for name in names:
            if path := shutil.which(name):
                return cls(path, name)
        return None

    def show(self, arguments: Sequence[str]) -> str:
        """The command as it would be typed."""
        import shlex

        return shlex.join([self.name, *arguments])

    def read(self, arguments: Sequence[str], *, seconds: float = 60.0) -> str:
        """Its standard output. Raises Stopped with its message if it fails."""
        try:
            done = subprocess.run(  # noqa: S603 - a program that the user has, without a shell
                [self.path, *arguments],
                capture_output=True,
                text=True,
                check=False,
                timeout=seconds,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            raise Stopped(
                f"`{self.show(arguments)}` didn't finish within {seconds:g} seconds", "run it yourself"
            ) from None
        except OSError as error:
            raise Stopped(f"`{self.name}` can't be run: {error.strerror}", f"check {self.path}") from None
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise Stopped(
                f"`{self.show(arguments)}` failed: {said[-1] if said else done.returncode}", "fix what it reports"
            )
        return done.stdout

    def run(
        self,
        arguments: Sequence[str],
        *,
        folder: Path | None = None,
        typed: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Runs it and shows its output. `typed` goes to its standard input. Raises Stopped if it fails."""
        typer.echo(f"  $ {plain(self.show(arguments))}")
        try:
            done = subprocess.run(  # noqa: S603 - a program that the user has, without a shell
                [self.path, *arguments],
                cwd=folder,
                env={**os.environ, **(environment or {})},
                input=typed,
                stdin=subprocess.DEVNULL if typed is None else None,
                text=True,
                check=False,
            )
        except OSError as error:
            raise Stopped(f"`{self.name}` can't be run: {error.strerror}", f"check {self.path}") from None
        if done.returncode != 0:
            raise Stopped(
                f"`{self.show(arguments)}` failed with exit status {done.returncode}",
                "fix what it reports above",
            )
