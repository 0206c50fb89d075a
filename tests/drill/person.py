"""Somebody who has the runbook open and types what it says."""

import os
import re
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from scripts.local_stack import ROOT
from tests.drill.runbook import Section, fill

COMMAND_SECONDS = 60.0

PLACEHOLDERS = {
    "ids": "ID",
    "order": "ORDER",
    "reason": "REASON",
    "repository": "<your-repository>",
    "new": "new",
    "old": "old",
}


class Person(ABC):
    """section: what is being followed. tried: its commands that were typed. settings: of the shell."""

    def __init__(self, home: Path) -> None:
        self.section = Section("", "", ())
        self.tried: set[str] = set()
        self.settings: dict[str, str] = {}
        self._home = home

    @property
    @abstractmethod
    def address(self) -> str:
        """The service's public address."""

    @abstractmethod
    def stand_ins(self) -> Mapping[str, Callable[[str], str]]:
        """What stands in for programs that work elsewhere, by how their commands begin."""

    def follow(
        self, command: str, more: str = "", *, status: int | Iterable[int] = 0, days: Iterable[str] = (), **values: str
    ) -> str:
        """Types a command of the section as it stands there. more: what the section adds to it elsewhere.

        days and values fill its placeholders; ids: those of ID. Returns what was printed.
        """
        assert command in self.section.commands, f"{self.section.name} has no command {command}"
        self.tried.add(command)
        names = {PLACEHOLDERS[name]: value for name, value in values.items()}
        filled = f"{fill(command, names, list(days), self.address)} {more}".strip()
        for beginning, stand_in in self.stand_ins().items():
            if re.match(rf"{beginning}\b", filled):
                return stand_in(filled)
        return self.type(filled, *((status,) if isinstance(status, int) else status))

    def type(self, command: str, *statuses: int) -> str:
        """Types any command; one of these exit statuses is expected, 0 if none is given."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(  # noqa: S603 - the runbook's own commands
            ["/bin/bash", "-c", command],
            cwd=ROOT,
            env={**self.settings, "PATH": path, "HOME": str(self._home)},
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        printed = done.stdout + done.stderr
        assert done.returncode in (statuses or (0,)), f"exit status {done.returncode} of: {command}\n{printed}"
        return printed


def says(shown: str, words: str) -> None:
    """Whether something that was printed or sent has these words."""
    assert words in shown, f"{words!r} is not in: {shown}"
