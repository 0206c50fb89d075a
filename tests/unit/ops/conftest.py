import pytest

from tests.unit.ops.office import Office


@pytest.fixture
def office() -> Office:
    return Office()
