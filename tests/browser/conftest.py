"""The page as an operator meets it: a real browser, a real service process, a day's events."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, StorageState, expect

from scripts.local_stack import LOOPBACK, ROOT, LocalSupabase, free_port
from tests.browser.chromium import running_chromium
from tests.browser.scene import Shop
from tests.browser.stage import PASSWORD, SUPABASE_KEY, WIDE, running_project, running_shop
from tests.processes import running_service
from tests.support import SECRET_KEY

SCREENSHOTS = ROOT / ".local" / "screenshots"
PATIENCE_MILLISECONDS = 15_000


expect.set_options(timeout=PATIENCE_MILLISECONDS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test of the folder also waits for the whole stack, and for a shop's day to be delivered."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with running_chromium() as started:
        yield started


@pytest.fixture(scope="package")
def supabase(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSupabase]:
    with running_project(tmp_path_factory.mktemp("supabase")) as lite:
        yield lite


@pytest.fixture(scope="package")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=20.0) as client:
        yield client


@pytest.fixture(scope="package")
def shop(supabase: LocalSupabase, http: httpx.Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    log = tmp_path_factory.mktemp("service") / "service.log"
    with running_shop(supabase, http, log) as day:
        yield day


@pytest.fixture(scope="package")
def session(browser: Browser, shop: Shop) -> StorageState:
    """What the browser of somebody who has signed in keeps."""
    context = browser.new_context()
    operator = Operator(context.new_page(), shop.url)
    operator.open_overview()
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def other_service(tmp_path: Path) -> Iterator[str]:
    """A service of its own whose Supabase project is away."""
    port = free_port()
    settings = {
        "SUPABASE_URL": f"http://{LOOPBACK}:{free_port()}",
        "SUPABASE_SECRET_KEY": SUPABASE_KEY,
        "TOSS_SECRET_KEY": SECRET_KEY,
        "WORKER": "off",
        "OPS_PASSWORD": PASSWORD,
        "PUBLIC_URL": f"http://{LOOPBACK}",  # a browser gets its cookies over plain http
    }
    with running_service(settings, tmp_path / "service.log", port, ready="/healthz") as url:
        yield url


@dataclass
class Operator:
    """A browser of its own, with what an operator does in it."""

    page: Page
    url: str

    def go(self, path: str) -> Page:
        self.page.goto(f"{self.url}{path}")
        return self.page

    def sign_in(self, password: str = PASSWORD) -> None:
        self.page.locator("#password").fill(password)
        self.page.locator("main form button").click()

    def open_overview(self) -> None:
        """Signs in, on the way to it."""
        self.go("/ops/")
        self.sign_in()
        self.page.wait_for_url("**/ops/")

    def shot(self, name: str, *, is_whole: bool = False) -> Path:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        try:
            self.page.screenshot(path=path, full_page=is_whole)
        except Error as error:
            # Chromium, on a busy machine: the page is fine, and the next picture can be taken.
            if "Unable to capture screenshot" not in error.message:
                raise
            self.page.screenshot(path=path, full_page=is_whole)
        return path


MakeOperator = Callable[..., Operator]


@pytest.fixture
def operator_with(browser: Browser, shop: Shop, session: StorageState) -> Iterator[MakeOperator]:
    """Makes operators. What the page says wrong in the console fails the test.

    is_signed_in: in the session that all tests share, or with has_own_session in one of their own.
    """
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def make(
        *,
        is_signed_in: bool = True,
        has_own_session: bool = False,
        url: str = "",
        hears_complaints: bool = True,
        **options: Any,
    ) -> Operator:
        if is_signed_in and not has_own_session:
            options["storage_state"] = session
        context = browser.new_context(
            **{"viewport": WIDE, "locale": "en-US", "timezone_id": "America/New_York", **options}
        )
        context.set_default_timeout(PATIENCE_MILLISECONDS)
        contexts.append(context)
        page = context.new_page()
        if hears_complaints:
            page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: complaints.append(str(error)))
        operator = Operator(page, url or shop.url)
        if is_signed_in and has_own_session:
            operator.open_overview()
        return operator

    yield make
    for context in contexts:
        context.close()
    # The browser and htmx report answers of 4xx and 5xx, which tests ask for.
    expected = ("Failed to load resource", "Response Status Error Code")
    assert [text for text in complaints if not text.startswith(expected)] == []


@pytest.fixture
def operator(operator_with: MakeOperator) -> Operator:
    return operator_with()
