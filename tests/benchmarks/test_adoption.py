"""The measurement of an adoption, on few rows: its clients work through every file, and its table says so."""

import psycopg

from benchmarks.adoption import FILL, GUIDE, adopt, report, working
from scripts.local_stack import MIGRATIONS, LocalPostgres


def test_the_clients_work_beside_every_file() -> None:
    with LocalPostgres() as server:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute(GUIDE.read_text())
            connection.execute(FILL.format(rows=500))
        with working(server.dsn()) as clients:
            spans = adopt(server.dsn())
    assert [client.problem for client in clients] == [None] * 4
    assert all(client.times for client in clients)
    assert len(spans) == len(list(MIGRATIONS.glob("*.sql")))
    *_, last = report(spans, clients)
    assert last.startswith("| longest |")
