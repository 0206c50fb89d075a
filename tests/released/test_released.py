"""The functions that releases call still answer them. `python -m scripts.release cut` records what they call."""

import copy
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import psycopg
import pytest

from scripts.local_stack import LocalPostgres
from scripts.release import Checkout
from supatoss.store.client import Function
from tests.database.conftest import postgres  # noqa: F401 - the fixture
from tests.database.support import Database
from tests.released.calls import Call, differences, play, record
from tests.released.kept import recordings

NewDatabase = Callable[[], AbstractContextManager[Database]]


@pytest.fixture(scope="module")
def new_database(postgres: LocalPostgres) -> NewDatabase:  # noqa: F811 - the fixture
    names = (f"released_{number}" for number in range(100))

    @contextmanager
    def create() -> Iterator[Database]:
        dsn = postgres.create_database(next(names), template="template_migrated")
        with psycopg.connect(dsn, autocommit=True) as connection:
            yield Database(connection, dsn)

    return create


@pytest.fixture(scope="module")
def calls(new_database: NewDatabase) -> list[Call]:
    with new_database() as database:
        as_kept: list[Call] = json.loads(json.dumps(record(database)))
        return as_kept


def test_what_every_release_called_is_answered_as_then(new_database: NewDatabase) -> None:
    kept = dict(recordings())
    newest = list(Checkout().released())[-1:]
    assert set(newest) <= kept.keys()
    for version, calls in kept.items():
        with new_database() as database:
            assert (version, play(database, calls)) == (version, [])


def test_a_recording_has_every_function_and_is_the_same_on_another_database(
    calls: list[Call], new_database: NewDatabase
) -> None:
    assert {call["function"] for call in calls} == set(Function)
    with new_database() as database:
        assert play(database, calls) == []


def test_the_story_is_told_without_errors(calls: list[Call]) -> None:
    refused = {call["function"] for call in calls if isinstance(call["answer"], dict) and "sqlstate" in call["answer"]}
    told = {call["function"] for call in calls} - refused
    assert {Function.RECORD_EVENTS, Function.CLAIM_EVENTS, Function.FINISH_EVENT, Function.REPAIR_PAYMENT} <= told


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (f"drop function public.{Function.KNOWN_ORDERS}", f"{Function.KNOWN_ORDERS}: the answer is an object"),
        (f"revoke execute on function public.{Function.READ_KNOWN_KEYS} from service_role", "the answer lacks"),
        (
            f"""alter function public.{Function.OPS_PAYMENT} rename to other;
                create function public.{Function.OPS_PAYMENT}(p_order_id text) returns jsonb language sql
                as $$ select public.other(p_order_id) - 'payment' $$;
                grant execute on function public.{Function.OPS_PAYMENT}, public.other to service_role""",
            "lacks ['payment']",
        ),
    ],
)
def test_a_schema_that_breaks_a_caller_is_noticed(
    calls: list[Call], new_database: NewDatabase, change: str, said: str
) -> None:
    with new_database() as database:
        database.connection.execute(change)
        found = play(database, calls)
        assert any(said in line for line in found), found


ANSWER = {"id": "a", "rows": [{"status": "failed", "count": 1, "at": None}], "is_ours": True}


@pytest.mark.parametrize(
    ("spoil", "lines"),
    [
        (lambda answer: answer.update(at="2026-03-14"), 0),  # a field more, which a caller of today leaves out
        (lambda answer: answer.pop("id"), 1),
        (lambda answer: answer.update(id=1), 1),
        (lambda answer: answer.update(is_ours=1), 1),
        (lambda answer: answer["rows"].clear(), 1),
        (lambda answer: answer["rows"][0].update(status="pending"), 1),
        (lambda answer: answer["rows"][0].update(count="1"), 1),
        (lambda answer: answer["rows"][0].update(at="2026-03-14"), 0),  # was empty, and is filled
        (lambda answer: answer.update(id="b"), 0),
    ],
)
def test_what_counts_as_another_answer(spoil: Callable[[dict[str, object]], object], lines: int) -> None:
    answer = copy.deepcopy(ANSWER)
    spoil(answer)
    assert len(list(differences(ANSWER, answer))) == lines
