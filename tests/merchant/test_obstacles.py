"""The entries of the preflight, one at a time, on a project that has the guide's tables and is else fine."""

import re
from collections.abc import Iterator

import psycopg
import pytest

from tests.database.conftest import empty_database, migrated_database, postgres  # noqa: F401 - fixtures
from tests.database.support import Database
from tests.database.test_adoption import GUIDE_SCHEMA
from tests.merchant.support import FILES, PREFLIGHT, is_broken, obstacles, snapshot

OBSTACLES = {
    # Names
    "public.webhook_failures is there already": "create view webhook_failures as select 1 as one",
    "public.settlements is there already": "create type settlements as enum ('a')",
    "the function public.supatoss_note_alerts_v1(text) has a name": (
        "create function supatoss_schema_version() returns integer language sql as 'select 1'; alter function "
        "supatoss_schema_version() rename to supatoss_note_alerts_v1; create function "
        "supatoss_note_alerts_v1(look text) returns jsonb language sql as 'select null::jsonb'"
    ),
    "the name payments_order_id_key is taken": (
        "alter table payments drop constraint payments_order_id_key; create index payments_order_id_key on "
        "payments (order_id)"
    ),
    "the name webhook_events_event_key_key is taken": (
        "alter table webhook_events add constraint webhook_events_event_key_key unique (id, created_at)"
    ),
    # Shape
    "public.payments is a view": "alter table payments rename to kept; create view payments as select * from kept",
    "public.subscriptions is a table of a type": (
        "drop table subscriptions; create type s as (id uuid, customer_key text); create table subscriptions of s"
    ),
    "it has its own projected_state": "alter table payments add column projected_state text",
    "amount is text": "alter table payments drop constraint payments_amount_check, alter column amount type text",
    "public.payments.approved_at is date": "alter table payments alter column approved_at type date",
    "public.payments.cancels is text[]": "alter table payments add column cancels text[]",
    "public.payments.merchant_id is uuid": "alter table payments add column merchant_id uuid",
    "payload is json": "alter table webhook_events alter column payload type json",
    "public.webhook_events.order_id is uuid": "alter table webhook_events add column order_id uuid",
    "id is text": "alter table subscriptions alter column id drop default, alter column id type text",
    # What hangs on a column
    "the column public.log.before holds rows of public.payments": (
        "create table log (before payments, after payments)"
    ),
    "the materialized view public.m reads": (
        "create view v as select created_at from payments; create view w as select * from v; create "
        "materialized view m as select * from w"
    ),
    "the view public.v reads columns whose type changes, and function public.f() depends on it": (
        "create view v as select created_at from payments; create function f() returns setof v language sql as "
        "'select * from public.v'"
    ),
    "the policy p on public.t reads approved_at": (
        "create table t (id int); create policy p on t using (exists (select from payments where approved_at "
        "is not null))"
    ),
    "the rule r on public.x reads processed_at": (
        "create table x (id int); create rule r as on insert to x do also update webhook_events set processed_at = null"
    ),
    "the publication p names columns": "create publication p for table payments where (created_at is not null)",
    # What would refuse our rows
    "public.payments.canceled_at is not null": (
        "alter table payments alter column order_name drop not null, alter column canceled_at set default "
        "now(), alter column approved_at set default now(); update payments set approved_at = now(), "
        "canceled_at = now(); alter table payments alter column canceled_at set not null"
    ),
    "public.subscriptions.currency is not null": (
        "alter table subscriptions add column currency text; update subscriptions set currency = 'KRW'; alter "
        "table subscriptions alter column currency set not null"
    ),
    "public.webhook_events.id is not null": "alter table webhook_events alter column id drop default",
    "public.payments.order_name is generated": (
        "alter table payments drop column order_name; alter table payments add column order_name text "
        "generated always as ('order ' || order_id) stored"
    ),
    "public.payments (order_id) refers to public.orders": (
        "create table orders (id varchar(100) primary key); insert into orders select order_id from payments; "
        "alter table payments add foreign key (order_id) references orders"
    ),
    "public.webhook_events allows one row for each (payment_key)": (
        "delete from webhook_events a using webhook_events b where a.ctid > b.ctid; create unique index on "
        "webhook_events (payment_key)"
    ),
    "allows one row for each (expression)": (
        "delete from webhook_events; create unique index on webhook_events (((payload ->> 'eventType')))"
    ),
    "the unique constraint payments_order_id_key of public.payments is deferrable": (
        "alter table payments drop constraint payments_order_id_key, add unique (order_id) deferrable"
    ),
    "the unique constraint own of public.payments is deferrable": (
        "alter table payments drop constraint payments_order_id_key, add constraint own unique (order_id) deferrable"
    ),
    "public.payments has no primary key and is in the publication p": (
        "alter table payments drop constraint payments_pkey; create publication p for table payments"
    ),
    "the check payments_check of public.payments refuses what Toss reports: DONE, 카드": (
        "alter table payments add check (metadata is not null or payment_status <> 'DONE') not valid"
    ),
    "refuses what Toss reports: DEPOSIT": (
        "alter table webhook_events add check (event_type like 'PAYMENT%') not valid"
    ),
    "refuses what Toss reports: ACTIVE, tier UNASSIGNED": (
        "alter table subscriptions add check (tier in ('BASIC', 'PRO'))"
    ),
    "the trigger archive of public.payments copies whole": (
        "create table archive as select * from payments; create function archive() returns trigger language "
        "plpgsql as $$ begin insert into public.archive select new.*; return new; end $$; create trigger "
        "archive after insert or update on payments for each row execute function archive()"
    ),
    # What the rows hold
    "several rows of public.payments have the same payment_key: one": (
        "alter table payments drop constraint payments_payment_key_key; update payments set payment_key = 'one'"
    ),
}

