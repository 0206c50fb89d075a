"""Output and exit statuses: text for people, JSON for programs, problems on standard error."""

import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from supatoss import readable
from supatoss.errors import (
    CannotVerify,
    ConfigurationError,
    NotAllowed,
    StoreUnavailable,
    SupatossError,
    TossUnavailable,
)

plain = readable.plain

if TYPE_CHECKING:
    from supatoss.cli.table import Column


class ExitStatus(IntEnum):
    """How a command ends.

    0: success. 1: something was found, failed or was refused. 2: wrong arguments or settings.
    3: the Data API, Toss or the address could not be reached; retry later. 130: interrupted by Ctrl-C.
    """

    OK = 0
    FOUND = 1
    MISUSE = 2
    UNREACHABLE = 3
    INTERRUPTED = 130


class OutputMode(StrEnum):
    """Text for people, or JSON: one document, or one on each line from a command that keeps running."""

    TEXT = "text"
    JSON = "json"

    @classmethod
    def of(cls, *, json: bool) -> "OutputMode":
        """The mode that `--json` asks for."""
        return cls.JSON if json else cls.TEXT


JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON instead of text.")]
"""The option of every command with output: `json: JsonOption = False`."""


def exit_status(error: SupatossError) -> ExitStatus:
    """The exit status of a command that raised one of our errors."""
    if isinstance(error, ConfigurationError | NotAllowed):
        return ExitStatus.MISUSE
    if isinstance(error, StoreUnavailable | TossUnavailable | CannotVerify):
        return ExitStatus.UNREACHABLE
    return ExitStatus.FOUND


def print_problem(problem: SupatossError | str) -> None:
    """Writes what went wrong to standard error: one line, or one for each setting."""
    if isinstance(problem, ConfigurationError):
        typer.echo("\n  ".join(["supatoss cannot start:", *problem.problems]), err=True)
    else:
        typer.echo(f"supatoss: {plain(problem)}", err=True)
        for note in getattr(problem, "__notes__", ()):
            typer.echo(f"  {plain(note)}", err=True)
        remedy = getattr(problem, "remedy", None)
        if remedy and remedy not in str(problem):
            typer.echo(f"  → {plain(remedy)}", err=True)


def print_note(text: str) -> None:
    """Writes a line about the command itself to standard error, dim on a terminal."""
    typer.echo(styled(f"supatoss: {plain(text)}", sys.stderr, dim=True), err=True)


def print_progress(text: str = "") -> None:
    """Shows progress in place of what it showed before; an empty text clears it. On a terminal only."""
    if sys.stderr.isatty():
        typer.echo(f"\r\x1b[K{text}", nl=False, err=True)


def styled(text: str, stream: TextIO | None = None, **style: Any) -> str:
    """Text with a colour or weight where the stream (standard output) is a terminal and NO_COLOR is not set."""
    return typer.style(text, **style) if has_style(stream or sys.stdout) else text


def is_terminal() -> bool:
    """Whether people read the output; otherwise it goes to a pipe or a file."""
    return sys.stdout.isatty()


def has_style(stream: TextIO) -> bool:
    """Whether output may have colours: on a terminal, unless NO_COLOR is set (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def print_json(value: Any) -> None:
    """One JSON document in one line. Times, ids and exact numbers become text."""
    typer.echo(json.dumps(value, ensure_ascii=False, default=str))


def print_table(columns: "Sequence[str | Column]", rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """A table; None is an empty cell. Cells are data, never markup or terminal codes."""
    from supatoss.cli.table import Column, lines

    wanted = [Column(column) if isinstance(column, str) else column for column in columns]
    cells = [["" if cell is None else plain(cell) for cell in row] for row in rows]
    if title:
        typer.echo(styled(title, bold=True))
    width = shutil.get_terminal_size().columns if is_terminal() else None
    for line in lines(wanted, cells, width, has_style=has_style(sys.stdout)):
        typer.echo(line)
