"""Sets values in the text of a `.env`; everything else stays as it is. Pure."""

import re
from collections.abc import Mapping

_PLAIN = re.compile(r"[\w.:/,@%+=~-]*", re.ASCII)
_HEADING = "# supatoss: docs/settings.md"


def assign(text: str, values: Mapping[str, str]) -> str:
    """The text with these values. Each goes on the last line that sets its name, else at the end.

    Raises ValueError about a value that a `.env` can't hold.
    """
    ending = "\r\n" if "\r\n" in text else "\n"
    lines = text.splitlines()
    missing = []
    for name, value in values.items():
        places = [place for place, line in enumerate(lines) if _name_of(line) == name]
        if places:
            lines[places[-1]] = f"{lines[places[-1]].partition('=')[0]}={_quoted(name, value)}"
        else:
            missing.append(f"{name}={_quoted(name, value)}")
    if missing and _HEADING not in lines:
        missing[:0] = ["", _HEADING] if lines else [_HEADING]
    return "".join(f"{line}{ending}" for line in [*lines, *missing])


def _quoted(name: str, value: str) -> str:
    """A value as `docker run --env-file`, a shell and python-dotenv read it alike, where that is possible."""
    if _PLAIN.fullmatch(value):
        return value
    if "\n" in value or "'" in value:
        raise ValueError(f"{name} contains a line break or a quote")
    return f"'{value}'"


def _name_of(line: str) -> str | None:
    found = re.match(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=", line)
    return found[1] if found else None
