"""An operator's main jobs without a pointer: what has the focus is seen, and nothing holds it."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import MakeOperator
from tests.browser.scene import Shop
from tests.browser.stage import NARROW, PASSWORD

MOST_TABS = 120

FOCUSED = """
  const element = document.activeElement;
  const name = (element.getAttribute("aria-label") || element.labels?.[0]?.innerText || element.innerText || "");
  return {
    name: name.replace(/\\s+/g, " ").trim(), tag: element.tagName,
    isSeen: element === document.body || getComputedStyle(element).outlineStyle !== "none",
  };
"""


def focused(page: Page) -> dict[str, str]:
    return dict(page.evaluate(f"() => {{ {FOCUSED} }}"))


def tab_to(page: Page, name: str, tag: str = "", key: str = "Tab") -> None:
    """Tabs on until what has this name has the focus, and sees at each step where it is."""
    passed = []
    for _ in range(MOST_TABS):
        page.keyboard.press(key)
        now = focused(page)
        assert now["isSeen"], now
        passed.append(now["name"])
        if now["name"].startswith(name) and tag in ("", now["tag"]):
            return
    pytest.fail(f"no {name!r} among {passed}")


def test_a_failed_event_is_found_and_tried_out(operator_with: MakeOperator, shop: Shop) -> None:
    page = operator_with(is_signed_in=False).go("/ops/")
    page.keyboard.type(PASSWORD)  # the only field has the focus
    page.keyboard.press("Enter")
    page.wait_for_url("**/ops/")
    tab_to(page, "Skip to content")
    page.keyboard.press("Enter")
    tab_to(page, str(len(shop.api("GET", "webhook_events?select=id&status=eq.failed").json())), "A")
    page.keyboard.press("Enter")
    page.wait_for_url("**/ops/events?status=failed")
    order = page.locator("#results tbody tr").filter(has_text="order-amount-0001")
    expect(order).to_be_visible()
    tab_to(page, "order-amount-0001", "A", key="Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/ops/events/*")
    tab_to(page, "Dry run", "BUTTON")
    page.keyboard.press("Space")
    expect(page.locator("[data-focus]")).to_be_focused()
    expect(page.locator("[data-focus]")).to_contain_text("Dry run")


def test_a_payment_is_searched_for_and_its_order_opened(operator_with: MakeOperator) -> None:
    page = operator_with().go("/ops/")
    tab_to(page, "Payments", "A")
    page.keyboard.press("Enter")
    page.wait_for_url("**/ops/payments")
    tab_to(page, "Skip to content")
    page.keyboard.press("Enter")
    tab_to(page, "Order, name, payment key or amount", "INPUT")
    page.keyboard.type("128,000")
    page.keyboard.press("Enter")
    expect(page.locator("#results tbody tr")).to_have_count(1)
    expect(page.locator("#live")).to_have_text("Rows on this page: 1")
    tab_to(page, "order-parts-0001", "A")
    page.keyboard.press("Enter")
    page.wait_for_url("**/ops/payment?order=order-parts-0001")


def test_a_difference_is_set_aside(operator_with: MakeOperator, shop: Shop) -> None:
    day = shop.row("peek_reconciliation_findings?order_id=eq.order-differs-0000")["day"]
    finding = {"subject": "tdestkeyboard00001", "kind": "missing", "day": day, "order_id": "order-keyboard-0001"}
    run = shop.api("GET", "peek_reconciliations?select=id&limit=1").json()[0]["id"]
    said = {"ours": {}, "theirs": {"status": "DONE", "amount": "1", "currency": "KRW"}, "outcome": "found"}
    shop.api("POST", "peek_reconciliation_findings", json={**finding, **said, "reconciliation_id": run})
    page = operator_with().go("/ops/reconciliations")
    tab_to(page, "Ignore order-keyboard-0001", "SUMMARY")
    page.keyboard.press("Space")
    tab_to(page, "Reason for ignoring", "TEXTAREA")
    page.keyboard.type("paid in cash")
    tab_to(page, "Ignore", "BUTTON")
    page.keyboard.press("Enter")
    expect(page.locator("[data-focus]")).to_contain_text("Ignored")
    assert shop.row("peek_reconciliation_findings?order_id=eq.order-keyboard-0001")["outcome"] == "set_aside"


def test_an_hour_of_the_chart_is_reached_through_its_numbers(operator_with: MakeOperator) -> None:
    page = operator_with().go("/ops/")
    tab_to(page, "Show numbers", "SUMMARY")
    page.keyboard.press("Enter")
    for _ in range(4):
        page.keyboard.press("Tab")
        if focused(page)["tag"] == "A":
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/ops/events?status=*from=*until=*")
    expect(page.locator("#results tbody tr")).not_to_have_count(0)


def test_the_menu_of_a_narrow_screen_opens_and_closes(operator_with: MakeOperator) -> None:
    page = operator_with(viewport=NARROW).go("/ops/events")
    tab_to(page, "Menu", "BUTTON")
    page.keyboard.press("Enter")
    expect(page.locator("#menu")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#menu")).to_be_hidden()
    assert focused(page)["name"] == "Menu"
    page.keyboard.press("Space")
    tab_to(page, "Health", "A")
    page.keyboard.press("Enter")
    page.wait_for_url("**/ops/health")


@pytest.mark.parametrize("path", ["/ops/", "/ops/payments", "/ops/reconciliations", "/ops/runbook"])
def test_nothing_holds_the_focus(operator_with: MakeOperator, path: str) -> None:
    """Tabbing on, one comes to the end of the page, back and forth."""
    page = operator_with().go(path)
    stops = page.evaluate(
        "[...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary,"
        ' [tabindex="0"]\')].filter((element) => element.checkVisibility()).length'
    )
    seen = 0
    for _ in range(stops + 40):  # a date has several fields
        page.keyboard.press("Tab")
        if focused(page)["tag"] == "BODY":
            break
        seen += 1
    assert focused(page)["tag"] == "BODY", f"{seen} steps, and still on the page"
    assert seen >= stops
    page.keyboard.press("Shift+Tab")
    assert focused(page)["tag"] != "BODY"


def test_motion_that_somebody_does_not_want_is_left_out(operator_with: MakeOperator) -> None:
    page = operator_with(reduced_motion="reduce").go("/ops/")
    moving = page.evaluate(
        "[...document.querySelectorAll('*')].filter((element) => {"
        " const style = getComputedStyle(element);"
        " return style.animationName !== 'none' || parseFloat(style.transitionDuration) > 0 }).length"
    )
    assert moving == 0
