"""The command `supatoss uninstall`: what it says, writes and does."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from scripts.local_stack import LOOPBACK, LocalPostgres
from supatoss.cli import app, copies
from supatoss.store.schema import SCHEMA_VERSION
from tests.database.support import Database, payment_event
from tests.merchant.conftest import copied
from tests.merchant.support import FILES

HISTORY = """
create schema supabase_migrations;
create table supabase_migrations.schema_migrations (version text primary key, statements text[], name text);
"""


@pytest.fixture
def adopted(projects: LocalPostgres) -> Iterator[Database]:
    with copied(projects, "adopted") as copy:
        yield copy


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "supabase/migrations").mkdir(parents=True)
    (tmp_path / "supabase/config.toml").write_text('project_id = "shop"\n')
    (tmp_path / "supabase/migrations/20250101000000_profiles.sql").write_text("select 1;")
    return tmp_path


def uninstall(*arguments: str | Path, url: str | None = None, typed: str | None = None) -> Result:
    return CliRunner().invoke(app, ["uninstall", *map(str, arguments)], env={"SUPABASE_DB_URL": url}, input=typed)


def versions(database: Database) -> list[str]:
    rows = database.rows("select version || '_' || name as name from supabase_migrations.schema_migrations order by 1")
    return [row["name"] for row in rows]


def is_installed(database: Database) -> bool:
    (row,) = database.rows("select to_regnamespace('supatoss') is not null as installed")
    return bool(row["installed"])


def test_it_says_what_goes_and_what_stays_and_changes_nothing(adopted: Database) -> None:
    adopted.record(payment_event("DONE", 10), payment_event("DONE", 10, order="order_2", key="k"))
    adopted.connection.execute("insert into supatoss.processes (name) values ('machine:web:1')")
    result = uninstall(url=adopted.dsn)
    assert result.exit_code == 0, result.output
    for text in (
        "views public.payment_timeline, public.webhook_failures, public.webhook_health",
        "times without a zone in public.payments: requested_at, approved_at, canceled_at, created_at, updated_at\n",
        "table public.payments: 3 rows",
        "table public.webhook_events: 5 rows",
        "! the service is running (machine:web:1): stop it first",
        "! pending or failed events: 1",
        "webhook_events was open to the publishable key before adoption, and stays closed",
        "    alter table public.webhook_events disable row level security;",
        "Nothing was changed. --repository DIR writes",
        "developers.tosspayments.com > Webhook",
        "fly apps destroy",
    ):
        assert text in result.stdout
    assert is_installed(adopted)
    found = json.loads(uninstall("--json", url=adopted.dsn).stdout)
    assert (found["installed"], found["inventory"]["version"], found["inventory"]["unfinished"]) == (
        True,
        SCHEMA_VERSION,
        1,
    )


def test_told_to_it_does_it_and_the_history_says_so(adopted: Database) -> None:
    adopted.connection.execute(HISTORY.encode())
    names = [*FILES, "20260101000000_profiles.sql", "20260102000000_supatoss_preflight.sql"]
    for name in names:
        version, _, rest = name.removesuffix(".sql").partition("_")
        adopted.connection.execute(
            "insert into supabase_migrations.schema_migrations (version, name) values (%s, %s)", [version, rest]
        )
    result = uninstall("--apply", url=adopted.dsn)
    assert result.exit_code == 0, result.output
    assert f"{len(FILES) + 1} migrations count as reverted" in result.stdout
    assert "delete our files (*_supatoss_*.sql) from your repository" in result.stdout
    assert not is_installed(adopted)
    assert versions(adopted) == ["20260101000000_profiles"]
    again = uninstall("--apply", url=adopted.dsn)
    assert (again.exit_code, again.stdout) == (0, "supatoss is not installed in this database.\n")


def test_as_a_migration_it_takes_the_copies_back_and_they_are_copied_again(adopted: Database, repository: Path) -> None:
    folder = repository / "supabase/migrations"
    assert CliRunner().invoke(app, ["migrations", "copy", str(repository)]).exit_code == 0
    first = len(list(folder.iterdir()))
    result = uninstall("--repository", repository)
    assert result.exit_code == 0, result.output
    assert "commit the file, then: npx supabase@" in result.stdout
    (written,) = folder.glob("*_supatoss_uninstall.sql")
    assert written == max(folder.iterdir())
    assert "exists already" in uninstall("--repository", repository).stdout
    assert len(list(folder.iterdir())) == first + 1
    with adopted.connection.transaction():
        adopted.connection.execute(written.read_bytes())
    assert not is_installed(adopted)

    assert CliRunner().invoke(app, ["migrations", "copy", str(repository), "--check"]).exit_code == 1
    assert CliRunner().invoke(app, ["migrations", "copy", str(repository)]).exit_code == 0
    assert CliRunner().invoke(app, ["migrations", "copy", str(repository), "--check"]).exit_code == 0
    copied_again = [file for file in sorted(folder.iterdir()) if file.name > written.name]
    assert len(copied_again) == len(copies.read_release())
    for file in copied_again:
        adopted.connection.execute(file.read_bytes())
    assert is_installed(adopted)
    assert "written" in uninstall("--repository", repository).stdout


def test_written_and_applied_at_once_the_file_counts_as_applied(adopted: Database, repository: Path) -> None:
    adopted.connection.execute(HISTORY.encode())
    assert uninstall("--repository", repository, "--apply", url=adopted.dsn).exit_code == 0
    (written,) = (repository / "supabase/migrations").glob("*_supatoss_uninstall.sql")
    assert versions(adopted) == [written.stem]
    assert not is_installed(adopted)


def test_rows_go_only_when_that_is_said_twice(adopted: Database) -> None:
    refused = uninstall("--apply", "--delete-data", url=adopted.dsn)
    assert (refused.exit_code, is_installed(adopted)) == (2, True)
    assert "add --yes" in refused.stderr
    assert uninstall("--apply", "--delete-data", "--yes", url=adopted.dsn).exit_code == 0
    assert adopted.rows("select count(*) as payments from payments") == [{"payments": 2}]  # adopted: never dropped


def test_the_sql_for_the_editor(adopted: Database) -> None:
    with adopted.connection.transaction():
        adopted.connection.execute(uninstall("--print").stdout.encode())
    assert not is_installed(adopted)


def test_what_hangs_on_it_is_named(adopted: Database) -> None:
    adopted.connection.execute("create view mine as select status from webhook_events")
    result = uninstall("--apply", url=adopted.dsn)
    assert result.exit_code == 1
    assert "nothing was changed: cannot drop column" in result.stderr
    assert "view mine depends on column status of table webhook_events" in result.stderr
    assert "CASCADE" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "url", "status", "words"),
    [
        (["--apply"], None, 2, "SUPABASE_DB_URL is missing"),
        (["--apply"], "secret-password", 2, "SUPABASE_DB_URL: not a connection string"),
        (
            ["--apply"],
            f"postgresql://postgres:secret-password@{LOOPBACK}:1/x",
            3,
            f"the database at {LOOPBACK}:1 does not",
        ),
        (["--repository", "/nowhere"], None, 2, "there is no folder /nowhere"),
    ],
)
def test_wrong_use(arguments: list[str], url: str | None, status: int, words: str) -> None:
    result = uninstall(*arguments, url=url)
    assert (result.exit_code, words in result.stderr) == (status, True), result.stderr
    assert "secret-password" not in result.output


def test_without_an_address_it_says_what_it_would_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = uninstall()
    assert result.exit_code == 0
    assert "Keeps: payments, subscriptions, settlements and webhook_events with every row" in result.stdout


def test_a_role_that_may_not_is_told_whom_to_be(adopted: Database) -> None:
    adopted.connection.execute("create role stranger login password 'p'; grant usage on schema supatoss to stranger")
    try:
        dsn = adopted.dsn.replace(adopted.dsn.split("@")[0], "postgresql://stranger:p")
        result = uninstall("--apply", url=dsn)
        assert result.exit_code == 2
        assert "connect as postgres, who ran the migrations" in result.stderr
    finally:
        adopted.connection.execute("drop owned by stranger; drop role stranger")
    assert is_installed(adopted)
