"""Every query of the cookbook for the SQL Editor runs, says something, and is the same in both languages."""

import re
from pathlib import Path

import psycopg
import pytest

from tests.database.support import Database, at, cancel, payment_event

DOCS = Path(__file__).parents[2] / "docs"
VIEWS = ("webhook_health", "webhook_failures", "payment_timeline")


def queries(document: str) -> list[str]:
    return re.findall(r"```sql\n(.*?)```", (DOCS / document).read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def filled(database: Database) -> Database:
    """An order with a cancel, one whose amount differs, an alert, a replay, a reconciliation and a refused delivery."""
    approved = at(1, offset=True)
    database.record(
        payment_event("DONE", 1, order="order-0001", approvedAt=approved),
        payment_event("PARTIAL_CANCELED", 5, order="order-0001", cancels=[cancel("t1", 1000, 5)], balanceAmount=9000),
    )
    database.insert_payment(order_id="order-2", payment_key="placeholder-2", amount=1)
    database.record(payment_event("DONE", 2, order="order-2", key="key-2"))
    database.record({"eventType": "DEPOSIT_CALLBACK", "data": {}, "createdAt": at(3)})
    database.record(
        {"orderId": "order-3", "status": "DONE", "secret": "ps_3", "transactionKey": "t3", "createdAt": at(4)}
    )
    database.connection.execute("update payments set approved_at = now() where order_id = 'order-0001'")
    database.connection.execute(
        "insert into supatoss.alerts (rule, subject, started_at, seen_at) values ('backlog', '', now(), now())"
    )
    database.connection.execute(
        "insert into supatoss.refused_deliveries (reason, http_status) values ('invalid_signature', 401)"
    )
    database.connection.execute(
        """insert into supatoss.operator_actions (event_id, action, actor, reason)
           select id, 'replay', '김운영', '금액 수정' from webhook_events where status = 'failed' limit 1"""
    )
    database.connection.execute(
        """insert into supatoss.reconciliations (kind, started_by, first_day, last_day, closes_at, status, day)
           values ('payments', 'operator', '2026-03-14', '2026-03-14', now(), 'finished', '2026-03-14')"""
    )
    return database


@pytest.mark.parametrize("query", queries("sql-editor.md"))
def test_every_query_of_the_cookbook_runs_and_answers(filled: Database, query: str) -> None:
    assert filled.rows(query.replace("%", "%%"))


def test_the_query_of_the_guide_comes_first_and_word_for_word() -> None:
    assert queries("sql-editor.md")[0].strip() == "SELECT * FROM webhook_events ORDER BY created_at DESC LIMIT 10;"


def test_both_languages_have_the_same_queries() -> None:
    assert queries("sql-editor.md") == queries("sql-editor.ko.md") != []


def test_the_views_say_what_is_there(filled: Database) -> None:
    (health,) = filled.rows("select * from webhook_health")
    assert (health["failed"], health["pending"], health["open_alerts"]) == (2, 1, 1)
    assert health["events_last_hour"] == health["events_last_day"] == 5
    assert health["oldest_waiting_seconds"] >= 0
    (mismatch,) = filled.rows("select * from webhook_failures where reason = 'amount_mismatch'")
    assert (mismatch["order_id"], mismatch["reported_amount"], mismatch["stored_amount"]) == ("order-2", 10000, 1)
    story = filled.rows("select * from payment_timeline where order_id = 'order-0001' order by occurred_at")
    assert [row["reported_status"] for row in story] == ["DONE", "PARTIAL_CANCELED"]
    assert {row["payment_status_now"] for row in story} == {"PARTIAL_CANCELED"}


def test_the_views_of_an_empty_inbox_are_empty(database: Database) -> None:
    (health,) = database.rows("select * from webhook_health")
    assert (health["failed"], health["pending"], health["events_last_day"]) == (0, 0, 0)
    assert health["oldest_waiting_seconds"] is None
    assert health["newest_event_at"] is None
    assert database.rows("select * from webhook_failures") == database.rows("select * from payment_timeline") == []


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_nobody_reads_a_view_with_the_public_key(filled: Database, view: str, role: str) -> None:
    with filled.connection.transaction(force_rollback=True):
        filled.connection.execute(f"set local role {role}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            filled.connection.execute(f"select * from {view}")


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_shows_no_more_than_its_reader_may_see(filled: Database, view: str) -> None:
    """Where somebody grants a view to the public all the same, row level security still hides the rows."""
    with filled.connection.transaction(force_rollback=True):
        filled.connection.execute(
            f"grant select on {view}, webhook_events, payments, supatoss.alerts, supatoss.reconciliations to anon"
        )
        filled.connection.execute("set local role anon")
        assert filled.connection.execute(f"select * from {view}").fetchall() == []


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_holds_no_payload_and_no_secret(filled: Database, view: str) -> None:
    assert "ps_" not in str(filled.rows(f"select * from {view}"))
    columns = {
        row["column_name"]
        for row in filled.rows("select column_name from information_schema.columns where table_name = %s", view)
    }
    assert not columns & {"payload", "change", "billing_key", "secret"}
