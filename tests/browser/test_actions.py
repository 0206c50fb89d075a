"""Replaying and ignoring, with what they leave in the tables."""

from playwright.sync_api import expect

from tests.browser.conftest import MakeOperator, Operator
from tests.browser.scene import Shop


def _mismatch(shop: Shop, order: str) -> str:
    """An order of 9,900 won that Toss reports as 990: the id of its failed event."""
    shop.order(order, 9_900)
    event = shop.deliver(shop.payment(order, "DONE", 5, totalAmount=990))
    assert event["event_status"] == "failed"
    return str(event["event"])


def test_a_replay_repairs_what_was_corrected(operator: Operator, shop: Shop) -> None:
    event = _mismatch(shop, "order-repair-0001")
    page = operator.go(f"/ops/events/{event}")

    page.get_by_role("button", name="Dry run").click()
    expect(page.locator("[data-focus]")).to_contain_text("Dry run: nothing was changed")
    expect(page.locator("[data-focus]")).to_contain_text("Status: Failed. Amount mismatch")
    expect(page.locator("[data-focus]")).to_be_focused()
    assert shop.row(f"webhook_events?id=eq.{event}")["status"] == "failed"

    shop.api("PATCH", "payments?order_id=eq.order-repair-0001", json={"amount": 990})
    page.get_by_role("button", name="Dry run").click()
    expect(page.locator("[data-focus]")).to_contain_text("Status: Processed.")
    assert shop.row("payments?order_id=eq.order-repair-0001")["payment_status"] == "PENDING"

    page.get_by_role("button", name="Replay").click()
    expect(page.locator("[data-focus]")).to_contain_text("Replayed")
    operator.shot("replayed")
    expect(page.locator("h1 + .status")).to_have_text("Processed")
    assert shop.row("payments?order_id=eq.order-repair-0001")["payment_status"] == "DONE"
    expect(page.get_by_text("This event is finished")).to_be_visible()
    expect(page.locator("aside .timeline")).to_contain_text("operator · 127.0.0.1")


def test_ignoring_needs_a_reason_and_keeps_it(operator: Operator, shop: Shop) -> None:
    event = _mismatch(shop, "order-ignore-0001")
    page = operator.go(f"/ops/events/{event}")
    page.get_by_label("Reason for ignoring").fill("   ")
    page.get_by_role("button", name="Ignore").click()
    expect(page.get_by_role("alert")).to_have_text("Enter a reason of 1 to 500 characters.")
    assert shop.row(f"webhook_events?id=eq.{event}")["status"] == "failed"

    reason = "테스트 주문이라 조치하지 않음 <b>굵게</b>"
    page.get_by_label("Reason for ignoring").fill(reason)
    page.get_by_role("button", name="Ignore").click()
    expect(page.locator("[data-focus]")).to_contain_text("Ignored")
    expect(page.locator("aside .timeline")).to_contain_text(reason)
    row = shop.row(f"webhook_events?id=eq.{event}")
    assert (row["status"], row["reason"]) == ("ignored", "operator")
    assert shop.row(f"peek_operator_actions?event_id=eq.{event}")["reason"] == reason


def test_a_difference_is_set_aside_with_a_reason(operator: Operator, shop: Shop) -> None:
    like = shop.row("peek_reconciliation_findings?order_id=eq.order-differs-0002")
    same = {name: like[name] for name in ("reconciliation_id", "kind", "day", "ours", "theirs", "outcome", "reason")}
    order, key = "order-elsewhere-0001", "tpaidelsewhere0001"
    named = {"subject": key, "payment_key": key, "order_id": order}
    shop.api("POST", "peek_reconciliation_findings", json=same | named)
    finding = shop.row(f"peek_reconciliation_findings?order_id=eq.{order}")
    page = operator.go("/ops/reconciliations")
    row = page.get_by_role("row").filter(has_text=order)
    row.locator("summary").click()
    row.get_by_label("Reason for ignoring").fill("   ")
    row.get_by_role("button", name="Ignore").click()
    expect(page.get_by_role("alert")).to_have_text("Enter a reason of 1 to 500 characters.")
    row.get_by_label("Reason for ignoring").fill("계좌이체로 결제함")
    row.get_by_role("button", name="Ignore").click()
    expect(page.locator("[data-focus]")).to_contain_text("Ignored")
    expect(page.get_by_role("table", name="Ignored differences")).to_contain_text("계좌이체로 결제함")
    operator.shot("difference-ignored")
    assert shop.row(f"peek_operator_actions?finding_id=eq.{finding['id']}")["reason"] == "계좌이체로 결제함"


