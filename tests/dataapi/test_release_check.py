"""`supatoss doctor --release` where the database is not what the release needs."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest
import respx

from supatoss.cli.doctor.release import check_release
from supatoss.settings import Settings
from supatoss.store import Store
from supatoss.store.client import Function
from supatoss.store.schema import SCHEMA_VERSION

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("on_respx")]

URL = "https://abcdefgh.supabase.co"
SETTINGS = Settings.load(
    supabase_url=URL,
    supabase_secret_key="sb_secret_made_up_for_tests",
    toss_secret_key=("test_sk_for_the_release_check",),
)
NOT_JSON = httpx.Response(400, json={"code": "22P02", "message": "hidden"})
NOT_KNOWN = httpx.Response(404, json={"code": "PGRST202", "message": "hidden"})
NOT_ALLOWED = httpx.Response(403, json={"code": "42501", "message": "hidden"})
FULL = httpx.Response(500, json={"code": "53100", "message": "hidden"})


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    opened = Store.open(URL, "sb_secret_made_up_for_tests", 3.0)
    yield opened
    await opened.close()


async def check(store: Store, answers: dict[Function, httpx.Response], version: int = SCHEMA_VERSION) -> dict[str, str]:
    """What each check says. Every function refuses its arguments, but for those named."""
    with respx.mock(assert_all_called=False) as api:
        api.post(f"{URL}/rest/v1/rpc/{Function.CHECK_WRITE}").respond(200, json=None)
        api.post(f"{URL}/rest/v1/rpc/{Function.SCHEMA_VERSION}").respond(200, json=version)
        for function, response in answers.items():
            api.post(f"{URL}/rest/v1/rpc/{function}").mock(response)
        api.post(re.compile(".*")).mock(NOT_JSON)
        return {verdict.check: f"{verdict.level} {verdict.message}" for verdict in await check_release(SETTINGS, store)}


async def test_functions_that_refuse_their_arguments_can_be_called(store: Store) -> None:
    found = await check(store, {})
    assert {line.split()[0] for line in found.values()} == {"ok"}


async def test_an_older_schema_stops_the_release_and_nothing_else_is_asked(store: Store) -> None:
    found = await check(store, {}, SCHEMA_VERSION - 1)
    assert found.keys() == {"Data API", "schema"}
    assert found["schema"].startswith(f"failed the database has schema version {SCHEMA_VERSION - 1}")


async def test_a_newer_schema_does_not(store: Store) -> None:
    found = await check(store, {}, SCHEMA_VERSION + 1)
    assert found["schema"].startswith("warning")
    assert found["functions"].startswith("ok")


@pytest.mark.parametrize("answer", [NOT_KNOWN, NOT_ALLOWED, FULL])
async def test_a_function_that_cannot_be_called_is_named(store: Store, answer: httpx.Response) -> None:
    found = await check(store, {Function.FIND_EVENTS: answer})
    assert found["functions"].startswith(f"failed {Function.FIND_EVENTS}: ")


async def test_many_are_not_all_named(store: Store) -> None:
    found = await check(store, dict.fromkeys(set(Function) - {Function.SCHEMA_VERSION}, NOT_KNOWN))
    assert found["functions"].count("_v1: ") == 3
    assert found["functions"].endswith("; …")


async def test_a_database_that_takes_no_rows_stops_it(store: Store) -> None:
    found = await check(store, {Function.CHECK_WRITE: httpx.Response(500, json={"code": "25006", "message": "hidden"})})
    assert found["writing"].startswith("failed nothing can be written: the database is read-only")
