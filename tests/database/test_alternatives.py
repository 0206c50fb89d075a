"""The other ways to store an event that the simulation measures: each stores every event, and duplicates once."""

import psycopg
import pytest

from benchmarks.queueing import alternatives
from benchmarks.queueing.alternatives import BATCH, WAYS, store

LEFT = {
    "the inbox with its unique index": {"plain": 2 * BATCH},
    "a partitioned inbox with keys beside": {"parted": 2 * BATCH, "keys": 2 * BATCH},
    "a queue in front: send, read, delete": {"queue": 0},
    "a queue in front: send, read, archive": {"queue": 0, "archive": 2 * BATCH},
}


@pytest.mark.parametrize("name", WAYS)
def test_every_event_is_where_it_belongs(empty_database: str, name: str) -> None:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        store(connection, name, 2)

        for table, rows in LEFT[name].items():
            assert connection.execute(f"select count(*) from {table}").fetchone() == (rows,)


@pytest.mark.parametrize("name", list(WAYS)[:2])
def test_an_event_that_comes_again_is_stored_once(
    empty_database: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    statements, tables = WAYS[name]
    monkeypatch.setitem(alternatives.WAYS, name, ([*statements, *statements], tables))
    with psycopg.connect(empty_database, autocommit=True) as connection:
        store(connection, name, 2)

        for table, rows in LEFT[name].items():
            assert connection.execute(f"select count(*) from {table}").fetchone() == (rows,)
