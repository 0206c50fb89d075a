"""docs/agents.md: its SQL runs as it stands, before and after the webhook, and what it says of refusals is so."""

import re
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.database.support import Database, Row, payment_event

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "agents.md").read_text(encoding="utf-8")
ORDER, SUBSCRIPTION, RENEWAL, CONFIRMED, REACTION = re.findall(r"```sql\n(.*?)```", TEXT, re.DOTALL)


def run(database: Database, sql: str, role: str = "service_role") -> list[Row]:
    """One request of the application: with the secret key, or as a signed-in user."""
    with database.connection.transaction(), database.connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(f"set local role {role}")
        cursor.execute(sql)
        rows = cursor.fetchall() if cursor.description else []
        cursor.execute("set local role none")  # the end of a savepoint would keep it
        return rows


def event(order: str, key: str) -> Row:
    return payment_event("DONE", 10, order=order, key=key, totalAmount=9900)


def test_the_order_is_paid_by_its_webhook_and_not_by_the_late_confirmation(database: Database) -> None:
    (row,) = run(database, ORDER)
    assert row["payment_status"] == "PENDING"
    database.record(event("order-1", "key-1"))
    assert database.payment()["payment_status"] == "DONE"
    database.record(payment_event("CANCELED", 20, order="order-1", key="key-1", totalAmount=9900))
    run(database, CONFIRMED)
    assert database.payment()["payment_status"] == "CANCELED"


def test_the_confirmation_marks_an_order_that_is_unpaid(database: Database) -> None:
    run(database, ORDER)
    run(database, CONFIRMED)
    row = database.payment()
    assert (row["payment_status"], row["payment_key"]) == ("DONE", "key-1")


@pytest.mark.parametrize(
    ("sql", "order", "key"), [(ORDER, "order-1", "key-1"), (RENEWAL, "renewal-1", "payment-key-of-toss")]
)
def test_an_insert_after_its_webhook_returns_the_row_as_written(
    database: Database, sql: str, order: str, key: str
) -> None:
    database.record(event(order, key))
    (row,) = run(database, sql)
    assert row["order_id"] == order
    assert database.payment(order)["payment_status"] == "DONE"
    assert database.payment(order)["id"] == row["id"]


def test_the_subscription_is_stored(database: Database) -> None:
    (row,) = run(database, SUBSCRIPTION)
    assert row["status"] == "ACTIVE"
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for table subscriptions"):
        run(database, "select * from subscriptions", role="authenticated")


def test_a_placeholder_that_is_used_twice_is_refused(database: Database) -> None:
    run(database, ORDER)
    with pytest.raises(psycopg.errors.UniqueViolation, match="payments_payment_key_key"):
        run(database, ORDER.replace("'order-1', 'order-1'", "'order-2', 'order-1'"))


def test_the_reaction_is_a_tested_recipe_and_names_every_change() -> None:
    reacting = (DOCS / "reacting.md").read_text(encoding="utf-8")
    assert f"```sql\n{REACTION}```" in reacting
    changes = re.findall(r"^\| `(\w+)` \|", reacting.split("## Changes")[1].split("## ")[0], re.MULTILINE)
    said = re.search(r"`change` is (.*?)\.", TEXT, re.DOTALL)
    assert said
    assert re.findall(r"`(\w+)`", said[1]) == changes


def test_every_status_and_every_column_is_named(database: Database) -> None:
    (check,) = database.rows(
        "select pg_get_constraintdef(oid) as definition from pg_constraint"
        " where conname = 'payments_payment_status_check'"
    )
    statuses = set(re.findall(r"'([A-Z_]+)'", check["definition"]))
    table = TEXT.split("| `payment_status` | meaning |")[1].split("\n\n")[0]
    assert set(re.findall(r"`([A-Z_]+)`", table)) == statuses
    columns = {
        row["column_name"]
        for row in database.rows("select column_name from information_schema.columns where table_schema = 'public'")
    }
    not_yours = re.search(r"or the columns (.*?)\.\n", TEXT, re.DOTALL)
    assert not_yours
    assert set(re.findall(r"`(\w+)`", not_yours[1])) <= columns
