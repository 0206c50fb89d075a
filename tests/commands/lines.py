"""A line for every command: with these arguments it runs to its end."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from typer.main import get_command

from supatoss.cli import app

EVENT = "01a21679-8852-7456-a5ce-fa92c86f4e8d"
NOWHERE = "http://127.0.0.1:9"

ARGUMENTS: Mapping[str, Sequence[str]] = {
    "reconcile": (),
    "reconcile ignore": ("--order", "order-1", "--reason", "seen"),
    "serve": (),
    "worker": (),
    "events list": (),
    "events show": (EVENT,),
    "events tail": (),
    "events replay": ("--status", "failed"),
    "events ignore": (EVENT, "--reason", "seen"),
    "events unignore": (EVENT,),
    "events refused": (),
    "trigger": ("PAYMENT_STATUS_CHANGED", "--to", NOWHERE),
    "sign": ("{file}",),
    "verify": ("{file}", "--signature", "a", "--time", "2026-03-14T10:00:00+09:00"),
    "emulator": (),
    "init": ("--yes",),
    "listen": ("--to", NOWHERE, "--since", "1h", "--once"),
    "uninstall": (),
    "register": ("--url", "https://example.fly.dev", "--check"),
    "doctor": (),
    "ops add-user": ("anna",),
    "ops sign-out": ("--all",),
    "migrations copy": ("{folder}",),
    "harden": (),
    "correct-times": (),
}
"""{file}: one that can be read. {folder}: one that is no project."""

LIGHT = (
    *("events list", "events show", "events replay", "events ignore", "events refused", "reconcile ignore"),
    "events unignore",
    *("ops sign-out", "harden", "correct-times"),
)
"""They ask the Data API and nothing else."""


def commands() -> list[str]:
    """Every command that can be run, groups left out that do nothing themselves."""
    return sorted(_leaves(get_command(app), ()))


def _leaves(command: Any, path: tuple[str, ...]) -> Iterator[str]:
    children = getattr(command, "commands", None)
    if children is None or getattr(command, "invoke_without_command", False):
        yield " ".join(path)
    for name, child in (children or {}).items():
        yield from _leaves(child, (*path, name))


def line(command: str, **places: str) -> list[str]:
    """The command with its arguments."""
    return [*command.split(), *(argument.format(**places) for argument in ARGUMENTS[command])]