PRECAUTIONS = {
    "payment_status has words of its own: DONE is not one of them": (
        "delete from payments; alter table payments drop constraint payments_payment_status_check, add constraint "
        "words check (payment_status in ('PENDING', 'PAID'))"
    ),
    "public.subscriptions.status has values of its own: 'active'": (
        "alter table subscriptions drop constraint subscriptions_status_check; update subscriptions set "
        "status = 'active'"
    ),
    "amount is double precision": "alter table payments alter column amount type double precision",
    "payment_key is public.key": "create domain key as text; alter table payments alter column payment_key type key",
    "public.payments is a part of another table, or has parts": "create table old_payments () inherits (payments)",
    "a schema supatoss is there already, of postgres": "create schema supatoss",
    "has a name of ours": "create function record_webhook_event_v1() returns void language sql as ''",
    "payment_status has words of its own: pending": (
        "alter table payments alter column payment_status set default 'pending'"
    ),
}
"""Nothing stops at these, but something of the project's own would stop working, or some events would fail."""

WARNINGS = {
    "public.toss looks as if it holds Toss payments": (
        'create table toss (id uuid, "paymentKey" text, "orderId" text)'
    ),
    "the function public.f() answers with times that have no zone": (
        "create function f() returns table (at timestamp) language plpgsql as $$ begin return query select "
        "created_at from payments; end $$"
    ),
    "public.receipts refers to public.payments (payment_key)": (
        "create table receipts (key varchar(200) references payments (payment_key))"
    ),
    "the event trigger ddl runs": (
        "create function g() returns event_trigger language plpgsql as $$ begin end $$; create event trigger "
        "ddl on ddl_command_end execute function g(); create role merchant superuser; alter event trigger ddl "
        "owner to merchant; alter role merchant nosuperuser"
    ),
}


@pytest.fixture
def project(empty_database: str) -> Iterator[Database]:  # noqa: F811 - the fixture
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(GUIDE_SCHEMA.read_text(encoding="utf-8"))
        yield Database(connection, empty_database)


def numbered(cases: dict[str, str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("expected", "made"), cases.items(), ids=[text[:60] for text in cases])


def test_the_project_without_them_is_fine(project: Database) -> None:
    assert obstacles(project.connection) == []


@numbered(OBSTACLES | PRECAUTIONS)
def test_an_obstacle_is_named_nothing_has_changed_and_without_the_preflight_it_would_break(
    project: Database, expected: str, made: str
) -> None:
    project.connection.execute(made)
    before = snapshot(project.connection)
    found = obstacles(project.connection)
    assert [what for what, _ in found if expected in what], found
    assert snapshot(project.connection) == before
    if expected in OBSTACLES:
        assert is_broken(project), expected


@numbered(WARNINGS)
def test_what_is_worth_knowing_is_said_and_no_obstacle(project: Database, expected: str, made: str) -> None:
    said: list[str] = []
    project.connection.add_notice_handler(lambda notice: said.append(notice.message_primary or ""))
    project.connection.execute(made)
    assert obstacles(project.connection) == []
    assert [text for text in said if text.startswith(f"supatoss: {expected}") and "\n   → " in text], said


def test_a_second_push_says_that_it_is_installed(empty_database: str) -> None:  # noqa: F811 - the fixture
    with psycopg.connect(empty_database, autocommit=True) as connection:
        for text in FILES.values():
            connection.execute(text)
        with pytest.raises(psycopg.Error, match="supatoss is installed in this project already"):
            connection.execute(FILES[PREFLIGHT])


def test_it_knows_every_column_and_relation_of_ours(migrated_database: Database) -> None:  # noqa: F811 - the fixture
    """A column or table that a later release adds has to be added here too."""
    names = migrated_database.rows(
        """select attname as name from pg_attribute
           where attrelid = any ('{payments,subscriptions,webhook_events}'::regclass[]) and attnum > 0
           union select relname from pg_class
           where relkind in ('r', 'v') and relnamespace = 'public'::regnamespace"""
    )
    assert [row["name"] for row in names if not re.search(rf"\b{row['name']}\b", FILES[PREFLIGHT])] == []


def test_it_knows_every_function_of_ours_by_its_pattern(migrated_database: Database) -> None:  # noqa: F811
    patterns = re.findall(r"p\.proname like '(\S+)'", FILES[PREFLIGHT])
    names = migrated_database.rows(
        "select proname from pg_proc where pronamespace = 'public'::regnamespace and proname not like all (%s)",
        patterns,
    )
    assert (names, len(patterns)) == ([], 3)
