"""What all stories share: one migrated database, and the service's store on it without the Data API between."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from supatoss.store.client import Function
from supatoss.store.recording import RecordedEvent
from tests.database.store import DatabaseStore
from tests.database.support import Database
from tests.model.shop import Shop

CONNECTIONS = 4
"""Calls at once that may wait for the application's lock: two of the recorder, and the worker's."""

_TABLES = """
select schemaname || '.' || tablename as name from pg_tables where schemaname in ('public', 'supatoss')
and tablename in ('payments', 'payment_secrets', 'webhook_events', 'settlements', 'refused_deliveries')
"""
"""Where a story leaves rows."""


@dataclass(slots=True)
class Bench:
    """What all stories share: one database, the connections to it, and the application's own one."""

    database: Database
    calls: list[Database]
    shop: psycopg.Connection[Any]
    cleaning: str

    @classmethod
    @contextlib.contextmanager
    def opened(cls, database: Database) -> Iterator["Bench"]:
        """Connections as the Data API makes them: the service role, and each call a transaction."""
        with contextlib.ExitStack() as stack:
            shop, *others = (
                stack.enter_context(psycopg.connect(database.dsn, autocommit=True)) for _ in range(CONNECTIONS + 1)
            )
            for connection in (shop, *others):
                connection.execute("set role service_role")
            tables = database.rows(_TABLES)
            cleaning = "; ".join(f"delete from {table['name']}" for table in tables)
            yield cls(database, [Database(connection, database.dsn) for connection in others], shop, cleaning)

    def clean(self) -> None:
        """Takes a story's few rows away; faster than a truncation, which makes new files."""
        self.database.connection.execute(self.cleaning)


class SharedStore(DatabaseStore):
    """Calls the functions at once, or beside the story while the application has a transaction that they may wait for.

    While it gathers, events that are to be recorded wait for each other, to be recorded in one call.
    """

    def __init__(self, bench: Bench, shop: Shop) -> None:
        super().__init__(bench.calls[0])
        self._bench = bench
        self._shop = shop
        self._free = list(bench.calls)
        self._busy: list[Database] = []
        self._gathered: list[tuple[Sequence[Mapping[str, Any]], asyncio.Future[list[RecordedEvent]]]] | None = None

    def gather(self) -> None:
        """Holds back what is recorded from now on."""
        self._gathered = []

    async def record_gathered(self) -> None:
        """Records what was held back, in one call."""
        gathered, self._gathered = self._gathered or [], None
        if not gathered:
            return
        try:
            outcomes = await super().record_webhook_events([record for records, _ in gathered for record in records])
        except Exception as error:  # noqa: BLE001 - whatever it is, all of them hear of it
            for _, future in gathered:
                future.set_exception(error)
            return
        for records, future in gathered:
            future.set_result(outcomes[: len(records)])
            del outcomes[: len(records)]

    async def record_webhook_events(self, records: Sequence[Mapping[str, Any]]) -> list[RecordedEvent]:
        if self._gathered is None:
            return list(await super().record_webhook_events(records))
        future: asyncio.Future[list[RecordedEvent]] = asyncio.get_running_loop().create_future()
        self._gathered.append((records, future))
        return await future

    async def _answer(self, function: Function, arguments: Mapping[str, Any], tries: int) -> Any:
        marks = ", ".join(f"{name} => %s" for name in arguments)
        query = f"select {function}({marks})"
        database = self._free.pop()
        self._busy.append(database)
        try:
            if self._shop.has_open_transaction:
                return await asyncio.to_thread(_value, database, query, tuple(arguments.values()))
            return _value(database, query, tuple(arguments.values()))
        finally:
            self._busy.remove(database)
            self._free.append(database)

    def is_at_work(self) -> bool:
        """Whether a call is running that does not wait for the application's lock."""
        if not self._busy:
            return False
        pids = [database.connection.info.backend_pid for database in self._busy]
        (waiting,) = self._bench.database.connection.execute(
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and pid = any(%s)", [pids]
        ).fetchone() or (0,)
        return bool(waiting < len(self._busy))


def _value(database: Database, query: str, parameters: Sequence[Any]) -> Any:
    (answer,) = database.connection.execute(query, parameters).fetchone() or (None,)
    return answer
