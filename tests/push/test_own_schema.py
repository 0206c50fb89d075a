"""A project whose own tables have our names: ours live in a schema of their own, and the service needn't know."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from typer.testing import CliRunner

from scripts.local_stack import LocalPostgres, LocalSupabase, free_port
from supatoss.cli import app, copies
from supatoss.cli.doctor.access import TABLES
from supatoss.cli.naming import relations_of
from tests.database.support import payment_event, record_of
from tests.push.conftest import Repository
from tests.stories.conftest import SUPABASE_KEY, World, run_world
from tests.support import SECRET_KEY

RELATIONS = relations_of(copies.read_release().values())
TABLE_NAMES = (
    "payments",
    "subscriptions",
    "settlements",
    "webhook_events",
    "webhook_health",
    "webhook_failures",
    "payment_timeline",
)
OPTIONS = ("--schema", "toss", "--table", "settlements=toss_settlements")

THEIRS = """
create table public.payments (id bigint primary key, status text not null);
create table public.subscriptions (id bigint primary key, plan text);
create table public.settlements (id bigint primary key, payee text);
create table public.webhook_events (id bigint primary key, source text not null, body text not null);
insert into public.payments values (1, 'paid');  -- open to everybody, which is not for us to judge
"""

DEFINITIONS = """
select p.oid::regprocedure::text as name, pg_get_functiondef(p.oid) as definition
from pg_proc p where p.pronamespace in ('public'::regnamespace, 'supatoss'::regnamespace) and p.prokind = 'f'
union all
select c.oid::regclass::text, pg_get_viewdef(c.oid)
from pg_class c where c.relkind in ('v', 'm') and c.relnamespace in ('toss'::regnamespace, 'supatoss'::regnamespace)
union all
select t.tgrelid::regclass::text || '.' || t.tgname, pg_get_triggerdef(t.oid) from pg_trigger t where not t.tgisinternal
union all
select k.conrelid::regclass::text || '.' || k.conname, pg_get_constraintdef(k.oid)
from pg_constraint k where k.connamespace in ('toss'::regnamespace, 'supatoss'::regnamespace)
union all
select p.polrelid::regclass::text || '.' || p.polname,
       concat_ws(' ', pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)) from pg_policy p
union all
select d.adrelid::regclass::text || ' default', pg_get_expr(d.adbin, d.adrelid) from pg_attrdef d
union all
select 'a comment', description from pg_description where objoid >= 16384
"""


def apply(dsn: str, folder: Path) -> None:
    """As the Supabase CLI does: one transaction a file, in the order of their names."""
    with psycopg.connect(dsn) as connection:
        for file in sorted(folder.glob("*.sql")):
            connection.execute(file.read_text())
            connection.commit()


@pytest.fixture
def pushed(repository: Repository) -> Repository:
    repository.add("20250101000000_theirs.sql", THEIRS)
    assert repository.copy(*OPTIONS).exit_code == 0
    apply(repository.dsn, repository.folder)
    return repository


def rows(dsn: str, query: str) -> list[dict[str, Any]]:
    with psycopg.connect(dsn, row_factory=dict_row) as connection:
        return connection.execute(query).fetchall()


def test_nothing_of_ours_is_or_points_into_public(pushed: Repository) -> None:
    definitions = rows(pushed.dsn, DEFINITIONS)
    assert len(definitions) > 100
    names = [name for relation in RELATIONS for name in (f"public.{relation} ", f"public.{relation}")]
    assert [row["name"] for row in definitions if any(name in (row["definition"] or "") for name in names)] == []
    there = rows(
        pushed.dsn,
        """select n.nspname as schema, c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
           where c.relkind in ('r', 'v', 'm', 'S') and n.nspname in ('public', 'toss')""",
    )
    assert {row["name"] for row in there if row["schema"] == "public"} == {
        "payments", "subscriptions", "settlements", "webhook_events",
    }  # fmt: skip
    assert {row["name"] for row in there if row["schema"] == "toss"} == RELATIONS - {"settlements"} | {
        "toss_settlements"
    }


def test_our_schema_is_the_services_alone(pushed: Repository) -> None:
    assert rows(
        pushed.dsn,
        """select role from unnest(array['anon', 'authenticated', 'service_role']) role
           where has_schema_privilege(role, 'toss', 'usage')""",
    ) == [{"role": "service_role"}]


def test_an_event_lands_in_our_schema_and_theirs_is_untouched(pushed: Repository) -> None:
    record = json.dumps([record_of(payment_event("DONE", 1))])
    with psycopg.connect(pushed.dsn) as connection:
        connection.execute("set role service_role")
        connection.execute("select record_webhook_events_v1(%s)", [record])
    assert rows(pushed.dsn, "select order_id, payment_status, amount from toss.payments") == [
        {"order_id": "order-1", "payment_status": "DONE", "amount": 10000}
    ]
    assert rows(pushed.dsn, "select status from toss.webhook_events") == [{"status": "processed"}]
    assert rows(pushed.dsn, "select * from public.payments") == [{"id": 1, "status": "paid"}]


def test_the_names_of_indexes_and_constraints_follow_their_table(pushed: Repository) -> None:
    left = rows(
        pushed.dsn,
        r"""select relname as name from pg_class
            where relname like 'settlements\_%' and relnamespace <> 'public'::regnamespace
            union all select conname from pg_constraint
            where conname like 'settlements\_%' and connamespace <> 'public'::regnamespace""",
    )
    assert left == []


@pytest.fixture(scope="module")
def server() -> Iterator[LocalPostgres]:
    with LocalPostgres() as server:
        yield server


@pytest.fixture(scope="module")
def world(server: LocalPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Everything as in production, before a project with tables of its own."""
    root = tmp_path_factory.mktemp("own")
    (root / "supabase/migrations").mkdir(parents=True)
    (root / "supabase/config.toml").touch()
    (root / "supabase/migrations/20250101000000_theirs.sql").write_text(THEIRS)
    assert CliRunner().invoke(app, ["migrations", "copy", str(root), *OPTIONS]).exit_code == 0
    lite = LocalSupabase(
        root / "lite", free_port(), "sb_publishable_for_own_schema", SUPABASE_KEY, server.dsn(),
        migrations=root / "supabase/migrations",
    )  # fmt: skip
    with lite:
        lite.migrate()
        lite.start()
        lite.wait_ready()
        yield from run_world(lite, tmp_path_factory.mktemp("processes"))


