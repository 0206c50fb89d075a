import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import MakeOperator, Operator
from tests.browser.scene import Shop
from tests.browser.stage import PASSWORD
from tests.support import SECRET_KEY


def test_the_overview_shows_what_needs_review(operator: Operator) -> None:
    page = operator.go("/ops/")
    tile = page.locator(".tile", has_text="Needs review")
    expect(tile.get_by_role("link")).to_have_text(re.compile(r"\d+"))
    expect(page.locator(".tile", has_text="Pending")).to_contain_text("Oldest: ")
    expect(page.get_by_role("img", name=re.compile("Bar chart by hour"))).to_be_visible()
    expect(page.locator(".chart canvas")).to_be_visible()
    tile.get_by_role("link").click()
    page.wait_for_url("**/ops/events?status=failed")
    expect(page.get_by_role("row")).not_to_have_count(0)


def test_the_chart_says_an_hours_numbers(operator: Operator) -> None:
    page = operator.go("/ops/")
    page.locator(".chart .u-over").hover(position={"x": 600, "y": 60})
    expect(page.locator("#readout")).to_have_text(re.compile(r"\d\d-\d\d \d\d:00\s+·\s+Processed \d+"))
    page.get_by_text("Show numbers").click()
    expect(page.locator("#hours tbody tr")).to_have_count(24)


def test_the_chart_is_in_korean_time_wherever_the_operator_is(operator: Operator) -> None:
    """The browser of these tests stands in New York."""
    page = operator.go("/ops/")
    first = page.locator("#hours tbody tr").first
    seconds = int(first.get_attribute("data-time") or 0)
    hour = (seconds // 3600 + 9) % 24
    expect(first).to_have_attribute("data-label", re.compile(rf" {hour:02d}:00$"))


def test_the_overview_stays_fresh_without_loading_the_page(operator: Operator, shop: Shop) -> None:
    page = operator.go("/ops/")
    before = _number(page, "Events")
    shop.deliver(shop.payment("order-fresh-0001", "DONE", 1))
    page.evaluate("htmx.trigger('#figures', 'refresh')")
    expect(page.locator(".tile", has=page.get_by_text("Events", exact=True)).locator("dd").first).to_have_text(
        str(before + 1)
    )
    expect(page.locator(".chart canvas")).to_be_visible()


def test_a_week_can_be_seen(operator: Operator) -> None:
    page = operator.go("/ops/")
    page.get_by_role("link", name="Last 7 days").click()
    expect(page.get_by_role("link", name="Last 7 days")).to_have_attribute("aria-current", "true")
    expect(page.locator("#hours tbody tr")).to_have_count(168)


def test_events_are_filtered_without_loading_the_page_and_the_address_says_how(operator: Operator) -> None:
    page = operator.go("/ops/events")
    page.evaluate("window.isSamePage = true")
    page.get_by_label("Status").select_option("failed")
    page.get_by_text("More filters").click()
    page.get_by_label("Reason").select_option("double_charge")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("#results tbody tr")).to_have_count(1)
    expect(page.locator("#results tbody tr")).to_contain_text("order-twice-0001")
    expect(page.locator("#live")).to_have_text("Events on this page: 1")
    assert "status=failed" in page.url
    assert page.evaluate("window.isSamePage")
    page.reload()
    expect(page.locator("#results tbody tr")).to_have_count(1)
    expect(page.get_by_label("Reason")).to_be_visible()


def test_going_back_shows_the_events_before_the_filter(operator: Operator) -> None:
    page = operator.go("/ops/events")
    page.get_by_label("Status").select_option("pending")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("#results tbody tr")).to_have_count(1)
    page.go_back()
    expect(page.locator("#results tbody tr")).to_have_count(50)


def test_nothing_that_was_shown_is_kept_in_the_browser(operator: Operator) -> None:
    page = operator.go("/ops/events")
    page.get_by_label("Status").select_option("failed")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("#live")).not_to_be_empty()
    stored = page.evaluate("JSON.stringify({...localStorage, ...sessionStorage})")
    assert "order-" not in stored


