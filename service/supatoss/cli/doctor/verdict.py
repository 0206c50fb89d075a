"""What one check of the doctor found, and how it is mended."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """ok: nothing to do. warning: somebody should look, or it could not be told. failed: has to be mended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line: check names what was looked at, mend says what to do where something is to be done."""

    check: str
    level: Level
    message: str
    mend: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Fields for JSON."""
        return asdict(self)


def ok(check: str, message: str) -> Verdict:
    """Nothing to do."""
    return Verdict(check, Level.OK, message)


def warning(check: str, message: str, mend: str) -> Verdict:
    """Works, but somebody should look, or it could not be told."""
    return Verdict(check, Level.WARNING, message, mend)


def failed(check: str, message: str, mend: str) -> Verdict:
    """Has to be mended."""
    return Verdict(check, Level.FAILED, message, mend)
