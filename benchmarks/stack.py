"""What the peers run on: a durable PostgreSQL 18, Supabase Lite in front of it, and Lite on PGlite.

Every part starts on first use.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.measure import Load, drive
from benchmarks.requests import render, write_requests
from benchmarks.rows import DataApiRows, Rows, ServerRows
from scripts.local_stack import LOOPBACK, MIGRATIONS, LocalPostgres, LocalSupabase, free_port

PUBLISHABLE_KEY = "sb_publishable_for_benchmarks_0001"
SUPABASE_KEY = "sb_secret_for_benchmarks_0001"

WARM_UP_CALLS = 4000

DURABLE = {
    "fsync": "on",
    "synchronous_commit": "on",
    "max_connections": "400",  # pgbench with 256 clients
    "shared_buffers": "1GB",  # a small project's server; the default of 128 MB is a laptop's
    "max_wal_size": "8GB",  # no forced checkpoint during a run
}
"""Server settings: commits are on disk before they are answered. Everything else is PostgreSQL's default."""

_SQL = Path(__file__).with_name("sql")


class Backend(StrEnum):
    """The database behind the Data API."""

    POSTGRES = "PostgreSQL 18"
    PGLITE = "PGlite"


class Schema(StrEnum):
    """The tables of a project: ours, or the merchant guide's unchanged."""

    SUPATOSS = "supatoss"
    GUIDE = "guide"


@dataclass(frozen=True, slots=True)
class Project:
    """A running Supabase project."""

    lite: LocalSupabase
    rows: Rows

    @property
    def url(self) -> str:
        """Address of its Data API."""
        return self.lite.url

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of its Data API."""
        return LOOPBACK, self.lite.port

    @property
    def processes(self) -> list[int]:
        """Process id of Lite."""
        return [self.lite.server.pid]


class Stack:
    """Starts parts on demand, and stops them all at the end."""

    def __init__(self, warm_up_calls: int = WARM_UP_CALLS, settings: Mapping[str, str] = DURABLE) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="supatoss-bench-"))
        self._warm_up_calls = warm_up_calls
        self._settings = settings
        self._running = ExitStack()
        self._postgres: LocalPostgres | None = None
        self._projects: dict[tuple[Backend, Schema], Project] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()
        if error is None or isinstance(error, KeyboardInterrupt):
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            print(f"logs are kept in {self.folder}")

    @property
    def postgres(self) -> LocalPostgres:
        """The server, with databases of its own for each schema and for stripe-sync-engine."""
        if self._postgres is None:
            self._postgres = self._running.enter_context(LocalPostgres(settings=self._settings))
        return self._postgres

    @property
    def postgres_processes(self) -> list[int]:
        """Process id of the server, if one runs; its backends are below it."""
        return [self._postgres.pid] if self._postgres else []

    def project(self, backend: Backend, schema: Schema = Schema.SUPATOSS) -> Project:
        """The project with these tables on this backend."""
        known = self._projects.get((backend, schema))
        if known is None:
            known = self._projects[backend, schema] = self._start(backend, schema)
        return known

    def _start(self, backend: Backend, schema: Schema) -> Project:
        dsn = self.postgres.create_database(f"bench_{schema.value}") if backend is Backend.POSTGRES else None
        folder = self.folder / f"{backend.name.lower()}-{schema.value}"
        lite = LocalSupabase(
            folder,
            free_port(),
            PUBLISHABLE_KEY,
            SUPABASE_KEY,
            database_url=dsn,
            migrations=self._migrations(schema),
        )
        self._running.callback(lite.stop)
        lite.migrate()
        lite.start()
        lite.wait_ready()
        self._warm_up(lite)
        return Project(lite, ServerRows(dsn) if dsn else DataApiRows(lite.url, SUPABASE_KEY))

    def _warm_up(self, lite: LocalSupabase) -> None:
        """Node compiles hot code: Lite's first thousands of calls cost three times as much."""
        body = json.dumps({"query": "select 1 as one"}).encode()
        call = render("/rest/v1/rpc/benchmark_query", body, {"apikey": SUPABASE_KEY})
        requests = self.folder / "warm-up.requests"
        write_requests(requests, [call] * self._warm_up_calls)
        for connections, count in ((1, max(1, self._warm_up_calls // 10)), (8, self._warm_up_calls)):
            drive("benchmarks.driver", requests, [(LOOPBACK, lite.port)], Load(connections, 60.0, count))

    def _migrations(self, schema: Schema) -> Path:
        """A folder with the schema's migrations, and the benchmark's own functions to read rows."""
        folder = self.folder / f"migrations-{schema.value}"
        if folder.exists():
            return folder
        folder.mkdir()
        files = sorted(MIGRATIONS.glob("*.sql")) if schema is Schema.SUPATOSS else [_SQL / "guide_tables.sql"]
        for number, file in enumerate([*files, _SQL / "look_inside.sql"]):
            (folder / f"2026010100{number:04d}_{file.stem.partition('_')[2] or file.stem}.sql").symlink_to(file)
        return folder
