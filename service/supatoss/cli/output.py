"""Output and exit statuses: text for people, JSON for programs, problems on standard error."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from enum import IntEnum, StrEnum
from typing import Annotated, Any, TextIO

import typer

from supatoss.errors import (
    CannotVerify,
    ConfigurationError,
    NotAllowed,
    StoreUnavailable,
    SupatossError,
    TossUnavailable,
)

PIPE_COLUMNS = 240
"""Width of a table written to a file or a pipe: wide enough for every row of ours."""


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


def print_note(text: str) -> None:
    """Writes a line about the command itself to standard error, dim on a terminal."""
    typer.echo(styled(f"supatoss: {plain(text)}", sys.stderr, dim=True), err=True)


def styled(text: str, stream: TextIO | None = None, **style: Any) -> str:
    """Text with a colour or weight where the stream (standard output) is a terminal and NO_COLOR is not set."""
    stream = stream or sys.stdout
    has_style = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return typer.style(text, **style) if has_style else text


def print_json(value: Any) -> None:
    """One JSON document in one line. Times, ids and exact numbers become text."""
    typer.echo(json.dumps(value, ensure_ascii=False, default=str))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """A table; None is an empty cell. Cells are data, never markup or terminal codes."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for row in rows:
        table.add_row(*(Text("" if cell is None else plain(cell), overflow="fold") for cell in row))
    Console(width=None if sys.stdout.isatty() else PIPE_COLUMNS).print(table)


def plain(value: object) -> str:
    """Outside data as one line that cannot control a terminal: unprintable characters are escaped."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in str(value))
