"""The payment window, as a browser goes through it."""

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from tests.emulator.conftest import Play
from tests.support import SECRET_KEY

pytestmark = pytest.mark.anyio

REQUEST: dict[str, Any] = {
    "clientKey": "test_ck_emulator",
    "customerKey": "@@ANONYMOUS",
    "method": "CARD",
    "amount": {"currency": "KRW", "value": 9900},
    "orderId": "ord-000001",
    "orderName": "원두 <1kg>",
    "successUrl": "http://shop.test/orders/1/success?ours=1",
    "failUrl": "http://shop.test/orders/1/fail",
    "windowTarget": "iframe",
}


async def open_window(play: Play, **more: Any) -> httpx.Response:
    """What the SDK does: a form of the shop's page is posted."""
    form = {"request": json.dumps({**REQUEST, **more})}
    return await play.http.post("/window", data=form, headers={"origin": "http://shop.test"})


async def choose(play: Play, opened: httpx.Response, choice: str) -> tuple[str, dict[str, str]]:
    """What the buyer does; the address that the browser comes back to, and its query."""
    answer = await play.http.post(opened.headers["location"], data={"choice": choice})
    assert answer.status_code == 303, answer.text
    back = urlsplit(answer.headers["location"])
    return back._replace(query="").geturl(), dict(parse_qsl(back.query))


async def test_the_script_opens_this_emulators_window(play: Play) -> None:
    answer = await play.http.get("/v2/standard")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "window.TossPayments" in answer.text


async def test_a_paid_window_comes_back_with_what_the_shop_confirms(play: Play) -> None:
    opened = await open_window(play)
    assert opened.status_code == 303
    page = (await play.http.get(opened.headers["location"])).text
    assert "원두 &lt;1kg&gt;" in page
    assert "9,900원" in page
    back, query = await choose(play, opened, "pay")
    assert back == "http://shop.test/orders/1/success"
    assert query == {
        "ours": "1",
        "paymentType": "NORMAL",
        "orderId": "ord-000001",
        "paymentKey": opened.headers["location"].rpartition("/")[2],
        "amount": "9900",
    }
    before = (await play.api("GET", f"payments/{query['paymentKey']}")).json()
    assert (before["status"], before["orderName"]) == ("IN_PROGRESS", "원두 <1kg>")
    await play.told(0)
    confirmed = await play.confirm(before)
    assert (confirmed.status_code, confirmed.json()["status"]) == (200, "DONE")
    await play.told(1)


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        # Toss gives no order id to the shop when the buyer closes the window.
        ("close", {"code": "PAY_PROCESS_CANCELED", "message": "사용자에 의해 결제가 취소되었습니다."}),
        (
            "reject",
            {"code": "REJECT_CARD_COMPANY", "message": "결제 승인이 거절되었습니다.", "orderId": "ord-000001"},
        ),
    ],
)
async def test_a_window_that_fails_changes_nothing(play: Play, choice: str, said: dict[str, str]) -> None:
    opened = await open_window(play)
    assert await choose(play, opened, choice) == ("http://shop.test/orders/1/fail", said)
    payment = (await play.api("GET", f"payments/{opened.headers['location'].rpartition('/')[2]}")).json()
    assert payment["status"] == "READY"
    await play.told(0)


async def test_a_card_over_its_limit_is_refused_at_the_confirmation(play: Play) -> None:
    _, query = await choose(play, await open_window(play), "over-limit")
    refused = await play.confirm({**query, "totalAmount": 9900})
    assert (refused.status_code, refused.json()["code"]) == (403, "REJECT_CARD_PAYMENT")
    (told,) = await play.told(1)
    assert json.loads(told.content)["data"]["status"] == "ABORTED"


async def test_an_account_waits_until_somebody_pays_it(play: Play) -> None:
    _, query = await choose(play, await open_window(play, method="VIRTUAL_ACCOUNT"), "pay")
    assert (await play.confirm({**query, "totalAmount": 9900})).json()["status"] == "WAITING_FOR_DEPOSIT"
    await play.told(2)
    assert query["orderId"] in (await play.http.get("/window/accounts")).text
    paid = await play.http.post("/window/accounts", data={"paymentKey": query["paymentKey"]})
    assert (paid.status_code, paid.headers["location"]) == (303, "/window/accounts")
    await play.told(2)
    assert (await play.api("GET", f"payments/{query['paymentKey']}")).json()["status"] == "DONE"
    assert query["orderId"] not in (await play.http.get("/window/accounts")).text
    assert (await play.http.post("/window/accounts", data={"paymentKey": query["paymentKey"]})).status_code == 409


async def test_a_window_is_used_once(play: Play) -> None:
    opened = await open_window(play)
    await choose(play, opened, "pay")
    assert (await play.http.get(opened.headers["location"])).status_code == 409
    assert (await play.http.post(opened.headers["location"], data={"choice": "pay"})).status_code == 409
    assert (await play.http.get("/window/nobody")).status_code == 404


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"clientKey": SECRET_KEY}, "INVALID_CLIENT_KEY"),
        ({"clientKey": "test_gck_widgets"}, "clientKey"),
        ({"orderId": "short"}, "orderId"),
        ({"amount": 9900}, "amount"),
        ({"amount": {"currency": "KRW", "value": 0}}, "amount"),
        ({"successUrl": "/relative"}, "successUrl"),
        ({"failUrl": "javascript:alert(1)"}, "failUrl"),
    ],
)
async def test_a_wrong_request_opens_nothing(play: Play, wrong: dict[str, Any], named: str) -> None:
    answer = await open_window(play, **wrong)
    assert (answer.status_code, named in answer.text) == (400, True), answer.text
    assert (await play.see(""))["payments"] == 0


async def test_what_is_no_form_opens_nothing(play: Play) -> None:
    assert (await play.http.post("/window", content=b"\xff=&request={")).status_code == 400


async def test_only_windows_are_opened_from_other_sites_and_only_on_this_machine(play: Play) -> None:
    opened = await open_window(play)
    elsewhere = {"origin": "http://shop.test"}
    for path in (opened.headers["location"], "/window/accounts"):
        assert (await play.http.post(path, data={"choice": "pay"}, headers=elsewhere)).status_code == 403
    transport = httpx.ASGITransport(play.emulator.app, client=("192.0.2.1", 1234))
    async with httpx.AsyncClient(transport=transport, base_url="http://toss.test") as http:
        assert (await http.post("/window", data={"request": json.dumps(REQUEST)})).status_code == 403