def test_older_events_are_a_page_away(operator: Operator) -> None:
    page = operator.go("/ops/events")
    newest = page.locator("#results tbody tr").first.text_content() or ""
    page.get_by_role("link", name="Older events").click()
    expect(page.get_by_role("link", name="Newest")).to_be_visible()
    assert page.locator("#results tbody tr").first.text_content() != newest
    page.get_by_role("link", name="Newest").click()
    expect(page.locator("#results tbody tr").first).to_have_text(newest)


@pytest.mark.parametrize("search", ["order-parts-0001", "tdestorderparts0001a1b2c3"])
def test_an_order_is_found_by_its_id_and_by_its_payment_key(operator: Operator, search: str) -> None:
    page = operator.go("/ops/events")
    page.get_by_label("Order, amount, customer or key").fill(search)
    page.get_by_label("Order, amount, customer or key").press("Enter")
    expect(page.locator("#results tbody tr").first).to_contain_text("order-parts-0001")
    expect(page.locator("#results")).not_to_contain_text("order-twice")


def test_an_invalid_filter_is_explained(operator: Operator) -> None:
    page = operator.go("/ops/events")
    page.get_by_text("More filters").click()
    page.get_by_label("Received from (KST)").fill("2026-11-25T10:00")
    page.get_by_label("Received before (KST)").fill("2026-11-25T09:00")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_role("alert")).to_contain_text("The end of the period must be after its start")


def test_an_event_shows_what_it_did_and_hides_what_is_secret(operator: Operator, shop: Shop) -> None:
    event = shop.row("webhook_events?order_id=eq.order-amount-0001")
    page = operator.go(f"/ops/events/{event['id']}")
    operator.shot("event", is_whole=True)
    expect(page.get_by_role("heading", name="Amount mismatch")).to_be_visible()
    expect(page.locator("main")).to_contain_text("the application stored 99000 KRW")
    expect(page.locator(".payload")).to_contain_text("[masked]")
    assert "ps_order-amount-0001" not in page.content()
    expect(page.locator("section", has_text="Current values")).to_contain_text("₩99,000")
    page.locator(".crumbs").get_by_role("link", name="Timeline of this order").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("order-amount-0001")


def test_a_payment_tells_its_story(operator: Operator) -> None:
    page = operator.go("/ops/payment?order=order-parts-0001")
    operator.shot("payment", is_whole=True)
    steps = page.locator(".timeline > li")
    expect(steps).to_have_count(5)
    expect(steps.nth(0)).to_contain_text("Waiting for deposit")
    expect(steps.nth(1)).to_contain_text("Paid")
    expect(steps.nth(2)).to_contain_text("Cancelled: ₩30,000 · 1개 반품")
    expect(steps.nth(3)).to_contain_text("Remaining: ₩85,500")
    expect(steps.nth(3)).not_to_contain_text("₩30,000")
    expect(steps.nth(4)).to_contain_text("Paid out: ₩82,935")
    expect(page.get_by_role("link", name="Receipt of this payment")).to_have_attribute(
        "href", "https://dashboard.tosspayments.com/receipt/order-parts-0001"
    )


def test_the_overview_leads_to_the_differences_and_what_to_do(operator: Operator) -> None:
    page = operator.go("/ops/")
    page.get_by_role("link", name="Open differences: 3").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Reconciliation")
    findings = page.locator("section", has=page.get_by_role("heading", name="Open differences")).locator("tbody tr")
    expect(findings).to_have_count(3)
    expect(findings.nth(1)).to_contain_text("Status: PENDING")
    expect(findings.nth(1)).to_contain_text("Status: DONE")
    expect(findings.nth(1)).to_contain_text("A repair looks it up at Toss")
    expect(findings.nth(2)).to_contain_text("None of your keys finds this payment")
    runs = page.locator("section", has=page.get_by_role("heading", name="Last runs")).locator("tbody tr")
    expect(runs).to_contain_text("key 2 (…wxyz): UNAUTHORIZED_KEY")
    findings.nth(1).get_by_role("link").click()
    page.wait_for_url("**/ops/payment?order=order-differs-0001")


