"""docs/runbook.md as a drill reads it: its sections, and the commands in each."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

RUNBOOK = Path(__file__).parents[2] / "docs/runbook.md"

TOP = "Runbook"
"""Name of what stands before the first section."""

_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`((?:supatoss|fly|curl|npx) [^`…]+)`")
_ADDRESS = "https://<app>.fly.dev"
_DATE = re.compile(r"\d{4}-\d\d-\d\d|YYYY-MM-DD")
_IDS = re.compile(r"\bID(?: ID)*\b")
_LEFT = re.compile(r"\b(?:ID|ORDER|REASON|YYYY)\b|<[a-z-]+>")


@dataclass(frozen=True)
class Section:
    """A heading with what follows. commands: those of its blocks and those in its sentences, each once."""

    name: str
    text: str
    commands: Sequence[str]


def read_sections(text: str) -> dict[str, Section]:
    """Sections by name."""
    parts = re.split(r"^##? (.+)\n", text, flags=re.MULTILINE)
    return {name: Section(name, part, _commands(part)) for name, part in zip(parts[1::2], parts[2::2], strict=True)}


def _commands(text: str) -> list[str]:
    lines = [
        line.split("  #")[0].split(" #")[0].strip() for block in _BLOCK.findall(text) for line in block.splitlines()
    ]
    inline = [" ".join(command.split()) for command in _INLINE.findall(_BLOCK.sub("", text))]
    return list(dict.fromkeys(command for command in [*lines, *inline] if command))


def fill(command: str, values: Mapping[str, str], days: Sequence[str], address: str) -> str:
    """A command as somebody types it. values: texts for ID, ORDER, REASON and `<names>`; ids with blanks between.

    days take the places of dates, the last one those that are left.
    """
    given = list(days)
    filled = command.replace(_ADDRESS, address)
    if days:
        filled = _DATE.sub(lambda _: given.pop(0) if len(given) > 1 else given[0], filled)
    for name, value in values.items():
        pattern = _IDS if name == "ID" else re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")
        filled = pattern.sub(value.replace("\\", r"\\"), filled)
    left = _LEFT.findall(filled)
    assert left == [], f"nothing was given for {left} in: {command}"
    return filled
