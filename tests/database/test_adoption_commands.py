"""`supatoss harden`, `supatoss correct-times` and the doctor's words about an adopted project, on real rows."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator

import psycopg
import pytest
from typer.testing import CliRunner

from supatoss.cli import adoption, app
from supatoss.cli.doctor import Level
from supatoss.cli.doctor.adoption import check_adoption
from supatoss.errors import StoreUnavailable
from supatoss.store import Store
from tests.database.conftest import migrate
from tests.database.store import DatabaseStore
from tests.database.support import Database
from tests.database.test_adopted_project import GUIDE


@pytest.fixture
def adopted(empty_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(GUIDE.read_text())
        migrate(empty_database)
        project = Database(connection, empty_database)

        def ask(_calls: object, work: Callable[[Store], Awaitable[object]]) -> object:
            async def inside() -> object:
                return await work(DatabaseStore(project))

            return asyncio.run(inside())

        monkeypatch.setattr(adoption, "ask", ask)
        yield project


def run(*arguments: str, status: int) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == status, result.output
    return result.output


@pytest.mark.usefixtures("adopted")
def test_hardening() -> None:
    shown = run("harden", status=1)
    assert 'drop policy "own subscriptions" on public.subscriptions;' in shown
    assert 'policy "bought products" on public.products reads it' in shown
    assert "Nothing was changed" in shown
    assert len(json.loads(run("harden", "--json", status=1))["tables"]) == 2
    assert "Executed." in run("harden", "--apply", status=0)
    assert "Nothing is open" in run("harden", status=0)
    assert json.loads(run("harden", "--apply", "--json", status=0)) == {"applied": True, "tables": []}


def test_correcting_times(adopted: Database) -> None:
    shown = run("correct-times", status=1)
    assert "Asia/Seoul" in shown
    assert "2 rows to correct" in shown
    assert "payments_add_credits" in shown
    assert adopted.rows("select 1 from payments where times_in_utc") == []
    answer = json.loads(run("correct-times", "--apply", "--batch", "1", "--json", status=0))
    assert (answer["corrected"], answer["left"]) == (2, 0)
    assert "0 rows corrected, 0 left." in run("correct-times", "--apply", status=0)


def test_the_doctor_says_what_is_open_until_it_is_done(adopted: Database) -> None:
    store = DatabaseStore(adopted)
    before = {verdict.check: verdict for verdict in asyncio.run(check_adoption(store))}
    assert {check: verdict.level for check, verdict in before.items()} == {
        "adopted tables, access: public.payments": Level.WARNING,
        "adopted tables, access: public.subscriptions": Level.WARNING,
        "adopted tables, times: public.payments": Level.WARNING,
    }
    assert "2 rows" in before["adopted tables, times: public.payments"].message
    column = "table_name = 'public.payments' and column_name = 'canceled_at'"
    adopted.connection.execute(f"update supatoss.column_zones set zone = 'unclear' where {column}")
    run("harden", "--apply", status=0)
    run("correct-times", "--apply", status=0)
    (unclear,) = asyncio.run(check_adoption(store))
    assert unclear.check == "adopted tables, times: public.payments.canceled_at"
    adopted.connection.execute(f"update supatoss.column_zones set zone = 'UTC' where {column}")
    assert [verdict.level for verdict in asyncio.run(check_adoption(store))] == [Level.OK]


def test_a_fresh_project_has_nothing_to_say(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    store = DatabaseStore(database)
    assert asyncio.run(check_adoption(store)) == []
    monkeypatch.setattr(adoption, "ask", lambda _calls, work: asyncio.run(work(store)))
    assert "No column without a time zone was adopted." in run("correct-times", "--apply", status=0)

    async def away(*_arguments: object) -> object:
        raise StoreUnavailable("away")

    monkeypatch.setattr(DatabaseStore, "_answer", away)
    assert asyncio.run(check_adoption(store)) == []
