"""`supatoss uninstall`: the project is as it was before the adoption, rows and all, and can push again."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from scripts.local_stack import LocalPostgres
from supatoss.cli.naming import Naming
from supatoss.cli.uninstall.text import uninstall_sql
from tests.database.conftest import migrate
from tests.database.support import Database, cancel, payment_event
from tests.merchant.application import APPROVED_AT, USER, Application
from tests.merchant.conftest import GUIDE, copied
from tests.merchant.support import obstacles, push, stored

TABLES = ("payments", "subscriptions", "webhook_events", "profiles", "products", "subscription_payments")
DEFINITIONS = {
    "columns": """
        select c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
               pg_get_expr(d.adbin, d.adrelid), col_description(a.attrelid, a.attnum)
        from pg_attribute a join pg_class c on c.oid = a.attrelid
        left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'v')
          and c.relnamespace = 'public'::regnamespace""",
    "constraints": """
        select conrelid::regclass::text, conname, convalidated,
               regexp_replace(pg_get_constraintdef(oid), '::[a-z ]+|[][() ]', '', 'g')
        from pg_constraint where connamespace = 'public'::regnamespace""",
    "indexes": "select indexname, indexdef from pg_indexes where schemaname = 'public'",
    "triggers": "select pg_get_triggerdef(oid), tgenabled from pg_trigger where not tgisinternal",
    "policies": "select * from pg_policies",
    "relations": """
        select relname, relkind, relrowsecurity, relacl::text, reloptions::text, obj_description(oid, 'pg_class'),
               case when relkind = 'v' then pg_get_viewdef(oid) end
        from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v')""",
    "functions": """
        select oid::regprocedure::text, proacl::text from pg_proc where pronamespace = 'public'::regnamespace""",
    "schemas": "select nspname from pg_namespace where nspname !~ '^pg_'",
}


def definition(connection: psycopg.Connection[Any]) -> dict[str, set[tuple[Any, ...]]]:
    return {
        name: {tuple(map(str, row)) for row in connection.execute(query.encode()).fetchall()}
        for name, query in DEFINITIONS.items()
    }


def rows(database: Database, table: str) -> list[dict[str, Any]]:
    return database.rows(f"select * from {table} order by id")


def uninstall(database: Database, *, delete_data: bool = False) -> list[str]:
    """As a migration is pushed: one transaction. What it says."""
    said: list[str] = []
    handler = said.append
    database.connection.execute("set client_min_messages = notice")

    def note(notice: psycopg.errors.Diagnostic) -> None:
        handler(notice.message_primary or "")

    database.connection.add_notice_handler(note)
    try:
        with database.connection.transaction():
            database.connection.execute(uninstall_sql(delete_data=delete_data).encode())
    finally:
        database.connection.remove_notice_handler(note)
        database.connection.execute("reset client_min_messages")
    return [text.removeprefix("supatoss: ") for text in said if text.startswith("supatoss: ")]


@pytest.fixture
def guide(empty_database: str) -> Iterator[tuple[Database, dict[str, Any]]]:
    """The guide's project, adopted, with what it was before."""
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(GUIDE.encode())
        database = Database(connection, empty_database)
        before = {"definition": definition(connection), **{table: rows(database, table) for table in TABLES}}
        migrate(empty_database)
        yield database, before


@pytest.fixture
def adopted(projects: LocalPostgres) -> Iterator[Database]:
    """A copy of the adopted project in which a test commits."""
    with copied(projects, "adopted") as copy:
        yield copy


def same_rows(database: Database, before: dict[str, Any]) -> None:
    for table in TABLES:
        known = before[table]
        found = {row["id"]: row for row in rows(database, table)}
        assert [{name: found[row["id"]][name] for name in row} for row in known] == known


def differences(database: Database, before: dict[str, Any]) -> dict[str, set[tuple[str, ...]]]:
    found = definition(database.connection)
    return {name: {row[:2] for row in found[name] ^ before["definition"][name]} for name in DEFINITIONS}


TRIGGER = """
    create function mine() returns trigger language plpgsql as 'begin return new; end';
    create trigger mine after update on payments for each row
      when (old.projected_state <> new.projected_state) execute function mine()"""
NOTHING = {name: set[tuple[str, ...]]() for name in DEFINITIONS}
CLOSED = {("webhook_events", "r")}
LONGER = {
    *(("payments", name) for name in ("currency", "failure_code")),
    *(("subscriptions", name) for name in ("customer_key", "billing_cycle")),
    *(("webhook_events", name) for name in ("event_type", "payment_key")),
}
REPORTED = {
    *(("payments", name) for name in ("balance_amount", "cancels", "virtual_account", "merchant_id")),
    *(("payments", name) for name in ("settled_at", "occurred_at")),
    *(("subscriptions", name) for name in ("billing_key_issued_at", "billing_key_deleted_at")),
    ("webhook_events", "order_id"),
}


