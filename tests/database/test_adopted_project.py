"""The guide's whole project (policies, triggers, a view, Korean times) goes on as before after the migrations."""

import datetime as dt
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from scripts.local_stack import MIGRATIONS
from tests.database.conftest import migrate
from tests.database.support import Database, payment_event

GUIDE = Path(__file__).parents[1] / "merchant" / "guide.sql"
USER = "00000000-0000-0000-0000-000000000001"
VIEW = """
select pg_get_viewdef(c.oid) as definition, c.reloptions, r.rolname as owner, obj_description(c.oid) as comment,
       col_description(c.oid, 2) as column_comment,
       (select array_agg(x::text order by x::text) from unnest(c.relacl) x) as grants,
       (select array_agg(a.attname || x::text) from pg_attribute a, unnest(a.attacl) x
        where a.attrelid = c.oid) as more,
       (select array_agg(t.tgname) from pg_trigger t where t.tgrelid = c.oid) as triggers
from pg_class c join pg_roles r on r.oid = c.relowner where c.relname = %s
"""


@pytest.fixture
def guide(empty_database: str) -> Iterator[Database]:
    """The project before the migrations."""
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(GUIDE.read_text())
        # What its trigger finds in our transactions is the subject of other tests.
        connection.execute("alter function add_credits() set search_path = public")
        yield Database(connection, empty_database)


@pytest.fixture
def adopted(guide: Database) -> Database:
    migrate(guide.dsn)
    return guide


def run_as(database: Database, role: str, statement: str, *parameters: Any, user: str = USER) -> list[tuple[Any, ...]]:
    """As PostgREST runs it for a user's token, and taken back."""
    with database.connection.transaction(force_rollback=True):
        database.connection.execute(f"set local role {role}")
        database.connection.execute("select set_config('request.jwt.claims', %s, true)", [json.dumps({"sub": user})])
        cursor = database.connection.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


def test_amounts_stay_integers_for_every_client(adopted: Database) -> None:
    adopted.record(payment_event("DONE", 10, order="order_2", key="key-2", totalAmount=5000))
    assert type(adopted.payment("order_2")["amount"]) is int
    assert (adopted.payment("order_2")["amount"], adopted.payment("order_2")["payment_status"]) == (5000, "DONE")
    adopted.record(payment_event("DONE", 10, order="order_9", key="key-9", totalAmount=12000))  # none knew of it
    assert adopted.payment("order_9")["amount"] == 12000
    assert {row["status"] for row in adopted.rows("select status from webhook_events where event_key is not null")} == {
        "processed"
    }


@pytest.mark.parametrize(
    ("amount", "words"), [("9.99", "(integer), which would make it 10"), ("3000000000", "(integer)")]
)
def test_an_amount_that_does_not_fit_is_never_rounded(adopted: Database, amount: str, words: str) -> None:
    bad = payment_event("DONE", 10, order="usd", key="key-usd", totalAmount=float(amount), currency="USD")
    good = payment_event("DONE", 10, order="order_2", key="key-2", totalAmount=5000)
    outcomes = adopted.record(good, bad)
    assert [row["status"] for row in outcomes] == ["processed", "failed"]
    (event,) = adopted.rows("select * from webhook_events where order_id = 'usd'")
    assert f"the amount {amount} does not fit into the column payments.amount" in event["last_error"].replace(
        ".0 ", " "
    )
    assert words in event["last_error"]
    assert adopted.rows("select 1 from payments where order_id = 'usd'") == []
    # The remedy that the message names.
    adopted.connection.execute("drop view sales_of_today")
    adopted.connection.execute("alter table payments alter column amount type numeric")
    again = psycopg.connect(adopted.dsn, autocommit=True)
    with again:
        Database(again, adopted.dsn).call(
            "select replay_webhook_events_v1(%s, 'tests', false)",
            json.dumps(
                [
                    {
                        "event": str(event["id"]),
                        "status": "processed",
                        "seen_status": "failed",
                        "seen_reason": event["reason"],
                    }
                ]
            ),
        )
    assert adopted.payment("usd")["amount"] == Decimal(amount)


def test_literals_with_an_offset_are_right_from_now_on(adopted: Database) -> None:
    adopted.connection.execute(
        "update payments set payment_status = 'DONE', approved_at = '2026-01-01T10:00:00+09:00'"
        " where order_id = 'order_2'"
    )
    assert adopted.payment("order_2")["approved_at"] == dt.datetime(2026, 1, 1, 1, tzinfo=dt.UTC)


