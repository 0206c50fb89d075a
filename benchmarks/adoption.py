"""How long an application waits while its tables of a million rows each are adopted, file by file.

    python -m benchmarks.adoption [--rows N] [--binaries FOLDER]

Beside the migrations, which run as the Supabase CLI runs them (a transaction a file), four clients work on the tables
of the guide's project: two write, two read. A stall is the longest time that one statement of theirs took.
"""

import argparse
import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from scripts.local_stack import MIGRATIONS, ROOT, LocalPostgres

GUIDE = ROOT / "tests" / "merchant" / "guide.sql"
PAUSE_SECONDS = 0.002
NOTICE_SECONDS = 0.1

# The project's triggers stay out of the filling. approved_at is Korean time, all others are UTC.
FILL = """
set session_replication_role = replica;
insert into payments (payment_key, order_id, order_name, amount, payment_status, payment_method, requested_at,
                      approved_at, receipt_url, created_at, updated_at, user_id)
select 'tviva' || n || md5(n::text), 'order_' || n, '월 이용권', 9900, 'DONE', '카드', t,
       t + interval '9 hours 20 seconds',
       'https://dashboard.tosspayments.com/receipt/redirection?transactionId=tviva' || md5(n::text), t,
       t + interval '30 seconds', '00000000-0000-0000-0000-000000000001'
from (select n, timestamp '2024-02-01' + n * interval '30 seconds' as t from generate_series(10, {rows}) n) s;
insert into webhook_events (event_type, payment_key, payload, processed, processed_at, created_at)
select 'PAYMENT_STATUS_CHANGED', 'tviva' || n || md5(n::text),
       jsonb_build_object('eventType', 'PAYMENT_STATUS_CHANGED', 'createdAt', t, 'data', jsonb_build_object(
         'paymentKey', md5(n::text), 'orderId', 'order_' || n, 'status', 'DONE', 'totalAmount', 9900,
         'card', jsonb_build_object('number', md5(n::text || 'a'), 'approveNo', n), 'secret', md5(n::text || 'c'),
         'receipt', repeat(md5(n::text), 4), 'checkout', repeat(md5(n::text || 'b'), 4),
         'lastTransactionKey', md5(n::text))),
       true, t, t
from (select n, timestamp '2024-02-01' + n * interval '30 seconds' as t from generate_series(10, {rows}) n) s;
"""

ORDER = """insert into payments (payment_key, order_id, order_name, amount, payment_status)
           values (%(n)s, %(n)s, '주문', 9900, 'PENDING')"""
APPROVAL = (
    "update payments set payment_status = 'DONE', approved_at = '2026-01-01T10:00:00+09:00' where order_id = %(n)s"
)
EVENT = "insert into webhook_events (event_type, payment_key, payload) values ('PAYMENT_STATUS_CHANGED', %(n)s, '{}')"
CLIENTS = {
    "writes payments": (ORDER, APPROVAL),
    "reads payments": ("select * from payments where order_id = 'order_' || length(%(n)s) * 1000",),
    "writes webhook_events": (EVENT,),
    "reads webhook_events": ("select * from webhook_events order by created_at desc limit length(%(n)s)",),
}


@dataclass
class Client:
    """One that works on the tables until it is told to stop, and notes when each of its statements began and ended."""

    name: str
    dsn: str
    statements: tuple[str, ...]
    times: list[tuple[float, float]] = field(default_factory=list)
    problem: str | None = None

    def longest(self, since: float = 0.0, until: float = float("inf")) -> float:
        """The longest statement, in seconds, of those that began in this span."""
        return max((ended - began for began, ended in self.times if since <= began < until), default=0.0)

    def work(self, stop: threading.Event) -> None:
        """One statement after the other, until it shall stop."""
        try:
            # Unprepared: a prepared `select *` fails once when its table gets a column, whoever adds it.
            with psycopg.connect(self.dsn, autocommit=True, prepare_threshold=None) as connection:
                for number in itertools.count():
                    if stop.is_set():
                        return
                    for statement in self.statements:
                        began = time.perf_counter()
                        connection.execute(statement, {"n": f"{self.name}-{number}"})
                        self.times.append((began, time.perf_counter()))
                    time.sleep(PAUSE_SECONDS)
        except psycopg.Error as error:
            self.problem = str(error)


@contextmanager
def working(dsn: str) -> Iterator[list[Client]]:
    """The clients, who work until the end of the block."""
    stop = threading.Event()
    clients = [Client(name, dsn, statements) for name, statements in CLIENTS.items()]
    threads = [threading.Thread(target=client.work, args=(stop,)) for client in clients]
    for thread in threads:
        thread.start()
    try:
        yield clients
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def adopt(dsn: str) -> list[tuple[str, float, float]]:
    """Applies the migrations, and returns when each file began and ended."""
    spans = []
    with psycopg.connect(dsn) as connection:
        for migration in sorted(MIGRATIONS.glob("*.sql")):
            began = time.perf_counter()
            connection.execute(migration.read_text())
            connection.commit()
            spans.append((migration.stem.partition("_")[2], began, time.perf_counter()))
    return spans


def report(spans: list[tuple[str, float, float]], clients: list[Client]) -> Iterator[str]:
    """A table in Markdown: a line for each file beside which somebody waited, and the longest of all."""
    yield "| file | takes, s | " + " | ".join(f"{client.name}, s" for client in clients) + " |"
    yield "|---" * (2 + len(clients)) + "|"
    for name, began, ended in spans:
        stalls = [client.longest(began - NOTICE_SECONDS, ended) for client in clients]
        if max(stalls) >= NOTICE_SECONDS:
            yield f"| {name} | {ended - began:.2f} | " + " | ".join(f"{stall:.2f}" for stall in stalls) + " |"
    whole = spans[-1][2] - spans[0][1]
    yield f"| longest | {whole:.2f} in all | " + " | ".join(f"{client.longest():.2f}" for client in clients) + " |"


def main() -> None:
    """Fills a project, adopts it, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--binaries", type=Path, help="another version's programs, such as Debian's PostgreSQL 15")
    options = parser.parse_args()
    with LocalPostgres(settings={}, binaries=options.binaries) as server:
        dsn = server.dsn()
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(GUIDE.read_text())
            connection.execute(FILL.format(rows=options.rows))
            connection.execute("vacuum analyze payments, webhook_events")
            (version,) = connection.execute("show server_version").fetchone() or ("?",)
            sizes = connection.execute(
                "select pg_size_pretty(pg_total_relation_size('payments')),"
                " pg_size_pretty(pg_total_relation_size('webhook_events'))"
            ).fetchone()
        print(f"PostgreSQL {version}, {options.rows:,} rows each: payments and webhook_events {sizes}")
        with working(dsn) as clients:
            spans = adopt(dsn)
        for line in report(spans, clients):
            print(line)
        for client in clients:
            if client.problem:
                print(f"{client.name} stopped: {client.problem}")


if __name__ == "__main__":
    main()
