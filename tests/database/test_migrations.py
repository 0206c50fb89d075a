"""The migrations are a baseline: one subject a file, each function defined once, nothing left open on the way."""

import re
from collections.abc import Mapping
from typing import Any

import psycopg
import pytest

from scripts.local_stack import MIGRATIONS
from scripts.release import Checkout, Released
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


def wrongly_defined(texts: Mapping[str, str], released: Released) -> list[str]:
    """Functions that a release defines twice, replaces without an earlier one, or creates although there is one."""
    release_of = {name: version for version, files in released.items() for name in files}
    known: dict[str, str] = {}
    found = []
    for file, text in sorted(texts.items()):
        release = release_of.get(file, "the next release")
        for replaces, name, _ in FUNCTION.findall(text):
            if known.get(name) == release or bool(replaces) != (name in known):
                found.append(f"{file}: {name}")
            known[name] = release
    return found


def test_a_release_defines_a_function_once() -> None:
    texts = {file.name: file.read_text(encoding="utf-8") for file in MIGRATIONS.glob("*.sql")}
    assert wrongly_defined(texts, Checkout().released()) == []
    defined = {name for text in texts.values() for _, name, _ in FUNCTION.findall(text)}
    written = sum(len(re.findall(r"create (?:or replace )?function", text.lower())) for text in texts.values())
    assert written >= len(defined) > 50
    assert Checkout().released() or written == len(defined)


def test_only_what_is_released_is_replaced() -> None:
    made, replaced = ("create function supatoss.f() as\nas $$", "create or replace function supatoss.f() as\nas $$")
    one, two = {"1.sql": made}, {"1.sql": made, "2.sql": replaced}
    assert wrongly_defined(one, {}) == wrongly_defined(two, {"1.0.0": {"1.sql": ""}}) == []
    assert wrongly_defined(two, {}) == ["2.sql: supatoss.f"]
    assert wrongly_defined({"1.sql": replaced}, {}) == ["1.sql: supatoss.f"]
    assert wrongly_defined({**one, "2.sql": made}, {"1.0.0": {"1.sql": ""}}) == ["2.sql: supatoss.f"]
    assert wrongly_defined({**two, "3.sql": replaced}, {"1.0.0": {"1.sql": ""}}) == ["3.sql: supatoss.f"]


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
        "event_ids_of_end",
        "finish_webhook_event_v1",
        "fold_inserted_payment",
        "fold_inserted_subscription",
        "read_known_keys_v1",
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