def test_an_adopted_project_is_as_it_was_but_for_what_toss_reported(guide: tuple[Database, dict[str, Any]]) -> None:
    database, before = guide
    said = uninstall(database)
    assert said[-2] == "removed the schema supatoss"
    assert "supatoss_service" in said[-1]  # other databases of this server use the role
    assert differences(database, before) == NOTHING | {"columns": LONGER | REPORTED, "relations": CLOSED}
    same_rows(database, before)


def test_without_the_data_only_what_is_wider_stays(guide: tuple[Database, dict[str, Any]]) -> None:
    database, before = guide
    database.connection.execute("update payments set order_name = order_name where order_id = 'order_1'")  # corrected
    uninstall(database, delete_data=True)
    assert differences(database, before) == NOTHING | {"columns": LONGER, "relations": CLOSED}
    for row in before["payments"]:
        row.pop("updated_at")  # its own trigger has touched it
    same_rows(database, before)


def test_times_are_in_the_zone_in_which_the_application_writes_them(adopted: Database) -> None:
    """Rows from before, corrected or not, rows of webhooks, and rows that the application writes afterwards."""
    application = Application(adopted.connection)
    adopted.record(payment_event("DONE", 10, order="by_webhook", key="w", approvedAt=APPROVED_AT))
    application.order("with_supatoss")
    application.approved("with_supatoss", "k1")
    uninstall(adopted)
    application.order("afterwards")
    application.approved("afterwards", "k2")
    found = {row["order_id"]: row["approved_at"] for row in adopted.rows("select * from payments")}
    nine = dt.datetime.fromisoformat(APPROVED_AT).replace(tzinfo=None)
    assert found == {
        "order_1": dt.datetime.fromisoformat("2024-01-01T10:00:00"),
        "order_2": None,
        "by_webhook": nine,
        "with_supatoss": nine,
        "afterwards": nine,
    }
    now = adopted.rows("select (now() at time zone 'UTC') - max(created_at) as age from payments")[0]["age"]
    assert abs(now) < dt.timedelta(minutes=10)


def test_the_application_goes_on(committed: Database) -> None:
    uninstall(committed)
    application = Application(committed.connection)
    application.order("order-1")
    application.check_price("order-1")
    assert application.approved("order-1", "k")["payment_status"] == "DONE"
    subscription = application.subscribe("customer-9", "billing-9")
    payment = application.book_renewal(subscription, "sub_1", "k-renewal")
    application.link_renewal(subscription, payment)
    application.advance(subscription)
    application.old_webhook_function(
        payment_event("CANCELED", 20, order="order-1", key="k", cancels=[cancel("t", 1, 2)])
    )
    assert application.statistics()["CANCELED"] == 9900
    assert {row["order_id"] for row in application.own_rows("payments")} >= {"order-1", "sub_1"}
    assert application.own_rows("subscriptions", "id, status")
    assert committed.rows("select credits from profiles where id = %s", USER)[0]["credits"] >= 99


def test_it_can_be_pushed_again_with_the_rows(committed: Database) -> None:
    committed.record(payment_event("DONE", 10), {"eventType": "SETTLEMENT_COMPLETED", "data": {"orderId": "order-1"}})
    payments, events = rows(committed, "payments"), len(rows(committed, "webhook_events"))
    uninstall(committed)
    settled = rows(committed, "settlements")
    assert len(settled) == 1
    assert obstacles(committed.connection) == []
    push(committed.connection)
    assert (rows(committed, "settlements"), len(rows(committed, "webhook_events"))) == (settled, events)
    kept = ("id", "order_id", "payment_key", "payment_status", "amount", "balance_amount", "settled_at", "occurred_at")
    assert [[row[name] for name in kept] for row in rows(committed, "payments")] == [
        [row[name] for name in kept] for row in payments
    ]
    assert set(stored(committed)) == {"processed"}
    committed.record(payment_event("CANCELED", 20, cancels=[cancel("t", 10000, 20)], balanceAmount=0))
    assert committed.payment()["payment_status"] == "CANCELED"
    uninstall(committed)
    assert obstacles(committed.connection) == []


def test_twice_is_as_once(committed: Database) -> None:
    uninstall(committed)
    before = definition(committed.connection)
    assert uninstall(committed) == ["not installed, so there is nothing to remove"]
    assert definition(committed.connection) == before


