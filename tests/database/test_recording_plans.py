"""The plans of recording are made once a connection, while the tables may be empty: they must not read them whole."""

from typing import Any

import psycopg
import pytest
from psycopg.types.json import Json

from tests.database.support import Database, cancel, payment_event, record_of

ORDERS = 1000
BLOCKS_OF_A_CALL = 150
"""Of 8 kB each. A plan that reads one index or table whole reads more than that with each look-up."""


@pytest.mark.usefixtures("commits")
@pytest.mark.parametrize(
    ("status", "key", "first"),
    [("DONE", "key", ORDERS), ("CANCELED", "key", 0), ("DONE", "other", 0)],
    ids=["new", "known", "paid twice"],
)
def test_a_plan_from_an_empty_table_reads_few_rows_of_a_full_one(
    database: Database, status: str, key: str, first: int
) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as session:
        blocks_read(session, -1, "DONE")
        blocks_read(session, -1, "DONE", "other")
        blocks_read(session, -1, "CANCELED")
        database.record(*(payment_event("DONE", n, order=f"order-{n}", key=f"key-{n}") for n in range(ORDERS)))

        # Three calls: the first reads what others have written of the catalog since.
        assert min(blocks_read(session, n, status, key) for n in range(first, first + 3)) < BLOCKS_OF_A_CALL


def blocks_read(session: psycopg.Connection[Any], number: int, status: str, key: str = "key") -> int:
    """Records one event of an order in this session, and returns how many blocks that took."""
    cancels = [cancel(f"t{number}", 10000, 90)] if status == "CANCELED" else None
    record = record_of(
        payment_event(status, max(number, 0), order=f"order-{number}", key=f"{key}-{number}", cancels=cancels)
    )
    with session.transaction():
        session.execute("set local role service_role")
        row = session.execute(
            "explain (analyze, buffers, format json) select record_webhook_events_v1(%s::text)", [Json([record])]
        ).fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
