"""Reading the body of a delivery from a file or from standard input, byte for byte."""

import sys
from pathlib import Path
from typing import Annotated

import typer

BodyArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="The body, byte for byte; - or nothing: standard input.")
]
"""The body of a command: `file: BodyArgument = STDIN`."""

STDIN = Path("-")


def read_bytes(file: Path) -> bytes:
    """The bytes of a file, or of standard input. Wrong use where there is no such file."""
    try:
        return sys.stdin.buffer.read() if file == STDIN else file.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint="FILE") from None
