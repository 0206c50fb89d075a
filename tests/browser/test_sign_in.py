from playwright.sync_api import expect

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


def test_whoever_mistypes_is_not_locked_out(operator_with: MakeOperator) -> None:
    operator = operator_with(is_signed_in=False)
    page = operator.go("/ops/")
    for _ in range(6):
        operator.sign_in("not the password")
        expect(page.get_by_role("alert")).to_have_text("Wrong password.")
    operator.sign_in()
    page.wait_for_url("**/ops/")


def test_a_copied_cookie_is_worth_nothing_after_signing_out(operator_with: MakeOperator) -> None:
    operator = operator_with(has_own_session=True)
    thief = operator_with(storage_state=operator.page.context.storage_state(), is_signed_in=False)
    expect(thief.go("/ops/events").get_by_role("heading", level=1)).to_have_text("Events")
    operator.page.get_by_role("button", name="Sign out").click()
    expect(operator.page.get_by_role("status").filter(has_text="You are signed out")).to_be_visible()
    expect(thief.go("/ops/events").get_by_role("heading", level=1)).to_have_text("Sign in")


def test_the_sessions_are_listed(operator_with: MakeOperator) -> None:
    operator = operator_with(has_own_session=True)
    page = operator.page
    page.get_by_role("link", name="operator", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sessions")
    expect(page.get_by_text("this browser", exact=True)).to_be_visible()
    operator.shot("sessions")


def test_without_the_database_nobody_signs_in(operator_with: MakeOperator, other_service: str) -> None:
    operator = operator_with(is_signed_in=False, url=other_service)
    operator.go("/ops/")
    operator.sign_in()
    operator.shot("store-away")
    expect(operator.page.get_by_role("heading", level=1)).to_have_text("The database does not respond")
    expect(operator.page.get_by_role("link", name="Try again")).to_be_visible()
