"""What a project's own policies, views and functions open of our tables, as `supatoss doctor` reports it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from scripts.local_stack import LocalPostgres
from supatoss.cli.doctor import Level, Verdict
from supatoss.cli.doctor.exposure import check_exposure, judge
from supatoss.errors import StoreUnavailable
from supatoss.settings import Settings
from supatoss.store.client import Function
from supatoss.store.exposure import Exposure, Sight
from tests.database.conftest import migrate
from tests.database.store import DatabaseStore
from tests.database.support import Database, payment_event
from tests.database.test_rights import is_refused

GUIDE = Path(__file__).parents[1] / "merchant" / "guide.sql"
CLOSED_VIEW = "alter view sales_of_today set (security_invoker = true);"
SETTINGS = Settings.load(
    supabase_url="http://127.0.0.1:1",
    supabase_secret_key="sb_secret_for_exposure",
    toss_secret_key=("test_sk_for_exposure_tests",),
)
OF_THE_SERVICE = "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoic3VwYXRvc3Nfc2VydmljZSJ9.x"


@pytest.fixture(scope="module")
def project(postgres: LocalPostgres) -> Iterator[Database]:
    """The guide's project, whose rows are of two users, after the migrations. Its one view reads payments."""
    dsn = postgres.create_database("exposed")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(GUIDE.read_text())
        migrate(dsn)
        connection.execute(CLOSED_VIEW)
        yield Database(connection, dsn)
    postgres.drop_database("exposed")


@pytest.fixture
def adopted(project: Database) -> Iterator[Database]:
    with project.rolled_back():
        yield project


def read(database: Database) -> Exposure:
    return asyncio.run(DatabaseStore(database).read_exposure())


def bad(database: Database) -> dict[str, Verdict]:
    """What the doctor complains of, by the words after `open tables: `."""
    verdicts = judge(read(database))
    return {verdict.check.removeprefix("open tables: "): verdict for verdict in verdicts if verdict.level != "ok"}


def test_a_new_project_opens_nothing(database: Database) -> None:
    database.record(payment_event("DONE", 10))
    found = read(database)
    assert {(look.role, look.table): look.sees for look in found.strangers} == {
        ("anon", "public.payments"): Sight.REFUSED,
        ("authenticated", "public.payments"): Sight.NONE,
        ("anon", "public.subscriptions"): Sight.REFUSED,
        # No user may read a whole row, but the look reads none of its columns.
        ("authenticated", "public.subscriptions"): Sight.NONE,
        ("anon", "public.settlements"): Sight.REFUSED,
        ("authenticated", "public.settlements"): Sight.REFUSED,
        ("anon", "public.webhook_events"): Sight.REFUSED,
        ("authenticated", "public.webhook_events"): Sight.REFUSED,
    }
    assert judge(found) == [
        Verdict("open tables", Level.OK, "a stranger sees no row, and no view or function opens them")
    ]


def test_the_look_leaves_the_session_as_it_was(database: Database) -> None:
    database.record(payment_event("DONE", 10))
    with database.connection.transaction():
        database.connection.execute('set local role service_role; set local request.jwt.claims = \'{"sub": "me"}\'')
        for _ in range(2):
            database.connection.execute("select supatoss_read_exposure_v1()")
            (row,) = database.rows(
                "select current_user::text as who, current_setting('request.jwt.claims') as claims,"
                " (select count(*) from payments) as payments"
            )
            assert row == {"who": "service_role", "claims": '{"sub": "me"}', "payments": 1}
        database.connection.execute("set local role none")


def test_policies_of_the_project_that_ask_are_fine(adopted: Database) -> None:
    found = read(adopted)
    assert {policy.policy for policy in found.policies} == {
        '"own payments" on public.payments',
        '"own orders" on public.payments',
        '"own subscriptions" on public.subscriptions',
    }
    assert all(policy.asks for policy in found.policies)
    (verdict,) = judge(found)
    assert verdict.level is Level.OK
    assert "3 of the project's own policies" in verdict.message


