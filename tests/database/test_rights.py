"""Every object of ours and every role, whole: an object that this list does not know fails."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from supatoss.store.client import OWNER_FUNCTIONS, Function
from tests.database.conftest import migrate
from tests.database.rights import ROLES, Rights, has_maintain, read_rights
from tests.database.support import Database
from tests.database.test_permissions import DENIED, rows, run_as  # noqa: F401 - the fixture
from tests.released.kept import functions_of_kept_releases

GUIDE = Path(__file__).parents[1] / "merchant" / "guide.sql"

SERVICE = "service_role"
BY_DEFAULT = "rawdDxt"
"""What Supabase's default privileges give service_role on tables in public."""

READS_OWN = "r-billing_key,billing_state"

RELATIONS: dict[str, Rights] = {
    "public.payments": {"authenticated": "r", SERVICE: BY_DEFAULT},
    "public.subscriptions": {"authenticated": READS_OWN, SERVICE: BY_DEFAULT},
    "public.settlements": {SERVICE: BY_DEFAULT},
    "public.webhook_events": {SERVICE: BY_DEFAULT},
    "public.webhook_health": {SERVICE: BY_DEFAULT},
    "public.webhook_failures": {SERVICE: BY_DEFAULT},
    "public.payment_timeline": {SERVICE: BY_DEFAULT},
    "supatoss.adopted_tables": {SERVICE: "r"},
    "supatoss.alerts": {SERVICE: "rawd"},
    "supatoss.announced_payments": {SERVICE: "rawd"},
    "supatoss.announced_subscriptions": {SERVICE: "rawd"},
    "supatoss.billing_events": {SERVICE: "r"},
    "supatoss.column_zones": {SERVICE: "r"},
    "supatoss.folded_orders": {SERVICE: "rawd"},
    "supatoss.operator_actions": {SERVICE: "ra"},
    "supatoss.operator_batches": {SERVICE: "rawd"},
    "supatoss.operator_sessions": {SERVICE: "rawd"},
    "supatoss.payment_events": {SERVICE: "r"},
    "supatoss.processes": {SERVICE: "rawd"},
    "supatoss.reconciliation_findings": {SERVICE: "rawd"},
    "supatoss.reconciliation_transactions": {SERVICE: "rawd"},
    "supatoss.reconciliations": {SERVICE: "rawd"},
    "supatoss.refused_deliveries": {SERVICE: "rad"},
    "supatoss.write_checks": {SERVICE: "rawd"},
}
"""A role that is not named may do nothing."""

FOR_MIGRATIONS = {
    "add_clock",
    "adopt_columns",
    "close_functions",
    "drop_policies",
    "find_zones",
    "has_index",
    "is_unique",
    "keep_old_times",
    "describe_table",
    "lock_adopted",
    "now_pattern",
    "order_ids_by_time",
    "restrict_new",
    "return_views",
    "take_views",
    "validate_checks",
    "widen_check",
}
"""Functions of the schema supatoss that even the service may not call; the others are the service's alone."""

OPEN_TO_ALL = """
alter default privileges grant all on tables to anon, authenticated;
alter default privileges grant all on functions to anon, authenticated;
alter default privileges grant all on sequences to anon, authenticated;
alter default privileges grant all on schemas to anon, authenticated;
"""
"""A project whose default privileges give everybody everything, in schemas of later too."""


def decided(database: Database, name: str) -> Rights:
    """What was decided about an object of ours. KeyError if nothing was."""
    kind, _, object_name = name.partition(" ")
    schema, _, short = object_name.partition(".")
    nobody = dict.fromkeys(ROLES, "")
    if kind == "schema":
        # The Data API needs public; nobody makes anything there.
        return dict.fromkeys(ROLES, "yes") if object_name == "public" else nobody | {SERVICE: "yes"}
    if kind == "relation":
        rights = nobody | RELATIONS[object_name]
        more = "m" if rights[SERVICE] == BY_DEFAULT and has_maintain(database) else ""
        return rights | {SERVICE: rights[SERVICE] + more}
    if kind == "sequence":
        return nobody  # of identity columns, which need none
    if schema == "supatoss":
        return nobody | {SERVICE: "" if kind == "function" and short in FOR_MIGRATIONS else "yes"}
    if kind != "function" or short not in {*Function, *functions_of_kept_releases()}:  # in public we have no type
        raise KeyError(name)
    return nobody | {SERVICE: "yes"} | ({} if short in OWNER_FUNCTIONS else {"supatoss_service": "yes"})


@pytest.fixture
def other(empty_database: str) -> Iterator[Database]:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        yield Database(connection, empty_database)


def test_every_object_has_its_decision(database: Database) -> None:
    found = read_rights(database)
    assert {name: decided(database, name) for name in found} == found
    assert {f"relation {name}" for name in RELATIONS} <= found.keys()
    assert {f"function public.{function}" for function in Function} <= found.keys()
    assert {f"function supatoss.{name}" for name in FOR_MIGRATIONS} <= found.keys()


def test_default_privileges_of_the_project_open_nothing(other: Database, migrated_database: Database) -> None:
    other.connection.execute(OPEN_TO_ALL)
    migrate(other.dsn)
    assert read_rights(other) == read_rights(migrated_database)


