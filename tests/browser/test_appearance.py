"""Narrow and wide, light and dark, by keyboard, without JavaScript, and for people who do not see the page."""

from typing import Any

import pytest
from playwright.sync_api import expect

from scripts.local_stack import ROOT
from tests.browser.axe import find_violations
from tests.browser.conftest import MakeOperator
from tests.browser.pages import pages_of
from tests.browser.scene import Shop
from tests.browser.stage import NARROW, WIDE

LOOKS: dict[str, dict[str, Any]] = {
    f"{width}-{theme}-{language}": {"viewport": size, "color_scheme": theme, "locale": locale}
    for width, size in (("wide", WIDE), ("narrow", NARROW))
    for theme in ("light", "dark")
    for language, locale in (("en", "en-US"), ("ko", "ko-KR"))
}
QUICK = ("wide-light-en", "narrow-dark-ko")
"""Both widths, themes and languages once; `make slow` tries each with each."""


@pytest.mark.parametrize(
    "look", [look if look in QUICK else pytest.param(look, marks=pytest.mark.slow) for look in LOOKS]
)
def test_every_page_fits_and_axe_finds_nothing(operator_with: MakeOperator, shop: Shop, look: str) -> None:
    # axe itself is a script that the page's policy would refuse; nothing else of the policy is tested here.
    operator = operator_with(is_signed_in=False, bypass_csp=True, **LOOKS[look])
    found: dict[str, list[str]] = {"sign-in": find_violations(operator.go("/ops/sign-in"))}
    operator.sign_in()
    operator.page.wait_for_url("**/ops/")
    for name, path in pages_of(shop).items():
        page = operator.go(path)
        if name in ("overview", "events"):
            page.locator("summary").first.click()
        found[name] = find_violations(page)
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow == 0, f"{name} is wider than the window"
    page = operator.go("/ops/reconciliations")
    page.locator("button[value=dry_run]").first.click()
    expect(page.locator("button[value=apply]")).to_be_visible()
    found["repairs"] = find_violations(page)
    if "narrow" in look:
        operator.page.locator(".menu-button").click()
        found["menu"] = find_violations(operator.page)
    assert {name: problems for name, problems in found.items() if problems} == {}


def test_everything_can_be_read_without_javascript(operator_with: MakeOperator) -> None:
    operator = operator_with(java_script_enabled=False)
    page = operator.go("/ops/")
    expect(page.locator(".chart")).to_be_hidden()
    page.get_by_text("Show numbers").click()
    expect(page.locator("#hours tbody tr").first).to_be_visible()
    operator.shot("overview-without-javascript", is_whole=True)
    page = operator.go("/ops/events")
    page.get_by_label("Status").select_option("failed")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url("**status=failed**")
    page.locator("#results tbody tr").first.get_by_role("link").first.click()
    expect(page.locator(".payload")).to_be_visible()


def test_the_page_can_be_used_by_keyboard(operator_with: MakeOperator) -> None:
    page = operator_with().go("/ops/events")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to content")).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Order, amount, customer or key")).to_be_focused()
    page.keyboard.type("order-parts-0001")
    page.keyboard.press("Enter")
    expect(page.locator("#results tbody tr")).to_have_count(5)
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.getAttribute('href') || document.activeElement.id"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none" or page.evaluate("document.activeElement === document.body")
    event = page.locator("#results tbody tr").first.get_by_role("link").first.get_attribute("href")
    assert event in reached
    assert "status" in reached


def test_dark_is_dark(operator_with: MakeOperator) -> None:
    backgrounds = []
    for scheme in ("light", "dark"):
        page = operator_with(color_scheme=scheme).go("/ops/")
        backgrounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert backgrounds == ["rgb(246, 247, 249)", "rgb(16, 19, 23)"]


def test_the_policy_holds_in_a_browser(operator_with: MakeOperator) -> None:
    """A script or style that got into the page would not run; the browser complains of both."""
    page = operator_with(hears_complaints=False).go("/ops/")
    page.evaluate(
        """() => {
            const script = document.createElement('script');
            script.textContent = 'window.ran = true';
            document.body.append(script);
            document.body.insertAdjacentHTML('beforeend', '<p id="styled" style="color: rgb(1, 2, 3)">x</p>');
        }"""
    )
    assert page.evaluate("window.ran") is None
    assert page.evaluate("getComputedStyle(document.getElementById('styled')).color") != "rgb(1, 2, 3)"


@pytest.mark.parametrize("name", ["overview", "event-failed"])
def test_the_readmes_pictures_are_small(operator_with: MakeOperator, shop: Shop, name: str) -> None:
    """Copies of these are docs/images/ops-overview.png and ops-event.png."""
    operator = operator_with(viewport={"width": 1120, "height": 800})
    page = operator.go(pages_of(shop)[name])
    page.wait_for_load_state("networkidle")
    assert operator.shot(f"readme-{name}").stat().st_size < 200_000
    assert (ROOT / "docs" / "images" / f"ops-{name.removesuffix('-failed')}.png").stat().st_size < 200_000
