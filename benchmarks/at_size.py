"""How long each page, command and query takes on large tables: `python -m benchmarks queries`.

The tables are filled first, or they are those of a database that is kept between runs (--dsn).
"""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.bulk import Size, fill, fill_other_tables
from benchmarks.explain import plans_of, scanned_tables
from benchmarks.reads import Query, queries
from benchmarks.stack import DURABLE
from scripts.local_stack import MIGRATIONS, LocalPostgres

LIMIT_MS = 200.0
"""A page that takes longer feels slow, and a shared database has other work."""

ROUNDS = 5
HOPELESS_MS = 1000.0
"""What takes longer at first is not asked again."""

HEADER = "| query | first, ms | median, ms | CPU, ms | rows | reads whole |\n|---|---|---|---|---|---|"
LARGE = ("webhook_events", "payments", "settlements", "subscriptions")


@dataclass(frozen=True, slots=True)
class Timing:
    """first_ms: before its pages were cached by itself. cpu_ms: of the server process, the last time.

    scans: large tables that it reads from beginning to end.
    """

    name: str
    first_ms: float
    median_ms: float
    cpu_ms: float
    rows: int
    scans: tuple[str, ...]


def run(size: Size, dsn: str | None, only: str | None, log: Callable[[str], None]) -> int:
    """Fills a server of its own, or a database that is kept, and prints the table. Returns how many are too slow."""
    with _database(dsn) as found:
        with psycopg.connect(found) as connection:
            is_filled = connection.execute("select to_regclass('public.webhook_events')").fetchone() != (None,)
        if not is_filled:
            migrate(found)
            log(f"filling: {size.events:,} events, {size.payments:,} payments")
            fill(found, size, log)
            fill_other_tables(found, size)
        with psycopg.connect(found, autocommit=True) as connection:
            chosen = [query for query in queries(connection) if not only or only in query.name]
            timings = []
            print(HEADER, flush=True)
            for query in chosen:
                timings.append(measure(found, connection, query))
                print(row(timings[-1]), flush=True)
    slow = [timing for timing in timings if timing.median_ms > LIMIT_MS]
    print(f"\n{len(timings)} queries, {len(slow)} above {LIMIT_MS:.0f} ms")
    return len(slow)


def migrate(dsn: str) -> None:
    """Applies the migrations as the Supabase CLI does: one transaction a file."""
    with psycopg.connect(dsn) as connection:
        for migration in sorted(MIGRATIONS.glob("*.sql")):
            connection.execute(migration.read_text(encoding="utf-8"))
            connection.commit()


def measure(dsn: str, connection: psycopg.Connection, query: Query) -> Timing:
    """Its times, and what its plans read whole. Nothing that it changes is kept."""
    milliseconds: list[float] = []
    cpu_ms, rows = 0.0, 0
    while len(milliseconds) <= ROUNDS and (not milliseconds or milliseconds[0] < HOPELESS_MS):
        with connection.transaction(force_rollback=True):
            connection.execute(f"set local role {query.role}")
            cpu_before, began = _cpu_ms(connection), time.perf_counter()
            answer = connection.execute(query.statement, query.parameters or None).fetchall()
            milliseconds.append((time.perf_counter() - began) * 1000)
            cpu_ms = _cpu_ms(connection) - cpu_before
        rows = _count(answer)
    plans = plans_of(dsn, query.statement, query.parameters, query.role)
    scans = tuple(table for table in scanned_tables(plans) if table in LARGE)
    return Timing(query.name, milliseconds[0], statistics.median(milliseconds[1:] or milliseconds), cpu_ms, rows, scans)


def _cpu_ms(connection: psycopg.Connection) -> float:
    """Time that the connection's server process has been running; 0 where it is on another machine."""
    try:
        running, *_ = Path(f"/proc/{connection.info.backend_pid}/schedstat").read_text(encoding="ascii").split()
    except FileNotFoundError:
        return 0.0
    return int(running) / 1e6


def row(timing: Timing) -> str:
    """One line of the table in Markdown."""
    mark = " **" if timing.median_ms > LIMIT_MS else ""
    return (
        f"| {timing.name}{mark} | {timing.first_ms:.1f} | {timing.median_ms:.1f} | {timing.cpu_ms:.1f}"
        f" | {timing.rows:,} | {', '.join(timing.scans) or '-'} |"
    )


def _count(answer: list[Any]) -> int:
    """Rows of a select, or of the list that a function answers with."""
    if len(answer) != 1 or len(answer[0]) != 1:
        return len(answer)
    value = answer[0][0]
    if isinstance(value, dict):
        return max((len(item) for item in value.values() if isinstance(item, list)), default=1)
    return len(value) if isinstance(value, list) else 1


@contextmanager
def _database(dsn: str | None) -> Iterator[str]:
    if dsn:
        yield Path(dsn).read_text(encoding="utf-8").strip() if Path(dsn).is_file() else dsn
        return
    with LocalPostgres(settings=DURABLE) as server:
        yield server.dsn()
