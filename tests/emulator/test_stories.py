"""Stories, the first page, payments that were made up elsewhere, and what is kept while the emulator is stopped."""

import re
from pathlib import Path
from typing import Any

import pytest

from scripts.emulator.app import Emulator
from scripts.emulator.options import Options
from scripts.emulator.state import load, save
from scripts.emulator.stories import STORIES
from supatoss.cli.emulator import Story
from tests.emulator.conftest import Play
from tests.support import SECRET_KEY

pytestmark = pytest.mark.anyio


async def tell(play: Play, story: str, status: int = 200, **body: Any) -> Any:
    return await play.do(f"stories/{story}", body, status)


async def test_a_virtual_account_is_told_in_four_commands(play: Play) -> None:
    asked = await tell(play, "account", orderId="order-0001", amount=50000)
    assert (asked["payment"]["status"], asked["payment"]["totalAmount"]) == ("WAITING_FOR_DEPOSIT", 50000)
    assert [webhook["eventType"] for webhook in asked["webhooks"]] == ["DEPOSIT_CALLBACK", "PAYMENT_STATUS_CHANGED"]
    assert [webhook["status"] for webhook in asked["webhooks"]] == [200, 200]
    assert (await tell(play, "deposit"))["payment"]["status"] == "DONE"
    assert (await tell(play, "deposit-error"))["payment"]["status"] == "WAITING_FOR_DEPOSIT"
    assert (await tell(play, "cancel", orderId="order-0001"))["payment"]["status"] == "CANCELED"


async def test_a_story_without_an_order_is_about_the_newest_that_it_fits(play: Play) -> None:
    first = (await tell(play, "pay"))["payment"]["orderId"]
    second = (await tell(play, "account"))["payment"]["orderId"]
    part = (await tell(play, "cancel", amount=900))["payment"]  # an account that waits is not refunded in part
    assert (part["orderId"], part["status"], part["balanceAmount"]) == (first, "PARTIAL_CANCELED", 9000)
    assert (await tell(play, "cancel"))["payment"]["orderId"] == second


async def test_an_order_is_paid_twice(play: Play) -> None:
    first = (await tell(play, "pay", orderId="order-0001"))["payment"]
    second = (await tell(play, "double-charge"))["payment"]
    assert (second["orderId"], second["status"]) == ("order-0001", "DONE")
    assert second["paymentKey"] != first["paymentKey"]


async def test_every_story_can_be_told_and_the_command_line_knows_each(play: Play) -> None:
    assert {story.name for story in STORIES} | {"lose"} == set(Story)
    for story in STORIES:
        if not story.opens and story.name not in ("cancel", "settle", "double-charge"):
            await tell(play, "account")
        if story.name == "deposit-error":
            await tell(play, "deposit")
        if story.name in ("settle", "double-charge"):
            await tell(play, "pay")
        await tell(play, story.name)


async def test_what_does_not_fit_says_why(play: Play) -> None:
    assert "start with pay or account" in (await tell(play, "deposit", 409))["error"]
    assert "no payment for order-none" in (await tell(play, "deposit", 409, orderId="order-none"))["error"]
    await tell(play, "pay", orderId="order-0001")
    assert "does not fit order-0001, which is DONE" in (await tell(play, "deposit", 409, orderId="order-0001"))["error"]
    assert "there is no story fly: pay, account" in (await tell(play, "fly", 409))["error"]


async def test_a_story_tells_when_its_webhook_is_refused_or_lost(play: Play) -> None:
    play.receiver.answers = [500]
    (refused,) = (await tell(play, "pay"))["webhooks"]
    assert (refused["status"], refused["state"]) == (500, "sending")
    await play.do("webhooks/suppress", {"count": 1})
    (lost,) = (await tell(play, "pay"))["webhooks"]
    assert (lost["status"], lost["state"]) == (None, "suppressed")


async def test_the_first_page_is_text_for_curl(play: Play) -> None:
    await tell(play, "pay", orderId="order-0001")
    text = (await play.http.get("/")).text
    assert "supatoss emulator STORY" in text
    assert "order-0001  9,900 KRW  DONE" in text


