"""Sessions of operators, as the functions keep them: one that has ended has ended for every machine."""

import uuid

import pytest

from supatoss.store.sessions import OpenSession
from tests.database.store import DatabaseStore
from tests.database.support import Database

pytestmark = pytest.mark.anyio

ANNA, ANNA_AT_HOME, BEN = (str(uuid.uuid4()) for _ in range(3))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def store(database: Database) -> DatabaseStore:
    store = DatabaseStore(database)
    for session, operator in ((ANNA, "anna"), (ANNA_AT_HOME, "anna"), (BEN, "ben")):
        await store.open_session(session, operator, "203.0.113.7", 3600)
    return store


async def still_open(store: DatabaseStore) -> set[str]:
    found = {session for session in (ANNA, ANNA_AT_HOME, BEN) if await store.read_session(session)}
    assert found == {session.id for session in await store.list_sessions()}
    return found


async def test_a_session_knows_its_operator_and_since_when_the_password_is_known(
    database: Database, store: DatabaseStore
) -> None:
    assert await store.read_session(ANNA) == OpenSession("anna", 0.0)  # the transaction's time
    database.connection.execute("update supatoss.operator_sessions set confirmed_at = now() - interval '11 minutes'")
    assert await store.read_session(ANNA) == OpenSession("anna", 660.0)
    await store.confirm_session(ANNA)
    assert await store.read_session(ANNA) == OpenSession("anna", 0.0)
    assert await store.read_session(BEN) == OpenSession("ben", 660.0)


async def test_a_session_that_nobody_opened_is_none(store: DatabaseStore) -> None:
    assert await store.read_session(str(uuid.uuid4())) is None


async def test_a_session_ends_by_itself(database: Database, store: DatabaseStore) -> None:
    database.connection.execute("update supatoss.operator_sessions set expires_at = now() where id = %s", [ANNA])
    assert await still_open(store) == {ANNA_AT_HOME, BEN}


async def test_one_of_an_operator_all_of_an_operator_and_all_can_be_ended(
    database: Database, store: DatabaseStore
) -> None:
    assert await store.end_sessions(session_id=ANNA) == 1
    assert await still_open(store) == {ANNA_AT_HOME, BEN}
    assert await store.end_sessions(session_id=ANNA) == 0
    assert await store.end_sessions(operator="anna", ended_by="anna") == 1
    assert await still_open(store) == {BEN}
    assert await store.end_sessions(ended_by="kim@desk") == 1
    assert await still_open(store) == set()
    rows = database.rows("select operator, address, ended_by from supatoss.operator_sessions order by ended_by")
    assert rows == [
        {"operator": "anna", "address": "203.0.113.7", "ended_by": "anna"},
        {"operator": "ben", "address": "203.0.113.7", "ended_by": "kim@desk"},
        {"operator": "anna", "address": "203.0.113.7", "ended_by": None},
    ]


async def test_a_session_that_has_ended_is_not_opened_again_nor_confirmed(store: DatabaseStore) -> None:
    await store.end_sessions(session_id=ANNA)
    await store.open_session(ANNA, "anna", "203.0.113.7", 3600)  # the second try of a call whose answer was lost
    await store.confirm_session(ANNA)
    assert ANNA not in await still_open(store)


async def test_sessions_of_long_ago_are_forgotten(database: Database, store: DatabaseStore) -> None:
    database.connection.execute("update supatoss.operator_sessions set created_at = now() - interval '91 days'")
    newest = str(uuid.uuid4())
    await store.open_session(newest, "anna", "x" * 500, 3600)
    (row,) = database.rows("select id::text, length(address) as length from supatoss.operator_sessions")
    assert row == {"id": newest, "length": 100}
