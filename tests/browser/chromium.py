"""Finding Debian's Chromium, and starting it so that it talks to nobody but the page."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--proxy-server=http://127.0.0.1:9",  # nothing answers there: what is not on loopback is not reached
    "--proxy-bypass-list=127.0.0.1;localhost",
    "--font-render-hinting=none",
]


def find_chromium() -> str:
    """The browser: CHROMIUM, else from PATH. Without one the test fails, or is skipped where somebody says why."""
    named = os.environ.get("CHROMIUM")
    found = named or next(filter(None, map(shutil.which, NAMES)), None)
    if found:
        return found
    why = os.environ.get("SKIP_BROWSER_TESTS", "").strip()
    if why and not os.environ.get("CI"):
        pytest.skip(f"no Chromium, and SKIP_BROWSER_TESTS says: {why}")
    pytest.fail(
        "no Chromium on PATH: install it (apt-get install chromium), name it (CHROMIUM=/path/to/chromium), or, "
        "outside of CI, say why the browser tests are not run (SKIP_BROWSER_TESTS='reason')",
        pytrace=False,
    )


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """A browser with an empty profile, until the end of the block."""
    program = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, headless=True, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()
