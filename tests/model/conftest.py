from collections.abc import Iterator

import pytest
import structlog

from tests.database.conftest import migrated_database, postgres  # noqa: F401 - fixtures of the database's tests
from tests.database.support import Database
from tests.model.bench import Bench
from tests.model.player import clock_of_the_story


@pytest.fixture(scope="session")
def bench(migrated_database: Database) -> Iterator[Bench]:  # noqa: F811 - the fixture
    """One database for every story, and the story's clock in the service."""
    migrated_database.clear()
    with Bench.opened(migrated_database) as bench:
        yield bench


@pytest.fixture
def story_clock() -> Iterator[None]:
    with clock_of_the_story():
        yield
    structlog.reset_defaults()