def test_a_status_that_only_toss_has_keeps_the_check_wide(adopted: Database) -> None:
    adopted.record(payment_event("WAITING_FOR_DEPOSIT", 10, order="waits", key="w"))
    assert any("stays wider" in text for text in uninstall(adopted))
    adopted.connection.execute("update payments set receipt_url = 'r' where order_id = 'waits'")
    assert obstacles(adopted.connection) == []


def test_a_check_that_the_project_has_changed_since_is_its_own(adopted: Database) -> None:
    check = "check (payment_status in ('PENDING', 'DONE', 'CANCELED', 'FAILED', 'REFUNDED'))"
    adopted.connection.execute(
        "alter table payments drop constraint payments_payment_status_check,"
        f" add constraint payments_payment_status_check {check}".encode()
    )
    uninstall(adopted)
    adopted.connection.execute("update payments set payment_status = 'REFUNDED' where order_id = 'order_2'")


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ("create view mine as select status from webhook_events", "view mine depends on column status of table"),
        ("create view mine as select * from webhook_failures", "view mine depends on view webhook_failures"),
        ("create view mine as select * from supatoss.alerts", "view mine depends on table supatoss.alerts"),
        (
            "create view mine as select approved_at at time zone 'Asia/Seoul' from payments",
            "mine reads times of payments",
        ),
        (
            TRIGGER,
            "trigger mine on table payments depends on column projected_state",
        ),
    ],
)
def test_what_hangs_on_it_is_named_and_nothing_changes(adopted: Database, made: str, words: str) -> None:
    adopted.connection.execute(made.encode())
    before = definition(adopted.connection)
    with pytest.raises(psycopg.Error) as refused:
        uninstall(adopted)
    said = refused.value.diag
    assert words in f"{said.message_primary} {said.message_detail}"
    assert definition(adopted.connection) == before
    adopted.record(payment_event("DONE", 10, order="order_2", key="k", totalAmount=5000))
    assert adopted.payment("order_2")["payment_status"] == "DONE"


def test_a_table_in_use_is_not_waited_for(adopted: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        uninstall_sql(delete_data=False).replace("1..10 loop", "1..2 loop").replace("pg_sleep(0.5)", "pg_sleep(0.01)")
    )
    monkeypatch.setitem(globals(), "uninstall_sql", lambda **_: text.replace("'1s'", "'50ms'"))
    with psycopg.connect(adopted.dsn) as other:
        other.execute("select * from payments")
        with pytest.raises(psycopg.errors.LockNotAvailable, match="nothing was changed: the tables are in use"):
            uninstall(adopted)
        other.rollback()
    uninstall(adopted)


def test_another_schema_version_is_left_to_its_own_release(adopted: Database) -> None:
    adopted.connection.execute(
        "create or replace function public.supatoss_schema_version() returns integer language sql immutable"
        " set search_path = '' as 'select 99'"
    )
    with pytest.raises(
        psycopg.errors.RaiseException, match="the database has schema version 99, and this text removes"
    ):
        uninstall(adopted)


def test_a_project_that_keeps_ours_elsewhere(empty_database: str) -> None:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(b"create table payments (id bigint primary key, state text)")
        before = definition(connection)
        naming = Naming("toss", {"webhook_events": "toss_events"})
        assert obstacles(connection, naming) == []
        push(connection, naming)
        database = Database(connection, empty_database)
        assert set(stored(database, naming)) == {"processed"}
        said = uninstall(database)
        assert "kept the table toss.toss_events" in said
        assert database.rows("select count(*) as events from toss.toss_events")[0]["events"] == 5
        assert obstacles(connection, naming) == []
        push(connection, naming)
        uninstall(database, delete_data=True)
        connection.execute(b"drop schema toss")
        assert definition(connection) == before


def test_every_index_of_ours_is_known(committed: Database) -> None:
    """A new index of the migrations is added to uninstall.sql."""
    query = """
        select i.indrelid::regclass::text as table, substr(c.relname, length(t.relname) + 2) as ending
        from pg_index i join pg_class c on c.oid = i.indexrelid join pg_class t on t.oid = i.indrelid
        where t.relname in ('payments', 'subscriptions', 'webhook_events') and c.relname ~ ('^' || t.relname || '_')
          and not i.indisprimary"""
    made = {row["ending"] for row in committed.rows(query)}
    text = uninstall_sql(delete_data=False)
    assert {ending for ending in made if ending not in text} <= {"user_id_created_at_idx", "live_customer_key_key"}
