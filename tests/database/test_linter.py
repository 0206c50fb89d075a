"""What Supabase's linter says about a project with our migrations: nothing, but for what has its reason here."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.database.conftest import migrate
from tests.database.linter import RULES, findings
from tests.database.support import Database
from tests.database.test_rights import RELATIONS

GUIDE = Path(__file__).parents[1] / "merchant" / "guide.sql"

VIEWS = {"webhook_health", "webhook_failures", "payment_timeline", "supatoss.billing_events", "supatoss.payment_events"}
CLOSED = {name.removeprefix("public.") for name in RELATIONS} - VIEWS - {"payments", "subscriptions"}
CLOSED_TABLES = {("rls_enabled_no_policy", table) for table in CLOSED}
"""No policy is the point: only the service reads them, and its role is not stopped by row level security."""

READ_BY_USERS = {("pg_graphql_authenticated_table_exposed", table) for table in ("payments", "subscriptions")}
"""Users read their own rows, so GraphQL shows them the columns' names, where it is installed."""


@pytest.fixture
def adopted(empty_database: str) -> Iterator[tuple[Database, set[tuple[str, str]]]]:
    """The guide's project after the migrations, and what the rules found before."""
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(GUIDE.read_text())
        database = Database(connection, empty_database)
        before = findings(database)
        migrate(empty_database)
        yield database, before


def test_a_new_project(database: Database) -> None:
    assert findings(database) == CLOSED_TABLES | READ_BY_USERS


def test_an_adopted_project_has_nothing_new(adopted: tuple[Database, set[tuple[str, str]]]) -> None:
    database, before = adopted
    after = findings(database)
    assert after - before == CLOSED_TABLES
    assert before - after >= {("rls_disabled_in_public", "webhook_events")}


def test_what_its_own_policies_break_goes_with_harden(adopted: tuple[Database, set[tuple[str, str]]]) -> None:
    """Adoption leaves policies as they are. multiple_permissive_policies: for a project that has two of a kind."""
    database, before = adopted
    database.connection.execute('create policy "all" on payments using (auth.uid() = user_id)')
    ours = {"payments", "subscriptions"}
    kinds = {rule for rule, name in findings(database) if name.partition(":")[0] in ours}
    assert kinds == {
        "auth_rls_initplan",
        "multiple_permissive_policies",
        "pg_graphql_anon_table_exposed",
        "pg_graphql_authenticated_table_exposed",
        "unindexed_foreign_keys",  # payments.product_id and subscriptions.product_id, the application's own
    }
    database.call("select supatoss_harden_v1(false)")
    left = {(rule, name) for rule, name in findings(database) if name.partition(":")[0] in ours}
    assert left - READ_BY_USERS == {
        (rule, name) for rule, name in before if rule == "unindexed_foreign_keys" and name.endswith("_product_id_fkey")
    }


BROKEN = {
    "unindexed_foreign_keys": "create table t (id int primary key, p uuid references payments)",
    "auth_users_exposed": "create table auth.users (id uuid); create view v as select * from auth.users",
    "auth_rls_initplan": "create policy p on payments using (user_id = auth.uid())",
    "no_primary_key": "create table t (id int)",
    "multiple_permissive_policies": "create policy p on payments for select to authenticated using (false)",
    "policy_exists_rls_disabled": "alter table payments disable row level security",
    "rls_enabled_no_policy": "create table t (id int primary key); alter table t enable row level security",
    "duplicate_index": "create index twin_1 on payments (approved_at); create index twin_2 on payments (approved_at)",
    "security_definer_view": "create view v as select 1 as one",
    "function_search_path_mutable": "create function f() returns int language sql as 'select 1'",
    "rls_disabled_in_public": "create table t (id int primary key)",
    "rls_references_user_metadata": "create policy p on payments using (auth.jwt() ->> 'user_metadata' = 'x')",
    "materialized_view_in_api": "create materialized view v as select 1 as one",
    "foreign_table_in_api": "create foreign data wrapper w; create server s foreign data wrapper w;"
    " create foreign table t (id int) server s",
    "unsupported_reg_types": "alter table payments add column kind regproc",
    "rls_policy_always_true": "create policy p on payments for insert with check (true)",
    "rls_policy_null_auth_disjunct": "create policy p on payments using (auth.uid() is null or user_id = auth.uid())",
    "pg_graphql_anon_table_exposed": "grant select (order_id) on payments to anon",
    "pg_graphql_authenticated_table_exposed": "grant select on settlements to authenticated",
    "anon_security_definer_function_executable": "create function f() returns int language sql security definer"
    " as 'select 1'",
    "authenticated_security_definer_function_executable": "create function f() returns int language sql"
    " security definer as 'select 1'",
    "autovacuum_disabled": "alter table payments set (autovacuum_enabled = false)",
    "invalid_index": "update pg_index set indisvalid = false where indexrelid = 'payments_pkey'::regclass",
}


@pytest.mark.parametrize("rule", sorted(RULES.keys() - {"extension_in_public"}))
def test_each_rule_finds_what_it_is_for(database: Database, rule: str) -> None:
    before = findings(database)
    database.connection.execute(BROKEN[rule])
    assert rule in {found for found, _ in findings(database) - before}
