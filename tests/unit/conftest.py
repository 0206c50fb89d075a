import logging
from collections.abc import Iterator

import pytest
import structlog

from tests.unit.fakes import LogLines, Service


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Undoes configure_logging, whose handler writes to the standard output that one test had."""
    names = [None, "httpx", "httpcore", "hpack", "uvicorn", "uvicorn.error", "uvicorn.access"]
    before = [(logger := logging.getLogger(name), logger.handlers[:], logger.level, logger.propagate) for name in names]
    yield
    for logger, handlers, level, propagate in before:
        logger.handlers[:] = handlers
        logger.setLevel(level)
        logger.propagate = propagate
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def lines(service: Service) -> LogLines:
    return service.log_output()
