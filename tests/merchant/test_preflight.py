"""A project is refused with all obstacles and their remedies, or pushed whole and served: nothing between."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from supatoss.cli.uninstall.text import uninstall_sql
from tests.database.conftest import empty_database, postgres  # noqa: F401 - fixtures
from tests.database.support import Database
from tests.merchant.support import OURS, PROJECTS, is_broken, obstacles, push, result, snapshot, stored, with_option

BY_HAND = {
    "wrong_rows": """
        update payments set payment_status = 'CANCELED' where payment_status = 'REFUNDED';
        update payments set amount = -amount where amount < 0;
        delete from payments p using payments q where p.order_id = q.order_id and p.ctid > q.ctid""",
}
"""What a person decides about rows that stand in the way."""


DOCUMENTS = Path(__file__).parents[2] / "docs"
IN_KOREAN = {"refused:": "거절:", "done, with a warning": "완료, 경고", "done": "완료", "by hand": "직접"}
PREFERENCES = ("run: ", "keep ours beside it: ")
"""Beginnings of the remedies of an obstacle that can be carried out as they are printed."""


@pytest.fixture
def project(empty_database: str, request: pytest.FixtureRequest) -> Iterator[Database]:  # noqa: F811 - the fixture
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(PROJECTS[request.param].read_text(encoding="utf-8"))
        yield Database(connection, empty_database)


every_project = pytest.mark.parametrize("project", PROJECTS, indirect=True)


@every_project
def test_a_project_is_refused_unchanged_or_served_as_the_documents_say(
    project: Database, request: pytest.FixtureRequest
) -> None:
    before = snapshot(project.connection)
    outcome, remedies = result(project.connection)
    assert snapshot(project.connection) == before
    _check_documents(request.node.callspec.params["project"], outcome, remedies)
    # None is refused without need: pushed all the same, it breaks.
    assert outcome.startswith("refused") == is_broken(project)


def _check_documents(name: str, outcome: str, remedies: str) -> None:
    ending = f" (`{name}`) | {outcome} | {remedies} |".replace("|  |", "| |")
    description = PROJECTS[name].read_text(encoding="utf-8").splitlines()[0].removeprefix("-- ")
    assert f"| {description}{ending}" in (DOCUMENTS / "preflight.md").read_text(encoding="utf-8").splitlines()
    for english, korean in IN_KOREAN.items():
        ending = ending.replace(english, korean)
    assert f"{ending}\n" in (DOCUMENTS / "preflight.ko.md").read_text(encoding="utf-8")


def _ways(found: list[tuple[str, list[str]]], prefers: str) -> list[str]:
    """Of each obstacle's remedies, the preferred way."""
    ways = [[line for line in remedies if line.startswith(PREFERENCES)] for _, remedies in found]
    return [next((line for line in lines if line.startswith(prefers)), lines[0]) for lines in ways]


@every_project
@pytest.mark.parametrize("prefers", PREFERENCES)
def test_with_the_remedies_as_printed_a_refused_project_is_served(
    project: Database, prefers: str, request: pytest.FixtureRequest
) -> None:
    naming, afterwards = OURS, list[str]()
    by_hand = BY_HAND.get(request.node.callspec.params["project"], "")
    project.connection.execute(by_hand)
    found = obstacles(project.connection)
    ways = _ways(found, prefers)
    if not (found or by_hand) or (prefers != PREFERENCES[0] and ways == _ways(found, PREFERENCES[0])):
        return  # The test above shows the same, or the other case does.
    for (_, remedies), way in zip(found, ways, strict=True):
        if way.startswith("keep"):
            naming = with_option(naming, way)
        else:
            project.connection.execute(way.removeprefix("run: "))
            afterwards[:0] = [line.partition(": ")[2] for line in remedies if line.startswith("after the push: ")]
    assert obstacles(project.connection, naming) == []
    push(project.connection, naming)
    assert set(stored(project, naming)) == {"processed"}
    for statement in afterwards:
        project.connection.execute(statement)


@pytest.mark.parametrize("project", ["few_columns", "guide", "only_payments", "with_zones"], indirect=True)
def test_a_project_goes_back_and_could_push_again(project: Database) -> None:
    rows = project.rows("select id, order_id, amount from payments order by id")
    push(project.connection)
    with project.connection.transaction():
        project.connection.execute(uninstall_sql(delete_data=False).encode())
    assert project.rows("select id, order_id, amount from payments order by id") == rows
    project.insert_payment(order_id="after", payment_key="after")
    project.connection.execute("insert into webhook_events (event_type, payload) values ('PAYMENT', '{}')")
    assert obstacles(project.connection) == []
    push(project.connection)
    assert set(stored(project)) == {"processed"}
