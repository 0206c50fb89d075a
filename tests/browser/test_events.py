"""The list of events that stays fresh, its search, the page of an event, and many events at once."""

import datetime as dt
import json
import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import MakeOperator, Operator
from tests.browser.scene import Shop
from tests.browser.stage import NARROW, PASSWORD
from tests.browser.test_actions import _mismatch

REFRESH_MILLISECONDS = 12_000


def _search(page: Page, text: str) -> None:
    page.get_by_label("Order, amount, customer or key").fill(text)
    page.get_by_label("Order, amount, customer or key").press("Enter")


def test_new_events_appear_by_themselves_and_the_time_is_true(operator: Operator, shop: Shop) -> None:
    operator.page.clock.install()
    page = operator.go("/ops/events")
    expect(page.locator("[data-live-state=on]")).to_be_visible()
    page.get_by_label("Order, amount, customer or key").focus()
    shop.deliver(shop.payment("order-appears-0001", "DONE", 0))
    page.clock.run_for(REFRESH_MILLISECONDS)
    expect(page.locator("#results")).to_contain_text("order-appears-0001")
    stored = dt.datetime.fromisoformat(shop.row("webhook_events?order_id=eq.order-appears-0001")["created_at"])
    shown = dt.datetime.fromisoformat(page.locator(".live time").get_attribute("datetime") or "")
    assert shown >= stored.replace(microsecond=0)
    expect(page.get_by_label("Order, amount, customer or key")).to_be_focused()
    expect(page.locator("#live")).to_be_empty()


def test_the_list_waits_while_events_are_ticked_and_keeps_what_it_has_when_it_cannot_refresh(
    operator: Operator, shop: Shop
) -> None:
    _mismatch(shop, "order-ticked-0001")
    operator.page.clock.install()
    page = operator.go("/ops/events?status=failed")
    page.locator("input.tick").first.check()
    expect(page.locator("[data-live-state=paused]")).to_be_visible()
    shown = page.locator(".live time").get_attribute("datetime")
    page.clock.run_for(REFRESH_MILLISECONDS)
    expect(page.locator("input.tick").first).to_be_checked()
    page.locator("input.tick").first.uncheck()
    page.evaluate("document.activeElement.blur()")
    page.route("**/ops/events?status=failed", lambda route: route.fulfill(status=503, body="<p>away</p>"))
    page.clock.run_for(REFRESH_MILLISECONDS)
    expect(page.locator("[data-live-state=failed]")).to_be_visible()
    expect(page.locator("#results")).to_contain_text("order-ticked-0001")
    assert page.locator(".live time").get_attribute("datetime") == shown


def test_an_order_is_found_by_a_part_an_amount_and_a_name(operator: Operator) -> None:
    page = operator.go("/ops/events")
    for text, found in (
        ("amount-0001", "order-amount-0001"),
        ("parts-00", "order-parts-0001"),
        ("US$12.34", "order-paypal-0001"),
        ("82,935", "order-parts-0001"),
        ("캠핑 의자 외", "order-parts-0001"),
        ("customer_123", "BILLING_KEY_ISSUED"),
    ):
        _search(page, text)
        expect(page.locator("#results tbody tr").first).to_contain_text(found)
        expect(page.locator("#results tbody tr").filter(has_text="order-twice")).to_have_count(0)


def test_filters_keep_the_search_and_nothing_found_says_what_was_searched(operator: Operator) -> None:
    page = operator.go("/ops/events")
    _search(page, "order-parts")
    expect(page.locator("#results tbody tr")).to_have_count(5)
    page.get_by_label("Status").select_option("failed")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("#results")).to_contain_text("Searched for “order-parts” in order ids")
    expect(page.locator("#results")).to_contain_text("Other conditions: Failed")
    assert "q=order-parts" in page.url
    page.get_by_role("link", name="Search only for “order-parts”").click()
    expect(page.locator("#results tbody tr")).to_have_count(5)


