"""One stage for all scenarios."""

from collections.abc import Iterator

import pytest

from tests.drill.stage import Stage, opened_stage


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with opened_stage(tmp_path_factory.mktemp("drill")) as stage:
        yield stage