def test_both_work_without_javascript(operator_with: MakeOperator, shop: Shop) -> None:
    event = _mismatch(shop, "order-plain-0001")
    operator = operator_with(java_script_enabled=False)
    page = operator.go(f"/ops/events/{event}")
    page.get_by_role("button", name="Replay").click()
    expect(page.get_by_role("status").filter(has_text="Replayed")).to_contain_text("Status: Failed. Amount mismatch")
    page.get_by_label("Reason for ignoring").fill("a test order")
    page.get_by_role("button", name="Ignore").click()
    expect(page.get_by_role("status").filter(has_text="Ignored")).to_be_visible()
    assert shop.row(f"webhook_events?id=eq.{event}")["status"] == "ignored"


def test_a_form_of_another_session_does_nothing(operator_with: MakeOperator, shop: Shop) -> None:
    event = _mismatch(shop, "order-forged-0001")
    operator = operator_with(java_script_enabled=False)
    page = operator.go(f"/ops/events/{event}")
    page.context.clear_cookies()
    operator.go("/ops/sign-in")
    operator.sign_in()
    stale = operator_with(java_script_enabled=False)
    token = stale.go("/ops/events").locator("input[name=csrf]").first.get_attribute("value") or ""
    answer = page.request.post(
        f"{operator.url}/ops/events/{event}/ignore", form={"csrf": token, "reason": "forged"}, max_redirects=0
    )
    assert answer.status == 403
    assert shop.row(f"webhook_events?id=eq.{event}")["status"] == "failed"


def test_two_operators_at_once_do_it_once(operator_with: MakeOperator, shop: Shop) -> None:
    event = _mismatch(shop, "order-both-0001")
    one, two = operator_with(), operator_with(has_own_session=True)
    one.go(f"/ops/events/{event}")
    two.go(f"/ops/events/{event}")
    one.page.get_by_label("Reason for ignoring").fill("the first of us")
    one.page.get_by_role("button", name="Ignore").click()
    expect(one.page.locator("[data-focus]")).to_contain_text("Ignored")
    two.page.get_by_label("Reason for ignoring").fill("the second of us")
    two.page.get_by_role("button", name="Ignore").click()
    expect(two.page.locator("[data-focus]")).to_contain_text("already applied")
    assert shop.row(f"peek_operator_actions?event_id=eq.{event}")["reason"] == "the first of us"


def test_a_repair_is_shown_before_anything_changes(operator_with: MakeOperator, shop: Shop) -> None:
    page = operator_with().go("/ops/reconciliations")
    page.get_by_role("button", name="Dry run order-differs-0001").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Dry run of a repair")
    expect(page.get_by_role("row").nth(1)).to_contain_text("Status: – → DONE")
    expect(page.get_by_role("row").nth(1)).to_contain_text("Would be repaired")
    expect(page.get_by_role("button", name="Repair 1")).to_be_visible()
    assert shop.api("GET", "payments?order_id=eq.order-differs-0001").json() == []
    finding = shop.row("peek_reconciliation_findings?order_id=eq.order-differs-0001")
    assert finding["outcome"] == "found"
    page.get_by_role("link", name="Back").click()
    page.wait_for_url("**/ops/reconciliations")