def test_an_id_or_its_beginning_opens_the_event_as_a_whole_page(operator_with: MakeOperator, shop: Shop) -> None:
    event = shop.row("webhook_events?order_id=eq.order-paypal-0001")["id"]
    for options in ({}, {"java_script_enabled": False}):
        for text in (event, event[:13]):
            page = operator_with(**options).go("/ops/events")
            _search(page, text)
            page.wait_for_url(f"**/ops/events/{event}")
            expect(page.get_by_role("heading", level=1)).to_have_count(1)
            expect(page.locator(".payload")).to_be_visible()


def test_the_problem_comes_first_in_the_readers_language(operator_with: MakeOperator, shop: Shop) -> None:
    event = shop.row("webhook_events?order_id=eq.order-amount-0001")["id"]
    operator = operator_with(locale="ko-KR", viewport=NARROW)
    page = operator.go(f"/ops/events/{event}")
    expect(page.locator(".figures")).to_have_text("토스 ₩9,900 · 저장 ₩99,000 · 차이 ₩89,100")
    expect(page.locator(".figures")).to_be_in_viewport()
    operator.shot("problem-narrow-ko", is_whole=True)
    primary = page.locator("aside .button:not(.button--plain, .button--quiet)")
    expect(primary).to_have_text("토스에서 확인")


def test_a_double_charge_leads_to_the_cancel_at_toss(operator: Operator, shop: Shop) -> None:
    event = shop.row("webhook_events?order_id=eq.order-twice-0001&status=eq.failed")["id"]
    page = operator.go(f"/ops/events/{event}")
    expect(page.locator(".figures")).to_contain_text("charged twice: ₩37,400 · this payment: tdestsecond0000002")
    primary = page.locator("aside .button:not(.button--plain, .button--quiet)")
    expect(primary).to_have_attribute("href", "https://app.tosspayments.com/")
    expect(page.locator("#payment-key")).to_have_text("tdestsecond0000002")


def test_json_is_in_toss_s_order_and_can_be_copied(operator_with: MakeOperator, shop: Shop) -> None:
    event = shop.row("webhook_events?order_id=eq.order-amount-0001")["id"]
    operator = operator_with(permissions=["clipboard-read", "clipboard-write"])
    page = operator.go(f"/ops/events/{event}")
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
    assert list(copied["data"])[:5] == ["mId", "paymentKey", "orderId", "orderName", "status"]
    assert copied["data"]["secret"] == "[masked]"


