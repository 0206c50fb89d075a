"""How the tests are shared out among processes (`make test`), how many examples a property gets, and what is undone."""

import logging
import os
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from supatoss import telemetry
from supatoss.cli import dotenv

# A stack that somebody runs in this checkout is no setting of a test.
dotenv.CHECKOUT = None

settings.register_profile("quick", max_examples=60, deadline=None)
settings.register_profile("thorough", max_examples=500, deadline=None)
settings.load_profile("quick")

ONE_STACK = ("browser", "shop", "integration", "stories", "reconcile", "push", "monitoring", "attack", "init")
"""Folders whose tests share processes: all of a folder run in one process of pytest, which starts them once."""

LONGEST_FIRST = ("faults", *ONE_STACK, "canary", "fuzz", "packaging", "merchant", "database", "released", "benchmarks")


def folder_of(test_id: str) -> str:
    return test_id.split("/")[1]


def group_of(test_id: str) -> str:
    """Tests of one group run in one process: those of a module, or of a folder."""
    folder = folder_of(test_id)
    return folder if folder in ONE_STACK else test_id.split("::", maxsplit=1)[0]


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: a fifth of the time, tests wait for a clock or for another process."""
    return (os.cpu_count() or 1) + 1


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    scheduling = LoadScopeScheduling(config, log)
    scheduling._split_scope = group_of
    return scheduling


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The longest groups are given out first: short ones are left for the end."""
    if hasattr(config, "workerinput"):
        ranks = {folder: rank for rank, folder in enumerate(LONGEST_FIRST)}
        items.sort(key=lambda item: ranks.get(folder_of(item.nodeid), len(ranks)))


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
    telemetry._json_level = None
    telemetry.unbind()
