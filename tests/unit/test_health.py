import asyncio

import pytest
from structlog.testing import capture_logs

from supatoss import health
from supatoss.errors import StoreRefused, StoreUnavailable
from supatoss.store.schema import MIGRATE, SCHEMA_VERSION, sentence
from tests.unit.fakes import Service

pytestmark = pytest.mark.anyio


class Clock:
    """Stands in for time.monotonic."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(health, "time", clock)
    return clock


@pytest.fixture
def service() -> Service:
    return Service()


async def ready(service: Service) -> tuple[int, dict[str, object]]:
    response = await service.send(path="/readyz", method="GET")
    return response.status_code, response.json()


async def test_healthz_needs_no_database(service: Service) -> None:
    service.store.trouble = StoreUnavailable("away")
    response = await service.send(path="/healthz", method="GET")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert service.store.asked_for_version == 0


async def test_ready_when_the_database_has_the_migrations(service: Service) -> None:
    assert await ready(service) == (200, {"status": "ready", "schema_version": SCHEMA_VERSION})


async def test_ready_when_the_database_is_ahead_of_this_release(service: Service) -> None:
    newer = service.store.version = SCHEMA_VERSION + 5
    note = f"the database has schema version {newer}, this release was made for {SCHEMA_VERSION}: update supatoss"
    assert await ready(service) == (200, {"status": "ready", "schema_version": newer, "note": note})


@pytest.mark.parametrize("version", [SCHEMA_VERSION - 1, SCHEMA_VERSION, SCHEMA_VERSION + 5])
async def test_the_log_says_once_that_the_schema_differs(service: Service, clock: Clock, version: int) -> None:
    service.store.version = version
    with capture_logs() as logs:
        for _ in range(3):
            await ready(service)
            clock.now += 10
    differs = sentence(version)
    assert [line["problem"] for line in logs if line["event"] == "schema differs"] == [differs] * bool(differs)


async def test_not_ready_when_the_migrations_are_missing(service: Service) -> None:
    service.store.version = SCHEMA_VERSION - 1
    problem = f"the database has schema version {SCHEMA_VERSION - 1}, this release needs {SCHEMA_VERSION}: {MIGRATE}"
    assert await ready(service) == (503, {"status": "not ready", "problem": problem})


@pytest.mark.parametrize("trouble", [StoreUnavailable("it is away"), StoreRefused("it refuses")])
async def test_not_ready_when_the_store_is_not(service: Service, trouble: Exception) -> None:
    service.store.trouble = trouble
    assert await ready(service) == (503, {"status": "not ready", "problem": str(trouble)})


async def test_not_ready_when_the_database_does_not_answer(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "READY_SECONDS", 0.01)
    service.store.hangs = True
    problem = "the Data API did not answer within 0.01 seconds"
    assert await ready(service) == (503, {"status": "not ready", "problem": problem})


async def test_an_answer_is_shared_for_a_second_and_then_asked_anew(service: Service, clock: Clock) -> None:
    assert (await ready(service))[0] == 200
    service.store.trouble = StoreUnavailable("away")
    for later in (0.0, 0.5, 0.49):
        clock.now += later
        assert (await ready(service))[0] == 200
    assert service.store.asked_for_version == 1
    clock.now += 0.02
    assert (await ready(service))[0] == 503
    service.store.trouble = None
    assert (await ready(service))[0] == 503
    clock.now += 1.01
    assert (await ready(service))[0] == 200
    assert service.store.asked_for_version == 3


async def test_not_ready_when_nothing_can_be_written(service: Service, clock: Clock) -> None:
    service.store.write_trouble = StoreUnavailable("the database's disk is full: SQLSTATE 53100")
    problem = "nothing can be written: the database's disk is full: SQLSTATE 53100"
    assert await ready(service) == (503, {"status": "not ready", "problem": problem})
    service.store.write_trouble = None
    clock.now += 4.9
    assert (await ready(service))[0] == 503
    clock.now += 1.01
    assert (await ready(service))[0] == 200


async def test_a_write_is_tried_at_most_every_five_seconds(service: Service, clock: Clock) -> None:
    for _ in range(21):
        assert (await ready(service))[0] == 200
        clock.now += 0.5
    assert (service.store.asked_for_version, service.store.written) == (7, 2)


async def test_checks_at_the_same_time_ask_once(service: Service, clock: Clock) -> None:
    answers = await asyncio.gather(*(ready(service) for _ in range(20)))
    assert {status for status, _ in answers} == {200}
    assert service.store.asked_for_version == 1
    assert clock.now == 1000


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/backlogz"])
async def test_only_reading_is_allowed(service: Service, path: str) -> None:
    response = await service.send(path=path, method="POST")
    assert response.status_code == 405
    assert set(response.headers["allow"].split(", ")) == {"GET", "HEAD"}
    assert (await service.send(path=path, method="HEAD")).status_code == 200


async def backlog(service: Service) -> tuple[int, dict[str, object]]:
    response = await service.send(path="/backlogz", method="GET")
    return response.status_code, response.json()


@pytest.mark.parametrize(
    ("oldest", "status", "word", "shown"),
    [(None, 200, "ok", None), (0.04, 200, "ok", 0.0), (600.0, 200, "ok", 600.0), (600.3, 503, "behind", 600.3)],
)
async def test_backlog(service: Service, oldest: float | None, status: int, word: str, shown: float | None) -> None:
    service.store.oldest_waiting = oldest
    assert await backlog(service) == (
        status,
        {"status": word, "oldest_waiting_seconds": shown, "limit_seconds": 600},
    )


@pytest.mark.parametrize("trouble", [StoreUnavailable("it is away"), StoreRefused("it refuses")])
async def test_a_backlog_that_cannot_be_seen_is_not_well(service: Service, trouble: Exception) -> None:
    service.store.trouble = trouble
    assert await backlog(service) == (503, {"status": "unknown", "problem": str(trouble)})


async def test_a_backlog_that_nobody_tells_of_is_not_well(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "READY_SECONDS", 0.01)
    service.store.hangs = True
    problem = "the Data API did not answer within 0.01 seconds"
    assert await backlog(service) == (503, {"status": "unknown", "problem": problem})


async def test_the_backlog_is_asked_for_once_a_second(service: Service, clock: Clock) -> None:
    await asyncio.gather(*(backlog(service) for _ in range(20)))
    assert service.store.asked_for_backlog == 1
    clock.now += 1.01
    service.store.oldest_waiting = 601.0
    assert (await backlog(service))[0] == 503
    assert service.store.asked_for_backlog == 2