def test_the_statistics_of_the_day(adopted: Database) -> None:
    adopted.insert_payment(order_id="today", payment_key="today", amount=700, payment_status="DONE")
    rows = adopted.rows(
        "select payment_status, sum(amount) as total from payments where date(created_at) = current_date group by 1"
    )
    assert rows == adopted.rows("select * from sales_of_today") == [{"payment_status": "DONE", "total": 700}]


def test_views_are_made_again_as_they_were(guide: Database) -> None:
    guide.connection.execute("""
        create role reporter; create role analyst;
        create view late with (security_invoker = true, check_option = local) as
          select order_id, created_at from payments where payment_status = 'PENDING';
        create view later as select l.*, s.total from late l, sales_of_today s;
        create function nothing() returns trigger language plpgsql as 'begin return null; end';
        create trigger instead instead of insert on later for each row execute function nothing();
        comment on view late is '늦은 주문';
        comment on column late.created_at is 'when';
        grant select (order_id) on late to analyst;
        grant select on later to reporter with grant option;
        revoke all on sales_of_today from public, anon, authenticated;
        alter view late owner to reporter;
        grant select on payments to reporter;
    """)
    views = ("late", "later", "sales_of_today")
    before = {view: guide.rows(VIEW, view) for view in views}
    migrate(guide.dsn)
    after = {view: guide.rows(VIEW, view) for view in views}
    for view in views:
        assert after[view] == before[view]
    (row,) = guide.rows("select pg_typeof(created_at)::text as type from late limit 1")
    assert row == {"type": "timestamp with time zone"}


def test_a_check_is_widened_and_never_narrowed(guide: Database) -> None:
    guide.connection.execute("alter table payments drop constraint payments_payment_status_check")
    guide.connection.execute(
        "alter table payments add constraint statuses check (payment_status in ('PENDING', 'DONE', 'REFUNDED'))"
    )
    migrate(guide.dsn)
    for status in ("REFUNDED", "WAITING_FOR_DEPOSIT"):
        guide.connection.execute("update payments set payment_status = %s where order_id = 'order_2'", [status])
    with pytest.raises(psycopg.errors.CheckViolation):
        guide.connection.execute("update payments set payment_status = 'X' where order_id = 'order_2'")
    assert guide.rows("select conname from pg_constraint where not convalidated") == []


def test_missing_columns_are_added(guide: Database) -> None:
    for column in ("metadata", "updated_at", "receipt_url", "currency", "failure_message", "product_id"):
        guide.connection.execute(f"alter table payments drop column {column} cascade")
    guide.connection.execute("drop trigger payments_touch on payments")
    guide.connection.execute("alter table payments alter column payment_method type varchar(5)")
    migrate(guide.dsn)
    guide.record(
        payment_event("DONE", 10, order="order_2", key="key-2", totalAmount=5000, method="계좌이체와 그 밖의 것")
    )
    row = guide.payment("order_2")
    assert (row["payment_status"], row["currency"], row["payment_method"]) == ("DONE", "KRW", "계좌이체와 그 밖의 것")
    assert guide.rows("select updated_at from payments where order_id = 'order_1'") == [{"updated_at": None}]


def test_clocks_that_are_missing_are_added_and_say_nothing_of_before(guide: Database) -> None:
    for table, columns in {
        "subscriptions": (
            "created_at",
            "updated_at",
            "next_billing_date",
            "canceled_at",
            "billing_cycle",
            "product_id",
        ),
        "webhook_events": ("created_at", "processed_at"),
    }.items():
        for column in columns:
            guide.connection.execute(f"alter table {table} drop column {column} cascade")
    guide.connection.execute("drop trigger subscriptions_touch on subscriptions")
    migrate(guide.dsn)
    assert guide.rows("select distinct created_at, updated_at from subscriptions") == [
        {"created_at": None, "updated_at": None}
    ]
    guide.record(
        {"eventType": "BILLING_KEY_ISSUED", "data": {"billingKey": "bk-9", "customerKey": "customer_9"}},
        {"eventType": "BILLING_KEY_DELETED", "data": {"billingKey": "bk-9", "customerKey": "customer_9"}},
    )
    (row,) = guide.rows("select * from subscriptions where customer_key = 'customer_9'")
    assert (row["status"], row["billing_cycle"], row["amount"]) == ("CANCELED", "monthly", 0)
    assert row["created_at"] is not None
    assert len(guide.rows("select 1 from webhook_events where created_at is null")) == 3