@pytest.mark.parametrize(
    ("policy", "strangers"),
    [
        ("for select using (true)", {"anon", "authenticated"}),
        ("using (payment_status = 'DONE')", {"anon", "authenticated"}),
        ("for select to authenticated using (1 = 1)", {"authenticated"}),
    ],
)
def test_a_policy_that_asks_nobody(adopted: Database, policy: str, strangers: set[str]) -> None:
    adopted.connection.execute(f'create policy "everybody\'s" on payments {policy}')
    found = bad(adopted)
    assert {verdict.level for verdict in found.values()} == {Level.FAILED}
    verdict = found["""policy "everybody's" on public.payments"""]
    assert verdict.fix is not None
    statement = verdict.fix.splitlines()[0].removeprefix("in the SQL Editor: ")
    assert {check for check in found if " as " in check} == {f"public.payments as {role}" for role in strangers}
    adopted.connection.execute(statement)
    assert bad(adopted) == {}


@pytest.mark.parametrize(
    "expression", ["auth.uid() is null or auth.uid() = user_id", "auth.role() = 'authenticated'", "is_staff()"]
)
def test_a_policy_that_asks_the_wrong_question_is_seen_by_looking(adopted: Database, expression: str) -> None:
    adopted.connection.execute("create function is_staff() returns boolean language sql as 'select true'")
    adopted.connection.execute(f"create policy loose on payments for select using ({expression})")
    found = bad(adopted)
    assert found
    assert {verdict.level for verdict in found.values()} == {Level.FAILED}
    assert all(verdict.message.endswith("can read other users' rows") for verdict in found.values())


def test_writes_that_ask_nobody(adopted: Database) -> None:
    adopted.connection.execute("create policy mark on payments for update to authenticated using (true)")
    (verdict,) = bad(adopted).values()
    assert verdict.message == "lets authenticated update without checking the user: true"


def test_a_policy_without_a_grant_or_for_others_opens_nothing(adopted: Database) -> None:
    adopted.connection.execute(
        "create policy a on webhook_events using (true); create policy b on settlements for select using (true);"
        " create policy c on payments to service_role using (true);"
        " create policy d on payments as restrictive using (true)"
    )
    assert bad(adopted) == {}


def test_row_level_security_that_is_off_and_a_policy_that_raises(adopted: Database) -> None:
    adopted.connection.execute("alter table subscriptions disable row level security")
    adopted.connection.execute(
        "create policy broken on payments for select using ((1 / (amount - amount)) = auth.uid()::text::int)"
    )
    found = judge(read(adopted))
    assert {(verdict.check, verdict.level) for verdict in found} == {
        ("open tables: public.subscriptions", Level.FAILED),
        ("open tables: public.subscriptions as anon", Level.FAILED),
        ("open tables: public.subscriptions as authenticated", Level.FAILED),
        ("open tables: public.payments as anon", Level.WARNING),
        ("open tables: public.payments as authenticated", Level.WARNING),
    }
    assert "row level security is off, and users have grants" in {verdict.message for verdict in found}


VIEWS = [
    ("create view v as select sum(amount) from payments", Level.FAILED, "alter view public.v set"),
    ("create view w with (security_invoker = true) as select * from payments; create view v as select * from w",
     Level.FAILED, "alter view public.v set"),
    ("create view v as select * from payments where user_id = auth.uid()", Level.FAILED, "revoke insert, update"),
    ("create view v as select order_id, amount from payments where user_id = auth.uid() group by 1, 2", Level.WARNING,
     "alter view public.v set"),
    ("create materialized view v as select * from subscriptions", Level.FAILED, "revoke all on public.v"),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "level", "fix"), VIEWS)
def test_a_view_with_its_owner_s_rights(adopted: Database, statement: str, level: Level, fix: str) -> None:
    adopted.connection.execute(statement)
    verdict = next(verdict for check, verdict in bad(adopted).items() if check.endswith(" public.v"))
    assert verdict.level is level
    assert fix in (verdict.fix or "")
    last = (verdict.fix or "").splitlines()[-1].removeprefix("in the SQL Editor: ")
    adopted.connection.execute(last)
    left = [verdict for check, verdict in bad(adopted).items() if check.endswith(" public.v")]
    assert [verdict.level for verdict in left if verdict.level == "failed"] == []


