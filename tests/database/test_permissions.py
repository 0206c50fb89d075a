"""Grants and row level security, as the roles of the Data API: each table, each column, each function."""

import json
from typing import Any

import psycopg
import pytest

from tests.database.support import Database, payment_event

OWNER = "11111111-1111-4111-8111-111111111111"
TABLES = (
    "payments",
    "subscriptions",
    "webhook_events",
    "settlements",
    "supatoss.operator_actions",
    "supatoss.operator_sessions",
    "supatoss.reconciliations",
    "supatoss.reconciliation_transactions",
    "supatoss.reconciliation_findings",
    "supatoss.alerts",
    "supatoss.processes",
    "supatoss.write_checks",
)
DENIED = psycopg.errors.InsufficientPrivilege


@pytest.fixture
def rows(database: Database) -> Database:
    """An order and a subscription of OWNER and of somebody else."""
    database.record(
        payment_event("DONE", 10, secret="ps_1"),
        payment_event("DONE", 10, order="order-2", key="key-2"),
        {"eventType": "BILLING_KEY_ISSUED", "data": {"billingKey": "bk-1", "customerKey": "c-1"}},
        {"eventType": "BILLING_KEY_ISSUED", "data": {"billingKey": "bk-2", "customerKey": "c-2"}},
        {"eventType": "SETTLEMENT_COMPLETED", "data": {"orderId": "order-1"}},
    )
    database.connection.execute(
        """with run as (
             insert into supatoss.reconciliations (kind, started_by, first_day, last_day, day, closes_at)
             values ('payments', 'operator', '2026-11-16', '2026-11-16', '2026-11-16', now()) returning id),
           listed as (
             insert into supatoss.reconciliation_transactions (reconciliation_id, transaction_key, subject)
             select id, 'tx-1', 'key-1' from run)
           insert into supatoss.reconciliation_findings (reconciliation_id, subject, kind, day, ours, theirs)
           select id, 'key-1', 'missing', '2026-11-16', '{}', '{}' from run"""
    )
    database.connection.execute("update payments set user_id = %s where order_id = 'order-1'", [OWNER])
    database.connection.execute("update subscriptions set user_id = %s where customer_key = 'c-1'", [OWNER])
    database.call("insert into supatoss.operator_actions (actor, action) values ('a', 'ignore') returning null")
    database.call(
        "insert into supatoss.alerts (rule, subject, started_at, seen_at) values ('a', '', now(), now()) returning null"
    )
    database.call("insert into supatoss.processes (name) values ('a') returning null")
    database.call("select supatoss_open_session_v1(gen_random_uuid(), 'anna', '203.0.113.7', 60)")
    database.call("select supatoss_check_write_v1()")
    return database


def run_as(database: Database, role: str, statement: str) -> list[tuple[Any, ...]]:
    """Runs a statement as PostgREST would for OWNER's token, and takes it back."""
    with database.connection.transaction(force_rollback=True):
        database.connection.execute(f"set local role {role}")
        database.connection.execute("select set_config('request.jwt.claims', %s, true)", [json.dumps({"sub": OWNER})])
        cursor = database.connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


@pytest.mark.parametrize("role", ["anon", "authenticated"])
@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "statement",
    [
        "insert into {} default values",
        "update {} set created_at = now()",
        "delete from {}",
        "truncate {}",
    ],
)
def test_nobody_but_the_service_writes(rows: Database, role: str, table: str, statement: str) -> None:
    with pytest.raises(DENIED):
        run_as(rows, role, statement.format(table))


@pytest.mark.parametrize(
    ("role", "table"),
    [
        *(("anon", table) for table in TABLES),
        *(
            ("authenticated", table)
            for table in ("webhook_events", "settlements", "supatoss.operator_actions", "supatoss.alerts")
        ),
    ],
)
def test_the_service_s_tables_are_closed_column_by_column(rows: Database, role: str, table: str) -> None:
    columns = rows.rows(
        "select attname as column_name from pg_attribute where attrelid = %s::regclass and attnum > 0", table
    )
    assert columns
    for column in columns:
        with pytest.raises(DENIED):
            run_as(rows, role, f"select {column['column_name']} from {table}")


def test_a_user_reads_own_payments_with_select_star(rows: Database) -> None:
    (row,) = run_as(rows, "authenticated", "select * from payments")
    assert "order-1" in row
    assert "ps_1" not in str(row)


def test_a_user_reads_own_subscriptions_without_the_billing_key(rows: Database) -> None:
    assert run_as(rows, "authenticated", "select customer_key, status, tier from subscriptions") == [
        ("c-1", "ACTIVE", "UNASSIGNED")
    ]
    for statement in (
        "select billing_key from subscriptions",
        "select billing_state from subscriptions",
        "select * from subscriptions",
        "select id from subscriptions where billing_key = 'bk-1'",
        "select id from subscriptions order by billing_key",
        "select to_jsonb(s) from subscriptions s",
    ):
        with pytest.raises(DENIED):
            run_as(rows, "authenticated", statement)


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_no_function_of_ours_can_be_called(rows: Database, role: str) -> None:
    functions = rows.rows(
        """select n.nspname as schema, p.proname as name, p.oid
           from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname in ('public', 'supatoss')"""
    )
    assert {row["name"] for row in functions} >= {"record_webhook_events_v1", "supatoss_schema_version"}
    for function in functions:
        (row,) = rows.rows("select has_function_privilege(%s, %s::oid, 'execute') as allowed", role, function["oid"])
        assert row == {"allowed": False}, function
    with pytest.raises(DENIED):
        run_as(rows, role, "select public.record_webhook_events_v1('[]')")


def test_the_service_reads_and_writes_everything(rows: Database) -> None:
    for table in TABLES:
        assert run_as(rows, "service_role", f"select count(*) > 0 from {table}") == [(True,)]


def test_the_sql_editor_s_query_of_the_guide(rows: Database) -> None:
    found = rows.rows("SELECT * FROM webhook_events ORDER BY created_at DESC LIMIT 10;")
    assert len(found) == 5
    assert found[0].keys() >= {"id", "event_type", "payment_key", "payload", "processed", "processed_at", "created_at"}
