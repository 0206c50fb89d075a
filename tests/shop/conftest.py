"""The example shop with everything behind it as processes, and a browser to buy in."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.browser.chromium import running_chromium
from tests.shop.storefront import Storefront, running_storefront

PATIENCE_MILLISECONDS = 15_000

expect.set_options(timeout=PATIENCE_MILLISECONDS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test of the folder also waits for everything to start."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with running_chromium() as started:
        yield started


@pytest.fixture(scope="package")
def storefront(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storefront]:
    with (
        httpx.Client(trust_env=False, timeout=20.0) as http,
        running_storefront(tmp_path_factory.mktemp("storefront"), http) as running,
    ):
        yield running