def test_adoption_changes_no_right_but_on_webhook_events(other: Database, migrated_database: Database) -> None:
    other.connection.execute(GUIDE.read_text())
    before = read_rights(other)
    migrate(other.dsn)
    after, fresh = read_rights(other), read_rights(migrated_database)
    assert after["relation public.payments"]["anon"].startswith("rawd")
    assert after == fresh | before | {
        name: fresh[name] for name in ("relation public.webhook_events", "schema public") if name in fresh
    }
    own = [name for name in before if name not in fresh]
    assert {"relation public.profiles", "relation public.sales_of_today"} <= set(own)
    assert {before[name]["supatoss_service"] for name in before if name.startswith("relation")} == {""}


def test_what_is_made_later_in_our_schema_is_closed(other: Database) -> None:
    other.connection.execute(OPEN_TO_ALL)
    migrate(other.dsn)
    other.connection.execute(
        "create table supatoss.later (id bigint generated always as identity);"
        " create view supatoss.later_view as select 1 as one;"
        " create function supatoss.later() returns integer language sql as 'select 1'"
    )
    found = read_rights(other, ["supatoss"])
    for name in ("relation supatoss.later", "relation supatoss.later_view", "function supatoss.later"):
        assert {found[name][role] for role in ROLES if role != SERVICE} == {""}, name
    with pytest.raises(DENIED):
        run_as(other, "anon", "select * from supatoss.later_view")


def test_row_level_security_and_policies(database: Database) -> None:
    without = database.rows(
        "select oid::regclass::text as name from pg_class where relnamespace::regnamespace::text in"
        " ('public', 'supatoss') and relkind in ('r', 'p') and not relrowsecurity"
    )
    assert without == []
    policies = database.rows(
        "select schemaname || '.' || tablename as name, policyname, roles::text, cmd, qual from pg_policies order by 1"
    )
    assert [tuple(row.values()) for row in policies] == [
        (
            f"public.{table}",
            f"supatoss_users_read_own_{table}",
            "{authenticated}",
            "SELECT",
            "(user_id = ( SELECT auth.uid() AS uid))",
        )
        for table in ("payments", "subscriptions")
    ]


STATEMENTS = {
    "r": "select * from {}",
    "r1": "select {column} from {}",
    "a": "insert into {} default values",
    "w": "update {} set {column} = {column}",
    "d": "delete from {}",
    "D": "truncate {}",
}


NOT_WITH_A_VIEW = (psycopg.errors.WrongObjectType, psycopg.errors.ObjectNotInPrerequisiteState)


@pytest.mark.parametrize("role", ["anon", "authenticated", "supatoss_service"])
def test_every_statement_on_every_relation(rows: Database, role: str) -> None:  # noqa: F811 - the fixture
    """What succeeds, and how many rows each shows of those that there are: OWNER's alone."""
    seen: dict[str, int] = {}
    for relation in RELATIONS:
        (column,) = rows.rows(
            "select attname as name from pg_attribute where attrelid = %s::regclass and attnum = 1", relation
        )
        for kind, statement in STATEMENTS.items():
            try:
                found = run_as(rows, role, statement.format(relation, column=column["name"]))
            except (DENIED, *NOT_WITH_A_VIEW):
                continue
            seen[f"{kind} {relation}"] = len(found)
    assert rows.rows("select count(*) as payments from payments") == [{"payments": 2}]
    expected = {"r public.payments": 1, "r1 public.payments": 1, "r1 public.subscriptions": 1}
    assert seen == (expected if role == "authenticated" else {})


def is_refused(database: Database, role: str, function: Function) -> bool:
    """Whether a call with nulls gets no further than the grants. Inside, it may fail for other reasons."""
    (row,) = database.rows(
        "select coalesce(string_agg('null::' || t::regtype, ', '), '') as arguments from pg_proc p"
        " left join unnest(p.proargtypes) t on true where p.oid = to_regproc(%s)",
        f"public.{function}",
    )
    try:
        run_as(database, role, f"select public.{function}({row['arguments']})")
    except DENIED:
        return True
    except psycopg.Error:
        return False
    return False


@pytest.mark.parametrize(
    ("role", "refused"),
    [
        ("anon", set(Function)),
        ("authenticated", set(Function)),
        ("supatoss_service", OWNER_FUNCTIONS),
        (SERVICE, set()),
    ],
)
def test_every_function_is_called(database: Database, role: str, refused: set[Function]) -> None:
    assert {function for function in Function if is_refused(database, role, function)} == refused


def test_the_role_can_do_nothing_else(other: Database) -> None:
    """Its server has it already, from the migrations of another database."""
    migrate(other.dsn)
    (role,) = other.rows(
        "select rolcanlogin, rolinherit, rolbypassrls, rolsuper, rolcreaterole, rolcreatedb, rolreplication"
        " from pg_roles where rolname = 'supatoss_service'"
    )
    assert set(role.values()) == {False}
    (member,) = other.rows(
        "select pg_has_role('authenticator', 'supatoss_service', 'member') as of_it, exists ("
        " select from pg_auth_members where member = 'supatoss_service'::regrole) as of_others"
    )
    assert member == {"of_it": True, "of_others": False}
