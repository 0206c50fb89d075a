import pytest

from tests.unit.fakes import LogLines, Service


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def lines(service: Service) -> LogLines:
    return service.log_output()
