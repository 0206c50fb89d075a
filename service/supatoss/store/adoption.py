"""What is left to do in a project that had its tables before supatoss."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from supatoss.store.client import Connection, Function, read_object, read_row

SEOUL = "Asia/Seoul"
UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class OpenTable:
    """A table that lets users do more than in a fresh project. readers: policies of other tables that read it."""

    table: str
    statements: tuple[str, ...]
    readers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ColumnZone:
    """In which zone a column without one was written: UTC, Asia/Seoul or unclear, with the evidence."""

    table: str
    column: str
    zone: str
    evidence: str


@dataclass(frozen=True, slots=True)
class OldRows:
    """How many rows of a table are still to be corrected. triggers: the project's own, which run for each row."""

    table: str
    rows: int
    triggers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OldTimes:
    """The columns without a zone that were adopted, and the rows from before."""

    columns: tuple[ColumnZone, ...]
    tables: tuple[OldRows, ...]


class AdoptionCalls(Connection):
    """Each call raises StoreUnavailable or StoreRefused."""

    async def harden(self, *, dry_run: bool) -> list[OpenTable]:
        """The tables that were open. Unless dry_run, they are restricted."""
        return await self.call(Function.HARDEN, {"dry_run": dry_run}, lambda rows: [_open_table(row) for row in rows])

    async def old_times(self) -> OldTimes:
        """In which zones times were written, and how many rows are left."""
        return await self.call(Function.OLD_TIMES, {}, _old_times)

    async def correct_times(self, table: str, after_id: str | None, max_rows: int) -> tuple[int, str | None]:
        """Corrects rows from before among the next max_rows: how many, and the last id; None at the end."""
        arguments = {"table_name": table, "after_id": after_id, "max_rows": max_rows}
        answer = await self.call(Function.CORRECT_TIMES, arguments, read_object)
        return int(answer["corrected"]), answer["last_id"]


def _open_table(row: Mapping[str, Any]) -> OpenTable:
    return OpenTable(row["table"], tuple(row["statements"]), tuple(row["readers"]))


def _old_times(answer: Any) -> OldTimes:
    found = read_object(answer)
    return OldTimes(
        tuple(read_row(ColumnZone, column) for column in found["columns"]),
        tuple(OldRows(row["table"], row["rows"], tuple(row["triggers"])) for row in found["tables"]),
    )
