"""Pictures of every page of the operators, in both languages, both themes and two widths.

    python -m tests.browser.screenshots [NAME …]

They come to build/screenshots/PAGE-LANGUAGE-THEME-WIDTH.png.
"""

import itertools
import sys
import tempfile
from pathlib import Path
from typing import Literal

import httpx
from playwright.sync_api import Browser, Page

from scripts.local_stack import ROOT
from tests.browser.chromium import running_chromium
from tests.browser.pages import pages_of
from tests.browser.scene import Shop
from tests.browser.stage import NARROW, PASSWORD, WIDE, running_project, running_shop

FOLDER = ROOT / "build" / "screenshots"
LOCALES = {"en": "en-US", "ko": "ko-KR"}
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def main(names: list[str]) -> int:
    """Takes the pictures of these pages, or of all."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        httpx.Client(trust_env=False, timeout=20.0) as http,
        running_project(Path(folder)) as project,
        running_shop(project, http, Path(folder) / "service.log") as shop,
        running_chromium() as browser,
    ):
        number = take_all(browser, shop, names)
    print(f"{number} pictures in {FOLDER.relative_to(ROOT)}")  # noqa: T201 - the command's own answer
    return 0


def take_all(browser: Browser, shop: Shop, names: list[str]) -> int:
    """Takes the pictures; how many."""
    pages = {name: path for name, path in pages_of(shop).items() if not names or name in names}
    number = 0
    for (language, locale), theme, size in itertools.product(LOCALES.items(), THEMES, (WIDE, NARROW)):
        context = browser.new_context(viewport=size, locale=locale, color_scheme=theme, reduced_motion="reduce")
        page = context.new_page()
        look = f"{language}-{theme}-{size['width']}"
        page.goto(f"{shop.url}/ops/")
        if not names or "sign-in" in names:
            number += _take(page, "sign-in", look)
        page.locator("#password").fill(PASSWORD)
        page.locator("main form button").click()
        page.wait_for_url("**/ops/")
        for name, path in pages.items():
            page.goto(f"{shop.url}{path}")
            number += _take(page, name, look)
        if not names or "repairs" in names:
            page.goto(f"{shop.url}/ops/reconciliations")
            page.locator("button[value=dry_run]").first.click()
            page.locator("h2").first.wait_for()
            number += _take(page, "repairs", look)
        if size is NARROW and (not names or "menu" in names):
            page.locator(".menu-button").click()
            number += _take(page, "menu", look, is_whole=False)
        context.close()
    return number


def _take(page: Page, name: str, look: str, *, is_whole: bool = True) -> int:
    page.wait_for_load_state("networkidle")
    page.screenshot(path=FOLDER / f"{name}-{look}.png", full_page=is_whole)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
