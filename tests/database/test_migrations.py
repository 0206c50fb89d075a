"""The migrations are a baseline: one subject a file, each function defined once, nothing left open on the way."""

import re
from collections import Counter
from typing import Any

import psycopg
import pytest

from scripts.local_stack import MIGRATIONS
from supatoss.store.schema import SCHEMA_VERSION
from tests.database.support import Database

FILES = {file.stem.partition("_")[2]: file.read_text(encoding="utf-8") for file in sorted(MIGRATIONS.glob("*.sql"))}
FUNCTION = re.compile(r"create (or replace )?function (\w+\.\w+)\((.*?)\nas \$\$", re.DOTALL)
TABLE = re.compile(r"create table (?:if not exists )?(\w+\.\w+)")

OPEN = """
select c.oid::regclass::text || ' to ' || role as found
from pg_class c, unnest(array['anon', 'authenticated', 'public']) as role
where c.relnamespace in ('public'::regnamespace, to_regnamespace('supatoss')) and c.relkind in ('r', 'v')
  and case role when 'public'
    then exists (select from aclexplode(c.relacl) a where a.grantee = 0)
    else has_table_privilege(role, c.oid, 'select, insert, update, delete, truncate, references, trigger')
      or has_any_column_privilege(role, c.oid, 'select, insert, update, references') end
union all
select p.oid::regprocedure::text || ' to ' || role
from pg_proc p, unnest(array['anon', 'authenticated']) as role
where p.pronamespace in ('public'::regnamespace, to_regnamespace('supatoss'))
  and has_function_privilege(role, p.oid, 'execute')
union all
select c.oid::regclass::text || ' without row level security'
from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and not c.relrowsecurity
"""
MAY_BE_ADOPTED = {"public.payments", "public.subscriptions"}
"""Where the project had the table, its grants and policies stay; a new one is restricted."""

MAY_BE_READ = {"payments to authenticated", "subscriptions to authenticated"}
"""Users read their own rows, which row level security narrows."""


def test_every_function_is_defined_exactly_once() -> None:
    defined = Counter(name for text in FILES.values() for _, name, _ in FUNCTION.findall(text))
    assert len(defined) == sum(text.lower().count("create function") for text in FILES.values()) > 50
    assert [name for name, times in defined.items() if times > 1] == []
    assert [name for text in FILES.values() for replaces, name, _ in FUNCTION.findall(text) if replaces] == []


def test_every_function_of_the_data_api_has_a_version_and_no_other() -> None:
    names = {name for text in FILES.values() for _, name, _ in FUNCTION.findall(text)}
    versioned = {name for name in names if re.search(r"_v\d+$", name)}
    assert versioned == {name for name in names if name.startswith("public.")} - {"public.supatoss_schema_version"}


def test_every_file_keeps_to_the_line() -> None:
    assert {len(line) <= 120 for text in FILES.values() for line in text.splitlines()} == {True}


def test_every_function_has_its_search_path(database: Database) -> None:
    rows = database.rows(
        """select p.oid::regprocedure::text as name from pg_proc p
           where p.pronamespace in ('public'::regnamespace, 'supatoss'::regnamespace)
             and not coalesce(p.proconfig && array[
                   'search_path=""', 'search_path=pg_catalog, public, extensions, pg_temp'], false)"""
    )
    assert rows == []


def test_plans_without_sequential_scans_are_for_functions_that_keep_theirs(database: Database) -> None:
    rows = database.rows("select proname, proconfig from pg_proc where 'enable_seqscan=off' = any (proconfig)")
    assert {row["proname"] for row in rows} == {
        "finish_webhook_event_v1",
        "fold_inserted_payment",
        "fold_inserted_subscription",
        "record_webhook_events_v1",
        "replay_webhook_events_v1",
        "take_over_payment",
        "take_over_subscription",
    }
    assert all("plan_cache_mode=force_generic_plan" in row["proconfig"] for row in rows)


@pytest.mark.parametrize("table", [name for text in FILES.values() for name in TABLE.findall(text)])
def test_every_table_is_closed_in_the_file_that_makes_it(table: str) -> None:
    (text,) = (text for text in FILES.values() if table in TABLE.findall(text))
    if table in MAY_BE_ADOPTED:
        assert text.index(f"create table if not exists {table}") < text.index(f"restrict_new('{table}'")
        return
    made, closed = text.index(table), text.index(f"alter table {table} enable row level security;")
    assert made < closed < text.index(f"revoke all on table {table} from public, anon, authenticated", closed)


def test_a_push_that_stops_half_way_leaves_nothing_open(empty_database: str) -> None:
    found: set[Any] = set()
    with psycopg.connect(empty_database) as connection:
        for name, text in FILES.items():
            connection.execute(text)
            connection.commit()
            found = {row[0] for row in connection.execute(OPEN)}
            assert found <= MAY_BE_READ, name
    assert found == MAY_BE_READ


def test_the_schema_version_is_the_one_that_the_service_asks_for(database: Database) -> None:
    assert database.call("select supatoss_schema_version()") == SCHEMA_VERSION


def test_the_digest_of_a_row_is_for_ever(database: Database) -> None:
    """A change of a formula makes every stored row look written by the application."""
    (row,) = database.rows(
        """select supatoss.state_digest('key-1', 'CANCELED', '2026-03-14 09:00:00.5+09', '2026-03-15T00:00:00Z', null,
             '카드', 'https://dashboard.tosspayments.com/receipt/1', '주문 "1"', null, null) as full,
           supatoss.state_digest('k', 'PENDING', null, null, null, null, null, 'o', 'CODE', 'message') as bare,
           supatoss.price_text(10000.50, 'KRW') as price, supatoss.price_text(0, null) as free"""
    )
    assert row == {
        "full": "47c6e073a13b0ec6609d5073e1f8fe9b",
        "bare": "871c6c13c82840e0f8a2f3649e0544d3",
        "price": "10000.5 KRW",
        "free": "0 ",
    }


def test_the_digest_is_that_of_the_row(database: Database) -> None:
    database.insert_payment(approved_at="2026-03-14T00:00:00Z", receipt_url="r", failure_code="c", failure_message="m")
    (row,) = database.rows(
        """select supatoss.payment_state(p) = supatoss.state_digest(
             p.payment_key, p.payment_status, p.approved_at, p.canceled_at, p.requested_at, p.payment_method,
             p.receipt_url, p.order_name, p.failure_code, p.failure_message) as state,
           supatoss.payment_price(p) = supatoss.price_text(p.amount, p.currency) as price from payments p"""
    )
    assert row == {"state": True, "price": True}
