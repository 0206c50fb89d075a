"""How the suite is shared out among processes (`make test`), and how many examples its property tests try."""

import pytest
from hypothesis import settings

settings.register_profile("quick", max_examples=60, deadline=None)
settings.register_profile("thorough", max_examples=500, deadline=None)
settings.load_profile("quick")

LONGEST_FIRST = ("faults", "browser", "integration", "stories", "reconcile", "database", "benchmarks")
ONE_STACK = ("browser", "integration", "stories", "reconcile", "database")
"""Folders whose tests share processes: all of a folder run in one process of pytest, which starts them once."""


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in its own
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With `-n`, whole modules or folders go to a process, the longest first: short ones are left for the end."""
    if not hasattr(config, "workerinput"):
        return
    ranks = {folder: rank for rank, folder in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: ranks.get(_folder(item), len(ranks)))
    for item in items:
        folder = _folder(item)
        item.add_marker(pytest.mark.xdist_group(folder if folder in ONE_STACK else item.path.stem))


def _folder(item: pytest.Item) -> str:
    return item.nodeid.split("/")[1]
