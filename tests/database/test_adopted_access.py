"""Who may do what in an adopted project: what it had, until `supatoss harden` makes it as strict as a new one."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.database.conftest import migrate
from tests.database.support import Database
from tests.database.test_adopted_project import GUIDE, USER, run_as

KEPT = ("payments", "subscriptions", "products", "profiles", "subscription_payments")

GRANTS = """
select r.role, c.relname, a.attname, p.privilege,
       has_table_privilege(r.role, c.oid, p.privilege) as on_table,
       has_column_privilege(r.role, c.oid, a.attnum, p.privilege) as on_column
from unnest(array['anon', 'authenticated', 'service_role']) r (role),
     unnest(array['select', 'insert', 'update', 'references']) p (privilege),
     pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
where c.oid in ('payments'::regclass, 'subscriptions'::regclass) and a.attname = any (%s)
union all
select r.role, c.relname, null, p.privilege, has_table_privilege(r.role, c.oid, p.privilege), null
from unnest(array['anon', 'authenticated', 'service_role']) r (role),
     unnest(array['delete', 'truncate', 'trigger']) p (privilege), pg_class c
where c.oid in ('payments'::regclass, 'subscriptions'::regclass)
order by 1, 2, 3, 4
"""
POLICIES = (
    "select * from pg_policies where schemaname = 'public' and tablename = any (%s) order by tablename, policyname"
)


@pytest.fixture
def guide(empty_database: str) -> Iterator[Database]:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(GUIDE.read_text())
        yield Database(connection, empty_database)


@pytest.fixture
def adopted(guide: Database) -> Database:
    migrate(guide.dsn)
    return guide


def columns_of(database: Database) -> list[str]:
    rows = database.rows(
        "select distinct attname from pg_attribute where attrelid in ('payments'::regclass, 'subscriptions'::regclass)"
        " and attnum > 0"
    )
    return [row["attname"] for row in rows]


def test_grants_and_policies_stay_as_they_were(guide: Database) -> None:
    columns = columns_of(guide)
    grants, policies = guide.rows(GRANTS, columns), guide.rows(POLICIES, list(KEPT))
    assert len(policies) == 6
    migrate(guide.dsn)
    assert guide.rows(GRANTS, columns) == grants
    assert guide.rows(POLICIES, list(KEPT)) == policies


READS = [
    "select order_id from payments order by 1",
    "select * from subscriptions",
    "select name from products order by 1",  # its policy reads payments
    "select billing_date from subscription_payments",  # its policy reads subscriptions
    "select name from profiles",
]


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_whoever_read_something_reads_the_same(guide: Database, role: str) -> None:
    guide.connection.execute(
        "insert into subscription_payments (subscription_id, payment_id)"
        " select '00000000-0000-0000-0000-0000000000b2', id from payments where order_id = 'order_1'"
    )
    before = [len(run_as(guide, role, statement)) for statement in READS]
    assert before == [1, 3, 2, 1, 1]
    migrate(guide.dsn)
    assert [len(run_as(guide, role, statement)) for statement in READS] == before


def test_webhook_events_is_closed_all_the_same(guide: Database) -> None:
    assert len(run_as(guide, "anon", "select * from webhook_events")) == 3
    guide.connection.execute("create policy open on webhook_events using (true)")
    migrate(guide.dsn)
    for role in ("anon", "authenticated"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            run_as(guide, role, "select id from webhook_events")
    assert guide.rows("select * from pg_policies where tablename = 'webhook_events'") == []


def test_a_signed_in_user_stores_an_order(adopted: Database) -> None:
    inserted = run_as(
        adopted,
        "authenticated",
        "insert into payments (user_id, payment_key, order_id, order_name, amount, payment_status)"
        " values (%s, 'placeholder-9', 'order_9', '주문', 100, 'PENDING') returning order_id",
        USER,
    )
    assert inserted == [("order_9",)]


def test_hardening_is_shown_first_and_makes_the_tables_as_strict_as_new_ones(
    adopted: Database, database: Database
) -> None:
    open_tables = adopted.call("select supatoss_harden_v1(true)")
    assert [table["table"] for table in open_tables] == ["public.payments", "public.subscriptions"]
    assert open_tables[0]["readers"] == ['policy "bought products" on public.products']
    assert 'drop policy "own orders" on public.payments' in open_tables[0]["statements"]
    assert len(run_as(adopted, "authenticated", "select billing_key from subscriptions")) == 3
    assert adopted.call("select supatoss_harden_v1(false)") == open_tables
    assert adopted.call("select supatoss_harden_v1(true)") == []
    columns = columns_of(database)
    grants = """select c.relname, x.attname, x.acl from pg_class c, lateral (
        select null as attname, a::text as acl from unnest(c.relacl) a union all
        select t.attname, a::text from pg_attribute t, unnest(t.attacl) a where t.attrelid = c.oid
          and t.attname = any (%s)) x
        where c.oid in ('payments'::regclass, 'subscriptions'::regclass)
          and (x.acl ~ '^(anon|authenticated)?=') order by 1, 2, 3"""
    assert adopted.rows(grants, columns) == database.rows(grants, columns)
    assert adopted.rows(POLICIES, ["payments", "subscriptions"]) == database.rows(
        POLICIES, ["payments", "subscriptions"]
    )
    assert run_as(adopted, "authenticated", "select order_id from payments") == [("order_1",)]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        run_as(adopted, "authenticated", "select billing_key from subscriptions")


def test_a_fresh_project_has_nothing_to_harden(database: Database) -> None:
    assert database.call("select supatoss_harden_v1(true)") == []
    assert database.call("select supatoss_old_times_v1()") == {"columns": [], "tables": []}
