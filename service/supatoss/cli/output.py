"""What commands write and how they end: text for people, JSON for programs, problems on standard error."""

import json
import sys
from collections.abc import Iterable, Sequence
from enum import IntEnum, StrEnum
from typing import Annotated, Any

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
"""Width of a table that goes into a file or a pipe: wide enough that no row of ours is broken."""


class ExitStatus(IntEnum):
    """How a command ends.

    0: done as told, and nothing to complain of. 1: something was found or failed: a check, a delivery, a refusal.
    2: wrong use: arguments or settings. 3: the Data API, Toss or the address could not be reached; later may help.
    130: ended by Ctrl-C, as shells count it.
    """

    OK = 0
    FOUND = 1
    MISUSE = 2
    UNREACHABLE = 3
    INTERRUPTED = 130


class OutputMode(StrEnum):
    """Text for people, or JSON: one document, or one a line where a command goes on."""

    TEXT = "text"
    JSON = "json"

    @classmethod
    def of(cls, *, json: bool) -> "OutputMode":
        """The mode that `--json` asks for."""
        return cls.JSON if json else cls.TEXT


JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON instead of text.")]
"""The option of every command that answers something: `json: JsonOption = False`."""


def exit_status(error: SupatossError) -> ExitStatus:
    """How a command ends that raised one of our errors."""
    if isinstance(error, ConfigurationError | NotAllowed):
        return ExitStatus.MISUSE
    if isinstance(error, StoreUnavailable | TossUnavailable | CannotVerify):
        return ExitStatus.UNREACHABLE
    return ExitStatus.FOUND


def print_problem(problem: SupatossError | str) -> None:
    """Says on standard error what went wrong: one line, or one a setting."""
    if isinstance(problem, ConfigurationError):
        typer.echo("\n  ".join(["supatoss cannot start:", *problem.problems]), err=True)
    else:
        typer.echo(f"supatoss: {plain(problem)}", err=True)


def print_json(value: Any) -> None:
    """One JSON document in one line. Times, ids and exact numbers become text."""
    typer.echo(json.dumps(value, ensure_ascii=False, default=str))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """A table; None shows as nothing. Cells are data, never markup or codes for the terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for row in rows:
        table.add_row(*(Text("" if cell is None else plain(cell), overflow="fold") for cell in row))
    Console(width=None if sys.stdout.isatty() else PIPE_COLUMNS).print(table)


def plain(value: object) -> str:
    """Data from outside as one line that cannot steer a terminal: what does not print is shown escaped."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in str(value))
