"""One world for all fault tests."""

from collections.abc import Iterator

import pytest

from tests.faults.world import World, running_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running_world(tmp_path_factory.mktemp("faults")) as running:
        yield running