def test_each_delivery_is_listed(operator: Operator, shop: Shop) -> None:
    event = shop.row("webhook_events?order_id=eq.order-amount-0001")["id"]
    page = operator.go(f"/ops/events/{event}")
    rows = page.get_by_role("table", name="Deliveries").locator("tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.nth(2)).to_contain_text("200 stored")
    expect(rows.nth(0)).to_contain_text("200 duplicate")
    expect(rows.nth(0)).to_contain_text("python-httpx")


def test_ignoring_can_be_undone(operator: Operator, shop: Shop) -> None:
    event = _mismatch(shop, "order-undone-0001")
    page = operator.go(f"/ops/events/{event}")
    page.get_by_label("Reason for ignoring").fill("by mistake")
    page.get_by_role("button", name="Ignore").click()
    expect(page.locator("[data-focus]")).to_contain_text("Ignored")
    expect(page.locator(".figures")).to_have_text("by operator · by mistake")
    page.get_by_role("button", name="Undo ignore").click()
    expect(page.locator("[data-focus]")).to_contain_text("No longer ignored")
    expect(page.locator("aside .timeline")).to_contain_text("Ignore undone")
    row = shop.row(f"webhook_events?id=eq.{event}")
    assert (row["status"], row["reason"]) == ("failed", "amount_mismatch")


def test_ticked_events_are_tried_confirmed_with_the_password_and_done_once(
    operator_with: MakeOperator, shop: Shop
) -> None:
    events = [_mismatch(shop, f"order-many-000{number}") for number in range(3)]
    for number in range(2):
        shop.api("PATCH", f"payments?order_id=eq.order-many-000{number}", json={"amount": 990})
    operator = operator_with(has_own_session=True)
    page = operator.go("/ops/events?q=order-many-")
    page.locator("[data-tick-all] input").check()
    expect(page.locator("[data-ticked]")).to_have_text("(3)")
    page.get_by_role("button", name="Replay…").click()
    page.wait_for_url("**/ops/events/bulk/*")
    expect(page.get_by_role("heading", level=1)).to_have_text("Replay 3 events")
    expect(page.locator(".sums")).to_contain_text("2 Processed")
    expect(page.locator(".sums")).to_contain_text("1 Failed Amount mismatch")
    operator.shot("bulk-tried", is_whole=True)
    assert shop.row(f"webhook_events?id=eq.{events[0]}")["status"] == "failed"

    (newest,) = shop.api("GET", "peek_operator_sessions?order=created_at.desc&limit=1").json()
    shop.api("PATCH", f"peek_operator_sessions?id=eq.{newest['id']}", json={"confirmed_at": "2026-01-01T00:00:00Z"})
    page.reload()
    page.get_by_role("button", name="Replay 3 events").click()
    expect(page.get_by_label("Your password")).to_be_focused()  # the browser asks for it
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="Replay 3 events").click()
    expect(page.locator(".head")).to_contain_text("Finished.")
    expect(page.locator("tbody tr").first).to_contain_text("Failed")  # what needs a look comes first
    operator.shot("bulk-done", is_whole=True)
    assert [shop.row(f"webhook_events?id=eq.{event}")["status"] for event in events] == ["processed"] * 2 + ["failed"]

    page.go_back()
    page.reload()
    expect(page.locator(".head")).to_contain_text("Finished.")
    expect(page.get_by_role("button", name=re.compile("Replay"))).to_have_count(0)
    trail = shop.api("GET", f"peek_operator_actions?event_id=in.({','.join(events)})").json()
    assert sorted(action["event_id"] for action in trail) == sorted(events)


def test_a_form_that_is_sent_twice_does_it_once(operator: Operator, shop: Shop) -> None:
    event = _mismatch(shop, "order-twofold-0001")
    page = operator.go("/ops/events?q=order-twofold-0001")
    page.locator("input.tick").check()
    page.get_by_role("button", name="Ignore…").click()
    form = page.locator("form[action$='/apply']")
    fields: dict[str, str | float | bool] = {
        "csrf": form.locator("input[name=csrf]").get_attribute("value") or "",
        "reason": "sent twice",
    }
    path = f"{operator.url}{form.get_attribute('action')}"
    for _ in range(2):
        assert page.request.post(path, form=fields, max_redirects=0).status == 303
    page.reload()
    expect(page.locator(".head")).to_contain_text("Finished.")
    assert shop.row(f"peek_operator_actions?event_id=eq.{event}")["reason"] == "sent twice"


def test_all_that_match_a_filter_without_javascript(operator_with: MakeOperator, shop: Shop) -> None:
    events = [_mismatch(shop, f"order-filter-000{number}") for number in range(2)]
    operator = operator_with(java_script_enabled=False, viewport=NARROW, locale="ko-KR")
    page = operator.go("/ops/events?q=order-filter-&status=failed")
    page.get_by_label("조회 조건에 맞는 실패·대기 이벤트 전체").check()
    operator.shot("events-bulk-narrow-ko", is_whole=True)
    page.get_by_role("button", name="무시…").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("이벤트 2건 무시")
    page.get_by_label("무시하는 이유").fill("테스트 주문")
    page.get_by_role("button", name="2건 무시").click()
    expect(page.locator(".head")).to_contain_text("완료했습니다")
    assert [shop.row(f"webhook_events?id=eq.{event}")["reason"] for event in events] == ["operator"] * 2
    page.get_by_role("link", name="이벤트로 돌아가기").click()
    expect(page.locator("#results")).to_contain_text("조회 결과가 없습니다")


def test_nothing_ticked_is_said(operator: Operator) -> None:
    page = operator.go("/ops/events?status=failed")
    page.get_by_role("button", name="Replay…").click()
    expect(page.locator("[data-focus]")).to_have_text("Select at least one event")
    assert "status=failed" in page.url
