"""A project is refused with all obstacles and their remedies, or pushed whole and served: nothing between."""

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

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


@pytest.fixture
def project(empty_database: str, request: pytest.FixtureRequest) -> Iterator[Database]:  # noqa: F811 - the fixture
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(PROJECTS[request.param].read_text(encoding="utf-8"))
        yield Database(connection, empty_database)


every_project = pytest.mark.parametrize("project", PROJECTS, indirect=True)


@every_project
def test_a_project_is_refused_unchanged_or_served(project: Database) -> None:
    before = snapshot(project.connection)
    if obstacles(project.connection):
        assert snapshot(project.connection) == before
    else:
        assert snapshot(project.connection) == before
        push(project.connection)
        assert set(stored(project)) == {"processed"}


@every_project
def test_none_is_refused_without_need(project: Database) -> None:
    assert bool(obstacles(project.connection)) == is_broken(project)


@every_project
@pytest.mark.parametrize("prefers", ["run: ", "keep ours beside it: "])
def test_with_the_remedies_as_printed_a_refused_project_is_served(
    project: Database, prefers: str, request: pytest.FixtureRequest
) -> None:
    naming, afterwards = OURS, list[str]()
    project.connection.execute(BY_HAND.get(request.node.callspec.params["project"], ""))
    found = obstacles(project.connection)
    for _, remedies in found:
        ways = [line for line in remedies if line.startswith(("run: ", "keep ours beside it: "))]
        way = next((line for line in ways if line.startswith(prefers)), ways[0])
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


DOCUMENTS = Path(__file__).parents[2] / "docs"
IN_KOREAN = {"refused:": "거절:", "done, with a warning": "완료, 경고", "done": "완료", "by hand": "직접"}


@every_project
def test_the_documents_say_what_happens_to_which_project(project: Database, request: pytest.FixtureRequest) -> None:
    name = request.node.callspec.params["project"]
    outcome, remedies = result(project.connection)
    ending = f" (`{name}`) | {outcome} | {remedies} |".replace("|  |", "| |")
    description = PROJECTS[name].read_text(encoding="utf-8").splitlines()[0].removeprefix("-- ")
    assert f"| {description}{ending}" in (DOCUMENTS / "preflight.md").read_text(encoding="utf-8").splitlines()
    for english, korean in IN_KOREAN.items():
        ending = ending.replace(english, korean)
    assert f"{ending}\n" in (DOCUMENTS / "preflight.ko.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("project", ["few_columns", "guide", "only_payments", "with_zones"], indirect=True)
def test_a_project_goes_back_and_could_push_again(project: Database) -> None:
    """In the words of the document."""
    rows = project.rows("select id, order_id, amount from payments order by id")
    push(project.connection)
    (statements,) = re.findall(r"```sql\n(.*?)```", (DOCUMENTS / "preflight.md").read_text(encoding="utf-8"), re.DOTALL)
    project.connection.execute(statements)
    assert project.rows("select id, order_id, amount from payments order by id") == rows
    project.insert_payment(order_id="after", payment_key="after")
    project.connection.execute("insert into webhook_events (event_type, payload) values ('PAYMENT', '{}')")
    assert obstacles(project.connection) == []
    push(project.connection)
    assert set(stored(project)) == {"processed"}
