"""`supatoss doctor --adopt`: the preflight before a push, with nothing changed."""

import json
import re
import sys
from collections.abc import Iterator

import psycopg
import pytest

from supatoss.cli import main
from tests.database.conftest import empty_database, migrate, postgres  # noqa: F401 - fixtures
from tests.database.support import Database
from tests.merchant.support import FILES, PREFLIGHT, PROJECTS, obstacles, push, snapshot, stored


@pytest.fixture
def project(empty_database: str, request: pytest.FixtureRequest) -> Iterator[Database]:  # noqa: F811 - the fixture
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(PROJECTS[request.param].read_text(encoding="utf-8"))
        yield Database(connection, empty_database)


def of(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("project", names, indirect=True)


@of("reports")
def test_it_lists_what_a_push_would_list_and_changes_nothing(
    project: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(project.connection)
    assert main(["doctor", "--adopt", "--database-url", project.dsn]) == 1
    lines = capsys.readouterr().out.splitlines()
    expected = []
    for what, remedies in obstacles(project.connection):
        expected += [f"failed   preflight: {what}", *(f"         → {line}" for line in remedies)]
    assert lines == [*expected, "", f"{len(obstacles(project.connection))} failed"]
    assert snapshot(project.connection) == before


@of("orders")
def test_a_project_without_obstacles_hears_what_is_worth_knowing(
    project: Database, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(project.connection)
    monkeypatch.setenv("SUPABASE_DB_URL", project.dsn)
    assert main(["doctor", "--adopt", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    noticed, fine = report["verdicts"]
    assert report["ok"]
    assert noticed["level"] == "warning"
    assert noticed["message"].startswith("public.orders looks as if it holds Toss payments")
    assert "on_payment_changed" in noticed["fix"]
    assert (fine["level"], fine["message"]) == ("ok", "nothing stands in the way of the migrations")
    assert snapshot(project.connection) == before


@of("own_names", "lower_case_status")
def test_with_the_options_that_it_names_nothing_stands_in_the_way(
    project: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--adopt", "--database-url", project.dsn]) == 1
    options = re.findall(r"--(?:schema|table) \S+", capsys.readouterr().out)
    words = [word for option in options for word in option.split()]
    assert main(["doctor", "--adopt", "--database-url", project.dsn, *words]) == 0


@of("only_payments")
def test_after_the_push_there_is_nothing_to_adopt(project: Database, capsys: pytest.CaptureFixture[str]) -> None:
    migrate(project.dsn)
    assert main(["doctor", "--adopt", "--database-url", project.dsn]) == 0
    assert "supatoss is installed already" in capsys.readouterr().out


@of("another_inbox", "only_payments")
def test_the_printed_sql_does_the_same_in_the_sql_editor(project: Database, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--adopt", "--print"]) == 0
    text = capsys.readouterr().out
    found = obstacles(project.connection)
    assert text.startswith(FILES[PREFLIGHT])
    if found:
        with pytest.raises(psycopg.Error, match=found[0][0]):
            project.connection.execute(text)
    else:
        cursor = project.connection.execute(text)
        while cursor.nextset():
            pass
        assert cursor.fetchall() == [("nothing stands in the way of the migrations",)]


@of("only_payments")
def test_as_a_role_that_may_not_read_the_tables(project: Database, capsys: pytest.CaptureFixture[str]) -> None:
    project.connection.execute("create role stranger login password 'p'")
    try:
        dsn = project.dsn.replace(project.dsn.split("@")[0], "postgresql://stranger:p")
        assert main(["doctor", "--adopt", "--database-url", dsn]) == 1
        out = capsys.readouterr().out
        assert "public.payments belongs to postgres, and stranger may not change it" in out
        assert "stranger may not create tables in the schema public" in out
        assert "may not create a schema in this database" in out
    finally:
        project.connection.execute("drop role stranger")


@of("only_payments", "orders", "with_zones")
def test_the_owner_of_the_tables_needs_no_superuser(project: Database) -> None:
    connection = project.connection
    connection.execute("create role merchant")
    connection.execute(f"grant create on database {connection.info.dbname} to merchant")
    connection.execute("grant create on schema public to merchant")
    connection.execute("grant usage on schema auth to merchant")
    tables = connection.execute("select oid::regclass::text from pg_class where relkind = 'r' and"
                                " relnamespace = 'public'::regnamespace").fetchall()  # fmt: skip
    for (table,) in tables:
        connection.execute(f"alter table {table} owner to merchant")
    try:
        connection.execute("set role merchant")
        assert obstacles(connection) == []
        push(connection)
        connection.execute("reset role")
        assert set(stored(project)) == {"processed"}
    finally:
        connection.execute("reset role")
        connection.execute("drop owned by merchant cascade")
        connection.execute("drop role merchant")


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ("alter role anon rename to somebody", "the role anon is missing"),
        ("alter schema auth rename to elsewhere", "the function auth.uid() is missing"),
    ],
)
def test_a_database_that_is_not_supabase_s(empty_database: str, made: str, expected: str) -> None:  # noqa: F811
    with psycopg.connect(empty_database) as connection:
        connection.execute(made)
        assert expected in obstacles(connection)[0][0]
        connection.rollback()


@pytest.mark.parametrize(
    ("arguments", "status", "expected"),
    [
        (["--adopt"], 2, "SUPABASE_DB_URL: missing"),
        (["--adopt", "--database-url", "hidden-password"], 2, "SUPABASE_DB_URL: not a connection string"),
        (["--adopt", "--database-url", "postgresql://postgres:hidden-password@127.0.0.1:1/x"], 3, "does not answer"),
        (["--print"], 2, "--schema, --table and --print belong to --adopt"),
        (["--adopt", "--table", "nothing=x"], 2, "--table nothing: write OLD=NEW"),
    ],
)
def test_what_cannot_be_done_is_said_without_the_password(
    arguments: list[str],
    status: int,
    expected: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SUPABASE_DB_URL", raising=False)
    assert main(["doctor", *arguments]) == status
    told = capsys.readouterr()
    assert expected in told.err
    assert "hidden" not in told.err + told.out


def test_without_the_driver_it_says_how_to_get_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert main(["doctor", "--adopt", "--database-url", "postgresql://"]) == 2
    assert "pip install 'supatoss[adopt]'" in capsys.readouterr().err