def test_an_order_that_was_paid_twice_says_what_to_cancel(operator: Operator) -> None:
    page = operator.go("/ops/payment?order=order-twice-0001")
    banner = page.locator(".notice--alarm")
    expect(banner.get_by_role("heading")).to_have_text("Paid twice: ₩37,400 too much")
    expect(banner).to_contain_text("Cancel ₩37,400 of this payment at Toss: tdestsecond0000002")
    expect(banner).to_contain_text("Keep the payment that counts: tdestfirst00000001")
    expect(page.locator(".head strong")).to_have_text("Paid twice")


def test_a_bar_leads_to_its_events(operator: Operator) -> None:
    page = operator.go("/ops/")
    row = page.locator('#hours tbody tr:not([data-processed="0"])').first
    place = row.evaluate("(row) => [...row.parentElement.rows].reverse().indexOf(row)")
    over = page.locator(".chart .u-over")
    box = over.bounding_box()
    assert box
    over.click(position={"x": (place + 0.5) * box["width"] / 24, "y": box["height"] - 4})
    page.wait_for_url("**/ops/events?from=*&until=*&status=processed")
    expect(page.locator("#results tbody tr")).not_to_have_count(0)


def test_a_list_is_saved_as_it_is_filtered(operator: Operator) -> None:
    page = operator.go("/ops/payments?status=PARTIAL_CANCELED")
    with page.expect_download() as download:
        page.get_by_role("link", name=re.compile("Download CSV")).click()
    text = download.value.path().read_text(encoding="utf-8-sig")
    assert [line.split(",")[1] for line in text.splitlines()] == ["Order", "order-parts-0001"]
    assert download.value.suggested_filename.startswith("supatoss-payments-")


def test_health_names_keys_by_merchant_and_never_a_secret(operator: Operator) -> None:
    page = operator.go("/ops/health")
    keys = page.locator("section", has=page.get_by_role("heading", name="Toss secret keys"))
    expect(keys).to_contain_text("tdestiny01")
    expect(keys).to_contain_text("Accepted")
    expect(page.locator("section", has=page.get_by_role("heading", name="Processes"))).to_contain_text("Running")
    assert SECRET_KEY not in page.content()
    assert PASSWORD not in page.content()


def test_dollars_have_cents(operator: Operator) -> None:
    page = operator.go("/ops/payment?order=order-paypal-0001")
    expect(page.locator(".big")).to_have_text("US$12.34")


def test_the_language_can_be_switched_and_stays(operator: Operator) -> None:
    page = operator.go("/ops/events?status=failed")
    page.get_by_role("button", name="한국어").click()
    expect(page.locator("html")).to_have_attribute("lang", "ko")
    expect(page.get_by_role("heading", level=1)).to_have_text("이벤트")
    assert "status=failed" in page.url
    page = operator.go("/ops/")
    expect(page.get_by_role("heading", level=1)).to_have_text("현황")
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def test_a_browser_that_prefers_korean_gets_korean(operator_with: MakeOperator) -> None:
    page = operator_with(locale="ko-KR").go("/ops/")
    expect(page.get_by_role("heading", level=1)).to_have_text("현황")


def test_a_session_that_ended_meanwhile_leads_to_the_sign_in_page(operator: Operator) -> None:
    page = operator.go("/ops/events")
    page.context.clear_cookies()
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url("**/ops/sign-in")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def _tile(page: Page, name: str) -> Locator:
    return page.locator(".tile", has=page.get_by_text(name, exact=True))


def _number(page: Page, name: str) -> int:
    return int(_tile(page, name).locator("dd").first.inner_text().replace(",", ""))