@pytest.mark.parametrize(("language", "button"), [("ko-KR,ko", ">입금</button>"), ("en-US,en", ">Deposit</button>")])
async def test_the_first_page_has_a_button_for_each_story_that_fits(play: Play, language: str, button: str) -> None:
    await tell(play, "account", orderId="order-0001")
    headers = {"accept": "text/html", "accept-language": language}
    page = (await play.http.get("/", headers=headers)).text
    assert button in page
    (key,) = re.findall(r'name="payment" value="([^"]+)"', page)
    pressed = await play.http.post("/?lang=ko", data={"story": "deposit", "payment": key}, headers=headers)
    assert (pressed.status_code, pressed.headers["location"]) == (303, "/?lang=ko")
    again = await play.http.post("/?lang=ko", data={"story": "deposit", "payment": key}, headers=headers)
    assert (again.status_code, 'role="alert"' in again.text) == (409, True)
    assert (
        await play.http.post("/", data={"story": "deposit"}, headers={"origin": "http://evil.test"})
    ).status_code == 403


MADE_UP: dict[str, Any] = {
    "paymentKey": "tmade1",
    "orderId": "order-made",
    "status": "DONE",
    "method": "카드",
    "totalAmount": 9900,
    "currency": "KRW",
    "secret": "ps_made1",
    "requestedAt": "2026-11-20T10:00:00+09:00",
    "approvedAt": "2026-11-20T10:01:00+09:00",
    "lastTransactionKey": "txrd_made1",
    "somethingNew": 1,
}
CANCEL = {"transactionKey": "txrd_made2", "cancelAmount": 900, "canceledAt": "2026-11-21T09:00:00+09:00"}


async def transactions(play: Play) -> list[tuple[str, Any]]:
    path = "transactions?startDate=2026-11-20T00:00:00&endDate=2026-11-22T00:00:00"
    return [(row["status"], row["amount"]) for row in (await play.api("GET", path)).json()]


async def test_a_made_up_payment_is_looked_up_and_listed(play: Play) -> None:
    await play.do("known", {"payments": [MADE_UP]})
    assert (await play.api("GET", "payments/tmade1")).json()["secret"] == "ps_made1"
    assert await transactions(play) == [("DONE", 9900)]
    refunded = {**MADE_UP, "status": "PARTIAL_CANCELED", "cancels": [CANCEL]}
    await play.do("known", {"payments": [refunded]})
    assert (await play.api("GET", "payments/orders/order-made")).json()["balanceAmount"] == 9000
    assert await transactions(play) == [("DONE", 9900), ("PARTIAL_CANCELED", 900)]
    assert play.receiver.requests == []


async def test_an_account_that_was_cancelled_before_its_deposit_was_never_approved(play: Play) -> None:
    waiting = {**MADE_UP, "method": "가상계좌", "status": "CANCELED", "approvedAt": None, "lastTransactionKey": None}
    await play.do("known", {"payments": [waiting]})
    payment = (await play.api("GET", "payments/tmade1")).json()
    assert (payment["approvedAt"], payment["balanceAmount"], len(payment["cancels"])) == (None, 0, 1)


async def test_what_is_not_understood_changes_nothing(play: Play) -> None:
    answer = await play.do("known", {"payments": [MADE_UP, {**MADE_UP, "status": "NEW"}]}, 400)
    assert "payments.1.status" in answer["error"]
    assert (await play.see(""))["payments"] == 0


async def test_what_is_known_outlives_the_emulator(play: Play, tmp_path: Path) -> None:
    file = tmp_path / "toss.json"
    await play.do("known", {"payments": [{**MADE_UP, "status": "PARTIAL_CANCELED", "cancels": [CANCEL]}]})
    await play.do("known", {"billingKeys": [{"billingKey": "b", "customerKey": "customer", "isRemoved": True}]})
    await tell(play, "account", orderId="order-0001")
    await play.do("settlements/tmade1", {})
    save(file, play.emulator.merchant)
    assert file.stat().st_mode & 0o077 == 0

    other = Emulator(Options(secret_keys=[SECRET_KEY]))
    try:
        load(file, other.merchant)
        save(tmp_path / "again.json", other.merchant)
        assert (tmp_path / "again.json").read_bytes() == file.read_bytes()
        file.write_text("{")
        load(file, other.merchant)
        load(tmp_path / "missing.json", other.merchant)
        assert other.merchant.count == 2
    finally:
        await other.close()