def order(server: LocalPostgres, order_id: str) -> dict[str, Any] | None:
    found = rows(server.dsn(), f"select * from toss.payments where order_id = '{order_id}'")
    return found[0] if found else None


def supatoss(world: World, *arguments: str) -> Any:
    environment = {
        "SUPABASE_URL": world.supabase.url,
        "SUPABASE_SECRET_KEY": SUPABASE_KEY,
        "SUPABASE_PUBLISHABLE_KEY": world.supabase.publishable_key,
        "TOSS_SECRET_KEY": SECRET_KEY,
        "TOSS_API_URL": world.emulator_url,
        "PUBLIC_URL": world.service_url,
    }
    result = CliRunner().invoke(app, [*arguments, "--json"], env=environment)
    assert result.exit_code in (0, 1), result.output
    return json.loads(result.output)


def test_a_payment_and_its_cancel(world: World, server: LocalPostgres) -> None:
    key = world.pay("own-paid")
    world.until(lambda: (row := order(server, "own-paid")) and row["payment_status"] == "DONE")
    world.play(f"payments/{key}/cancel", amount=1000)
    world.until(lambda: (row := order(server, "own-paid")) and row["payment_status"] == "PARTIAL_CANCELED")


def test_the_worker_finishes_a_deposit(world: World, server: LocalPostgres) -> None:
    key = str(world.play("payments", orderId="own-deposit", amount=5000)["paymentKey"])
    with psycopg.connect(server.dsn()) as connection:
        connection.execute(
            "insert into toss.payments (payment_key, order_id, order_name, amount, payment_status)"
            " values ('placeholder', 'own-deposit', '주문', 5000, 'PENDING')"
        )
    data = {"paymentKey": key, "orderId": "own-deposit", "secret": "s", "depositedAt": "2026-01-01T10:00:00+09:00"}
    answer = world.deliver({"eventType": "VIRTUAL_ACCOUNT_DEPOSIT", "data": data}, signed=True)
    assert answer.json()["event_status"] == "pending"
    world.until(lambda: (row := order(server, "own-deposit")) and row["payment_status"] == "DONE")


def test_the_commands_of_operators(world: World, server: LocalPostgres) -> None:
    world.pay("own-listed")
    world.until(lambda: (row := order(server, "own-listed")) and row["payment_status"] == "DONE")
    listed = supatoss(world, "events", "list", "--order", "own-listed")
    assert listed["events"][0]["status"] == "processed"
    replayed = supatoss(world, "events", "replay", "--order", "own-listed", "--status", "processed", "--apply")
    assert {event["outcome"] for event in replayed["events"]} <= {"unchanged", "replayed"}


def test_reconciliation_repairs_what_was_lost(world: World, server: LocalPostgres) -> None:
    world.pay("own-lost")
    world.until(lambda: (row := order(server, "own-lost")) and row["payment_status"] == "DONE")
    world.until_sent()
    with psycopg.connect(server.dsn()) as connection:
        connection.execute("update toss.payments set payment_status = 'PENDING' where order_id = 'own-lost'")
    day = rows(server.dsn(), "select (now() at time zone 'Asia/Seoul')::date::text as today")[0]["today"]
    found = supatoss(world, "reconcile", "--day", day, "--apply")
    assert "own-lost" in json.dumps(found)
    row = order(server, "own-lost")
    assert row
    assert row["payment_status"] == "DONE"


def test_the_doctor_looks_for_our_tables_where_they_are(world: World) -> None:
    said = {verdict["check"]: verdict for verdict in supatoss(world, "doctor")["verdicts"]}
    assert said["schema"]["level"] == "ok"
    with_names = {name for name in TABLES if name in TABLE_NAMES}
    assert with_names == set(TABLE_NAMES)
    assert {name: said[f"anon reads {name}"]["level"] for name in with_names} == dict.fromkeys(with_names, "ok")