def test_a_users_id_may_be_a_text(guide: Database) -> None:
    guide.connection.execute("""
        drop policy "own payments" on payments; drop policy "own orders" on payments;
        drop policy "bought products" on products;
        alter table payments drop constraint payments_user_id_fkey, alter column user_id type text;
        create policy "own payments" on payments for select using (auth.uid()::text = user_id);
    """)
    migrate(guide.dsn)
    assert len(run_as(guide, "authenticated", "select * from payments")) == 1
    guide.call("select supatoss_harden_v1(false)")
    assert len(run_as(guide, "authenticated", "select * from payments")) == 1


def test_a_column_of_another_s_with_our_name_is_not_overwritten(guide: Database) -> None:
    guide.connection.execute("alter table webhook_events add column status text default 'RECEIVED'")
    with pytest.raises(psycopg.Error):
        migrate(guide.dsn)
    assert guide.rows("select distinct status from webhook_events") == [{"status": "RECEIVED"}]


@pytest.mark.parametrize("table", ["alerts", "reconciliations", "operator_actions"])
def test_own_tables_with_such_names_do_not_matter(guide: Database, table: str) -> None:
    guide.connection.execute(f"create table {table} (id bigint primary key, note text)")
    migrate(guide.dsn)
    assert guide.record(payment_event("DONE", 10, order="order_2", key="key-2", totalAmount=5000))
    assert guide.rows(f"select * from {table}") == []


def test_rows_of_before_are_ignored_and_not_rewritten(guide: Database) -> None:
    before = guide.rows("select id, ctid::text, xmin::text, processed, created_at::timestamp from webhook_events")
    paid = guide.rows("select id, ctid::text, xmin::text from payments")
    migrate(guide.dsn)
    guide.connection.execute("set timezone = 'UTC'")
    after = guide.rows("select id, ctid::text, xmin::text, processed, created_at::timestamp from webhook_events")
    assert after == before
    assert guide.rows("select id, ctid::text, xmin::text from payments") == paid
    assert guide.rows("select distinct status, reason, event_key from webhook_events") == [
        {"status": "ignored", "reason": "adopted", "event_key": None}
    ]
    guide.connection.execute("insert into webhook_events (event_type, payload) values ('X', '{}')")
    assert guide.rows("select status, reason from webhook_events where event_type = 'X'") == [
        {"status": "ignored", "reason": "not_recorded_by_supatoss"}
    ]


def test_the_pages_of_operators_show_rows_of_before(adopted: Database) -> None:
    page = adopted.call("select find_webhook_events_v1(%s)", json.dumps({"limit": 10, "with_payload": True}))
    assert [event["reason"] for event in page["events"]] == ["adopted"] * 3
    assert all(event["event_key"].startswith("unkeyed:") and event["last_delivered_at"] for event in page["events"])


def test_who_holds_a_table_is_named_and_nothing_changes(guide: Database) -> None:
    files = sorted(MIGRATIONS.glob("*.sql"))
    (payments,) = (file for file in files if file.stem.endswith("_payments"))
    with psycopg.connect(guide.dsn, application_name="a report") as reader, psycopg.connect(guide.dsn) as pusher:
        for file in files[: files.index(payments)]:
            pusher.execute(file.read_text())
            pusher.commit()
        reader.execute("select count(*) from payments")
        # Ten tries would take a while; one shows the same.
        pusher.execute(
            pusher.execute("select pg_get_functiondef('supatoss.lock_adopted(text, text)'::regprocedure)")
            .fetchone()[0]  # type: ignore[index]
            .replace("1..10", "1..1")
        )
        pusher.commit()
        with pytest.raises(
            psycopg.errors.LockNotAvailable, match=r"payments is in use.*a report.*pg_terminate_backend"
        ):
            pusher.execute(payments.read_text())
        pusher.rollback()
        reader.rollback()
        for file in files[files.index(payments) :]:
            pusher.execute(file.read_text())
            pusher.commit()
    assert guide.record(payment_event("DONE", 10, order="order_2", key="key-2", totalAmount=5000))
