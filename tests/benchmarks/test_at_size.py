"""Every query of the benchmark runs on a small copy of its tables, and finds what it is about."""

from collections.abc import Iterator

import psycopg
import pytest

from benchmarks.at_size import measure, migrate, row
from benchmarks.bulk import Size, fill, fill_other_tables
from benchmarks.reads import queries
from scripts.local_stack import LocalPostgres


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with LocalPostgres() as server:
        size = Size(events=6000, payments=1800)
        migrate(server.dsn())
        fill(server.dsn(), size, lambda _line: None)
        fill_other_tables(server.dsn(), size)
        yield server.dsn()


def test_every_query_runs_and_finds_what_it_is_about(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        timings = {query.name: measure(dsn, connection, query) for query in queries(connection)}
    rows = {name: timing.rows for name, timing in timings.items()}
    assert rows["events list: all"] == rows["events list: ids, 50"] == rows["payments"] == 50
    assert rows["events list: limit 500"] == rows["payments: CSV page"] == 500
    assert rows["events list: type, two old events"] == 2
    assert rows["events list: short id, oldest"] == rows["events page: search event's id"] == 1
    assert rows["events list: order"] == rows["order's page, middle"] == 4
    assert rows["events list: type, none"] == rows["events list: order, not there"] == 0
    assert rows["refused deliveries"] == rows["payments: DONE"] == rows["settlements"] == 50
    assert rows["reconcile: open findings"] == 90
    assert "| payments |" in row(timings["payments"])


def test_a_query_keeps_nothing_that_it_changes(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        (claim,) = (query for query in queries(connection) if query.name == "worker: claim")
        measure(dsn, connection, claim)
        assert connection.execute("select count(lease_token) from webhook_events").fetchone() == (0,)
