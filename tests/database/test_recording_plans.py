"""The plans of recording are made once a connection, while the tables may be empty: they must not read them whole."""

from typing import Any

import psycopg
import pytest
from psycopg.types.json import Json

from tests.database.support import Database, cancel, payment_event, record_of

ORDERS = 1000
BLOCKS = 100
"""Of 8 kB each. A plan that reads one index or table whole reads more than that with each look-up."""

BLOCKS_OF_A_SECOND_PAYMENT = 150
"""It is judged too, which takes more look-ups."""


@pytest.mark.usefixtures("commits")
@pytest.mark.parametrize(
    ("status", "key", "first", "most"),
    [
        ("DONE", "key", ORDERS, BLOCKS),
        ("CANCELED", "key", 0, BLOCKS),
        ("DONE", "other", 0, BLOCKS_OF_A_SECOND_PAYMENT),
    ],
    ids=["new", "known", "paid twice"],
)
def test_a_plan_from_an_empty_table_reads_few_rows_of_a_full_one(
    database: Database, status: str, key: str, first: int, most: int
) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as session:
        blocks_read(session, -1, "DONE")
        blocks_read(session, -1, "DONE", "other")
        blocks_read(session, -1, "CANCELED")
        database.record(*(payment_event("DONE", n, order=f"order-{n}", key=f"key-{n}") for n in range(ORDERS)))

        # Three calls: the first reads what others have written of the catalog since.
        assert min(blocks_read(session, n, status, key) for n in range(first, first + 3)) < most


@pytest.mark.usefixtures("commits")
@pytest.mark.parametrize(
    "query",
    [
        """select supatoss_known_orders_v1('["order-7", "unknown"]')""",
        "select read_known_keys_v1('order-7', 'unknown', 'unknown', 'unknown')",
    ],
)
def test_what_an_unsigned_delivery_asks_reads_few_rows(database: Database, query: str) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as session:
        for _ in range(10):  # PostgreSQL 18 keeps the plan of a function in SQL after some calls.
            session.execute(query)
        database.record(*(payment_event("DONE", n, order=f"order-{n}", key=f"key-{n}") for n in range(ORDERS)))
        with session.transaction():
            session.execute(query)
            row = session.execute(
                "select sum(seq_tup_read) from pg_stat_xact_user_tables where relname in ('payments', 'webhook_events')"
            ).fetchone()
        assert row == (0,)
        assert min(blocks_of(session, query) for _ in range(3)) < BLOCKS


def blocks_read(session: psycopg.Connection[Any], number: int, status: str, key: str = "key") -> int:
    """Records one event of an order in this session, and returns how many blocks that took."""
    cancels = [cancel(f"t{number}", 10000, 90)] if status == "CANCELED" else None
    record = record_of(
        payment_event(status, max(number, 0), order=f"order-{number}", key=f"{key}-{number}", cancels=cancels)
    )
    with session.transaction():
        session.execute("set local role service_role")
        return blocks_of(session, "select record_webhook_events_v1(%s::text)", Json([record]))


def blocks_of(session: psycopg.Connection[Any], query: str, *parameters: Any) -> int:
    row = session.execute(f"explain (analyze, buffers, format json) {query}", parameters).fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