def test_the_view_of_the_guide_is_named_until_it_is_closed(adopted: Database) -> None:
    adopted.connection.execute("alter view sales_of_today reset (security_invoker)")
    (verdict,) = bad(adopted).values()
    assert verdict.check == "open tables: view public.sales_of_today"
    assert verdict.message == "reads public.payments past row level security for anon, authenticated"


def test_views_that_open_nothing(adopted: Database) -> None:
    adopted.connection.execute(
        "create view fine with (security_invoker = on) as select * from payments;"
        " create view closed as select * from payments; revoke all on closed from anon, authenticated;"
        " create schema inside; create view inside.hidden as select * from payments;"
        " grant select on inside.hidden to anon; create view other as select * from profiles"
    )
    assert bad(adopted) == {}


def test_functions_with_their_owner_s_rights(adopted: Database) -> None:
    adopted.connection.execute(
        "create function total() returns bigint language sql security definer as 'select sum(amount) from payments';"
        " create function mine() returns setof payments language plpgsql security definer"
        "   as 'begin return query select * from public.payments where user_id = auth.uid(); end';"
        " create function body() returns bigint language sql security definer begin atomic"
        "   select count(*) from public.webhook_events; end;"
        " create function invoker() returns bigint language sql as 'select sum(amount) from payments';"
        " create function closed() returns bigint language sql security definer as 'select sum(amount) from payments';"
        " revoke all on function closed() from public, anon, authenticated;"
        " create function other() returns bigint language sql security definer as 'select count(*) from profiles';"
        " alter function add_credits() security definer"
    )
    found = bad(adopted)
    assert {check: verdict.message.endswith("it never checks its caller") for check, verdict in found.items()} == {
        "function public.total()": True,
        "function public.mine()": False,
        "function public.body()": True,
    }
    assert {verdict.level for verdict in found.values()} == {Level.WARNING}


def test_a_hook_that_anybody_can_call(adopted: Database) -> None:
    hook = "public.on_payment_changed(change text, before public.payments, after public.payments)"
    adopted.connection.execute(f"create function {hook} returns void language sql set search_path = '' as ''")
    (verdict,) = bad(adopted).values()
    assert verdict.level is Level.FAILED
    assert verdict.check == "open tables: function public.on_payment_changed(text,public.payments,public.payments)"
    assert "anon, authenticated can call it with a made-up payment" in verdict.message
    adopted.connection.execute((verdict.fix or "").removeprefix("in the SQL Editor: "))
    assert bad(adopted) == {}


def test_triggers_that_ask_for_the_token_s_role_are_named_with_the_service_s_own_key(adopted: Database) -> None:
    adopted.connection.execute(
        "create function guard() returns trigger language plpgsql as $$ begin"
        " if auth.role() <> 'service_role' then raise exception 'no'; end if; return new; end $$;"
        " create trigger guard before update on payments for each row execute function guard()"
    )
    store = DatabaseStore(adopted)
    assert [verdict.level for verdict in asyncio.run(check_exposure(SETTINGS, store))] == [Level.OK]
    of_the_service = SETTINGS.model_copy(update={"supabase_secret_key": SecretStr(OF_THE_SERVICE)})
    (verdict,) = asyncio.run(check_exposure(of_the_service, store))
    assert verdict.check == "open tables: trigger guard on public.payments"


def test_a_large_table_is_only_sampled(adopted: Database) -> None:
    adopted.connection.execute("create policy everybody on payments for select using (true)")
    adopted.connection.execute("update pg_class set reltuples = 1e12 where oid = 'payments'::regclass")
    looks = {(look.role, look.table): look.sees for look in read(adopted).strangers}
    assert looks["anon", "public.payments"] is Sight.NONE  # of a millionth of the table's one page
    assert "policy everybody on public.payments" in bad(adopted)


def test_who_may_ask(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_refused(database, "supatoss_service", Function.READ_EXPOSURE)

    async def away(*_arguments: object) -> object:
        raise StoreUnavailable("away")

    monkeypatch.setattr(DatabaseStore, "_answer", away)
    (verdict,) = asyncio.run(check_exposure(SETTINGS, DatabaseStore(database)))
    assert (verdict.level, verdict.message) == (Level.SKIPPED, "can't verify: see the verdict about the Data API")
