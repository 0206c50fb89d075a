"""Processor time and memory of groups of processes, from /proc (Linux)."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor time since the processes started, in seconds, and resident memory now, in bytes."""

    cpu_seconds: float
    resident_bytes: int


def usage(process_ids: Iterable[int]) -> Usage:
    """What these processes and everything below them use, children that ended and were waited for included."""
    stats = dict(_read_all())
    wanted = set(process_ids)
    grew = True
    while grew:
        below = {process_id for process_id, stat in stats.items() if stat.parent in wanted} - wanted
        wanted |= below
        grew = bool(below)
    found = [stats[process_id] for process_id in wanted if process_id in stats]
    return Usage(sum(stat.cpu_seconds for stat in found), sum(stat.resident_bytes for stat in found))


@dataclass(frozen=True, slots=True)
class _Stat:
    parent: int
    cpu_seconds: float
    resident_bytes: int


def _read_all() -> Iterable[tuple[int, _Stat]]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                text = (folder / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended meanwhile
            # The name, in parentheses, may hold anything; see proc(5) for the places of the fields.
            fields = text.rpartition(")")[2].split()
            ticks = sum(map(int, fields[11:15]))
            yield int(folder.name), _Stat(int(fields[1]), ticks / _TICKS_PER_SECOND, int(fields[21]) * _PAGE_BYTES)
