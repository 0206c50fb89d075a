"""A buyer at the example shop, in a real browser: from the product to a paid order."""

import base64
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from scripts.local_stack import ROOT
from tests.browser.axe import find_violations
from tests.shop.conftest import PATIENCE_MILLISECONDS
from tests.shop.storefront import Storefront, order_id_of

PAID, WAITING, REFUSED = "결제가 완료되었습니다", "입금을 기다리고 있습니다", "결제가 승인되지 않았습니다"
PHONE: ViewportSize = {"width": 360, "height": 470}
PICTURE = ROOT / "docs" / "images" / "shop.png"
SCREENSHOTS = ROOT / ".local" / "screenshots"
STEPS = """
<body style="margin: 0; padding: 16px; display: flex; gap: 16px; background: #e5e8eb; width: max-content">
{}
</body>
"""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport=PHONE, locale="ko-KR", timezone_id="Asia/Seoul", bypass_csp=True)
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    complaints: list[str] = []
    made = context.new_page()
    made.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    made.on("pageerror", lambda error: complaints.append(str(error)))
    yield made
    context.close()
    assert complaints == []


def heading(page: Page, text: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(text)


def order(page: Page, storefront: Storefront, method: str = "카드·간편결제") -> None:
    """Up to the payment window."""
    page.goto(storefront.url)
    page.get_by_role("radio", name=method).check()
    page.get_by_role("button", name="결제하기").click()
    heading(page, "결제창")


def test_an_order_is_paid_by_card(page: Page, storefront: Storefront) -> None:
    order(page, storefront)
    page.get_by_role("button", name="결제하기").click()
    heading(page, PAID)
    row = storefront.row(order_id_of(page.url))
    assert (row["payment_status"], row["payment_method"], float(row["amount"])) == ("DONE", "카드", 9900)
    assert row["payment_key"] != row["order_id"]
    page.reload()
    heading(page, PAID)


def test_a_buyer_who_closes_the_window_is_told_and_nothing_changes(page: Page, storefront: Storefront) -> None:
    order(page, storefront)
    page.get_by_role("button", name="결제창 닫기").click()
    heading(page, "결제를 취소했습니다.")
    assert storefront.row(order_id_of(page.url))["payment_status"] == "PENDING"
    page.get_by_role("link", name="다시 주문하기").click()
    heading(page, "원두 1kg")


def test_a_card_that_is_refused_in_the_window_is_told(page: Page, storefront: Storefront) -> None:
    order(page, storefront)
    page.get_by_role("button", name="카드사에서 거절").click()
    heading(page, "카드사에서 결제를 거절했습니다. 다른 카드로 다시 시도해 주세요.")


def test_a_card_that_is_refused_at_the_confirmation_is_told_with_the_reason(page: Page, storefront: Storefront) -> None:
    order(page, storefront)
    page.get_by_role("button", name=re.compile("한도 초과")).click()
    heading(page, REFUSED)
    expect(page.get_by_text("한도초과 혹은 잔액부족으로 결제에 실패했습니다.")).to_be_visible()


def test_an_account_is_paid_later_and_the_open_page_shows_it(page: Page, storefront: Storefront) -> None:
    order(page, storefront, "가상계좌")
    page.get_by_role("button", name="가상계좌 발급받기").click()
    heading(page, WAITING)
    expect(page.get_by_text(re.compile(r"우리은행 X\d{13}"))).to_be_visible()
    page.evaluate("window.isTheSamePage = true")
    with page.expect_popup() as opened:
        page.get_by_role("link", name="테스트 입금하기").click()
    bank = opened.value
    bank.get_by_role("form", name=order_id_of(page.url)).get_by_role("button", name="입금하기").click()
    heading(page, PAID)
    assert page.evaluate("window.isTheSamePage")
    expect(page.get_by_role("link", name="테스트 입금하기")).to_have_count(0)
    assert storefront.row(order_id_of(page.url))["payment_status"] == "DONE"


def test_going_back_from_the_window_leaves_a_button_that_works(page: Page, storefront: Storefront) -> None:
    order(page, storefront)
    page.go_back()
    page.get_by_role("button", name="결제하기").click()
    heading(page, "결제창")


def test_an_order_that_cannot_be_stored_is_told(page: Page, storefront: Storefront) -> None:
    page.goto(storefront.url)
    page.route("**/orders", lambda route: route.fulfill(status=204))
    page.get_by_role("button", name="결제하기").click()
    expect(page.get_by_role("status")).to_have_text("결제창을 열지 못했습니다. 다시 시도해 주세요.")
    expect(page.get_by_role("button", name="결제하기")).to_be_enabled()


def test_axe_finds_nothing_and_the_picture_of_the_readme_is_made(page: Page, storefront: Storefront) -> None:
    """A copy of the picture is docs/images/shop.png."""
    shots: list[bytes] = []

    def look() -> None:
        assert find_violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        shots.append(page.screenshot())

    page.goto(storefront.url)
    page.get_by_role("radio", name="가상계좌").check()
    look()
    page.get_by_role("button", name="결제하기").click()
    heading(page, "결제창")
    look()
    page.get_by_role("button", name="가상계좌 발급받기").click()
    heading(page, WAITING)
    look()
    shown = storefront.row(order_id_of(page.url))["payment_key"]
    storefront.play(f"payments/{shown}/deposit")
    heading(page, PAID)
    look()
    page.goto(storefront.bank_url)
    assert find_violations(page) == []

    images = (f'<img src="data:image/png;base64,{base64.b64encode(shot).decode()}">' for shot in shots)
    page.set_viewport_size({"width": 1520, "height": 502})
    page.set_content(STEPS.format("\n".join(images)))
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.locator("body").screenshot(path=SCREENSHOTS / PICTURE.name)
    for picture in (SCREENSHOTS / PICTURE.name, PICTURE):
        assert picture.stat().st_size < 200_000
