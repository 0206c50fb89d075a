from playwright.sync_api import expect

from supatoss.ops.sessions import ATTEMPTS_PER_ADDRESS
from tests.browser.conftest import MakeOperator


def test_signing_in_opens_the_page_that_was_asked_for(operator_with: MakeOperator) -> None:
    operator = operator_with(is_signed_in=False)
    page = operator.go("/ops/events?status=failed")
    expect(page.locator("#password")).to_be_focused()
    operator.shot("sign-in")
    operator.sign_in()
    page.wait_for_url("**/ops/events?status=failed")
    expect(page.get_by_role("heading", level=1)).to_have_text("Events")


def test_a_wrong_password_is_told_and_the_page_stays_closed(operator_with: MakeOperator) -> None:
    operator = operator_with(is_signed_in=False)
    page = operator.go("/ops/")
    operator.sign_in("not the password")
    expect(page.get_by_role("alert")).to_have_text("Wrong password.")
    expect(page.locator("#password")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#password")).to_be_focused()
    operator.go("/ops/events")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_signing_out_closes_the_page(operator_with: MakeOperator) -> None:
    operator = operator_with(has_own_session=True)
    operator.page.get_by_role("button", name="Sign out").click()
    expect(operator.page.get_by_role("status").filter(has_text="You are signed out")).to_be_visible()
    operator.go("/ops/events")
    expect(operator.page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_whoever_guesses_has_to_wait(operator_with: MakeOperator, other_service: str) -> None:
    operator = operator_with(is_signed_in=False, url=other_service)
    page = operator.go("/ops/")
    for _ in range(ATTEMPTS_PER_ADDRESS):
        operator.sign_in("not the password")
        expect(page.get_by_role("alert")).to_have_text("Wrong password.")
    operator.sign_in()
    expect(page.get_by_role("alert")).to_contain_text("Too many attempts")
    operator.shot("throttled")


def test_a_page_without_its_database_says_so(operator_with: MakeOperator, other_service: str) -> None:
    operator = operator_with(has_own_session=True, url=other_service)
    operator.shot("store-away")
    expect(operator.page.get_by_role("heading", level=1)).to_have_text("The database does not respond")
    expect(operator.page.get_by_role("link", name="Try again")).to_be_visible()
