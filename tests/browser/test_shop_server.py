"""The example shop's server when things go wrong between it, Toss and the buyer."""

import json
import time
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from tests.browser.storefront import CLIENT_KEY, Storefront

PATIENCE_SECONDS = 20.0


def new_order(storefront: Storefront) -> dict[str, Any]:
    answer = storefront.http.post(f"{storefront.url}/orders")
    assert answer.status_code == 201
    order: dict[str, Any] = answer.json()
    return order


def come_back(storefront: Storefront, order: dict[str, Any], choice: str = "pay", method: str = "CARD") -> str:
    """Where the payment window sends the buyer."""
    here = f"{storefront.url}/orders/{order['orderId']}"
    request = {
        "clientKey": CLIENT_KEY,
        "customerKey": "@@ANONYMOUS",
        "method": method,
        "amount": {"currency": "KRW", "value": order["amount"]},
        "orderId": order["orderId"],
        "orderName": order["orderName"],
        "successUrl": f"{here}/success",
        "failUrl": f"{here}/fail",
    }
    opened = storefront.http.post(f"{storefront.emulator_url}/window", data={"request": json.dumps(request)})
    window = f"{storefront.emulator_url}{opened.headers['location']}"
    return str(storefront.http.post(window, data={"choice": choice}).headers["location"])


def state(storefront: Storefront, order: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = storefront.http.get(f"{storefront.url}/orders/{order['orderId']}/state").json()
    return shown


def until(storefront: Storefront, order: dict[str, Any], status: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (now := state(storefront, order))["status"] != status:
        assert time.monotonic() < deadline, now
        time.sleep(0.05)


def confirmations(storefront: Storefront, order: dict[str, Any]) -> list[dict[str, Any]]:
    calls = storefront.see("calls?path_prefix=/v1/payments/confirm")["calls"]
    return [call for call in calls if json.loads(call["body"])["orderId"] == order["orderId"]]


def test_an_order_is_stored_with_its_price_before_anything_is_paid(storefront: Storefront) -> None:
    order = new_order(storefront)
    row = storefront.row(order["orderId"])
    assert (row["payment_status"], float(row["amount"]), row["payment_key"]) == ("PENDING", 9900, order["orderId"])
    assert state(storefront, order)["isWaiting"]


@pytest.mark.parametrize("change", [{"amount": "100"}, {"amount": "NaN"}, {"amount": ""}, {"paymentKey": ""}])
def test_another_amount_is_never_confirmed(storefront: Storefront, change: dict[str, str]) -> None:
    order = new_order(storefront)
    back = httpx.URL(come_back(storefront, order)).copy_merge_params(change)
    answer = storefront.http.get(back)
    assert (answer.status_code, "주문 금액과 결제 금액이 다릅니다" in answer.text) == (400, True)
    assert confirmations(storefront, order) == []
    assert storefront.row(order["orderId"])["payment_status"] == "PENDING"


def test_toss_is_asked_for_the_stored_price_of_this_order(storefront: Storefront) -> None:
    """A cheap window that is brought back to a dear order's address is refused by Toss."""
    order = new_order(storefront)
    cheap = parse_qsl(urlsplit(come_back(storefront, {**new_order(storefront), "amount": 100})).query)
    query = {**dict(cheap), "amount": "9900"}
    back = storefront.http.get(f"{storefront.url}/orders/{order['orderId']}/success", params=query)
    assert back.status_code == 303
    assert [json.loads(call["body"])["amount"] for call in confirmations(storefront, order)] == [9900]
    assert state(storefront, order)["status"] == "FAILED"


@pytest.mark.parametrize("path", ["", "/state", "/success?paymentKey=k&amount=9900", "/fail?code=X"])
def test_an_unknown_order_is_not_found(storefront: Storefront, path: str) -> None:
    answer = storefront.http.get(f"{storefront.url}/orders/order_nobody{path}")
    assert (answer.status_code, "주문을 찾을 수 없습니다" in answer.text) == (404, True)


def test_the_success_page_twice_pays_once(storefront: Storefront) -> None:
    order = new_order(storefront)
    back = come_back(storefront, order)
    for _ in range(2):
        answer = storefront.http.get(back)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/orders/{order['orderId']}")
    assert [(call["status"], call["replayed"]) for call in confirmations(storefront, order)] == [
        (200, False),
        (200, True),
    ]
    assert state(storefront, order)["status"] == "DONE"


def test_a_repeated_confirmation_does_not_undo_a_cancel(storefront: Storefront) -> None:
    order = new_order(storefront)
    back = come_back(storefront, order)
    storefront.http.get(back)
    storefront.play(f"payments/{httpx.URL(back).params['paymentKey']}/cancel")
    until(storefront, order, "CANCELED")
    storefront.http.get(back)
    assert state(storefront, order)["status"] == "CANCELED"


def test_a_confirmation_whose_answer_is_lost_is_looked_up(storefront: Storefront) -> None:
    order = new_order(storefront)
    back = come_back(storefront, order)
    storefront.play("webhooks/suppress", count=1)
    storefront.play("faults", path_prefix="/v1/payments/confirm", drop=True, after=True)
    assert storefront.http.get(back).status_code == 303
    assert state(storefront, order)["status"] == "DONE"


def test_the_webhook_pays_an_order_about_which_toss_gave_no_answer(storefront: Storefront) -> None:
    order = new_order(storefront)
    back = come_back(storefront, order)
    storefront.play("webhooks/suppress", count=1)
    storefront.play("faults", path_prefix="/v1/payments/confirm", drop=True, after=True)
    storefront.play("faults", path_prefix="/v1/payments/", drop=True)
    assert storefront.http.get(back).status_code == 303
    assert state(storefront, order)["title"] == "결제를 확인하고 있습니다"
    (held,) = storefront.see("deliveries?state=suppressed")["deliveries"][-1:]
    storefront.play(f"deliveries/{held['id']}/resend")
    assert state(storefront, order)["status"] == "DONE"
    assert storefront.row(order["orderId"])["payment_key"] == httpx.URL(back).params["paymentKey"]


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ({"code": "PROVIDER_ERROR"}, "PENDING"),
        ({"code": "FAILED_INTERNAL_SYSTEM_PROCESSING"}, "PENDING"),
        ({"garbage": True, "status": 502}, "PENDING"),
        ({"code": "UNAUTHORIZED_KEY"}, "PENDING"),
        ({"code": "ALREADY_PROCESSED_PAYMENT"}, "PENDING"),
        ({"code": "NOT_FOUND_PAYMENT_SESSION"}, "FAILED"),
    ],
)
def test_only_a_final_answer_of_toss_fails_an_order(storefront: Storefront, fault: dict[str, Any], status: str) -> None:
    order = new_order(storefront)
    back = come_back(storefront, order)
    storefront.play("faults", path_prefix="/v1/payments/confirm", **fault)
    assert storefront.http.get(back).status_code == 303
    assert state(storefront, order)["status"] == status
    assert storefront.http.get(back).status_code == 303, "the buyer tries again"
    assert state(storefront, order)["status"] == "DONE"


def test_a_refused_confirmation_is_kept_with_its_reason(storefront: Storefront) -> None:
    order = new_order(storefront)
    storefront.http.get(come_back(storefront, order, "over-limit"))
    until(storefront, order, "ABORTED")
    assert storefront.row(order["orderId"])["failure_code"] == "REJECT_CARD_PAYMENT"
    assert state(storefront, order)["details"] == [["사유", "한도초과 혹은 잔액부족으로 결제에 실패했습니다."]]


def test_a_paid_order_is_not_paid_again(storefront: Storefront) -> None:
    order = new_order(storefront)
    storefront.http.get(come_back(storefront, order))
    paid = storefront.row(order["orderId"])["payment_key"]
    storefront.http.get(come_back(storefront, order))
    assert [call["status"] for call in confirmations(storefront, order)] == [200, 400]
    row = storefront.row(order["orderId"])
    assert (row["payment_status"], row["payment_key"]) == ("DONE", paid)


def test_the_query_of_the_fail_page_proves_nothing(storefront: Storefront) -> None:
    order = new_order(storefront)
    here = f"{storefront.url}/orders/{order['orderId']}/fail"
    answer = storefront.http.get(here, params={"code": "<b>", "message": "<script>alert(1)</script>"})
    assert answer.status_code == 200
    assert "alert(1)" not in answer.text
    assert storefront.row(order["orderId"])["payment_status"] == "PENDING"
    storefront.http.get(come_back(storefront, order))
    assert storefront.http.get(here).headers["location"] == f"/orders/{order['orderId']}"


def test_a_deposit_is_known_from_the_webhook_alone(storefront: Storefront) -> None:
    order = new_order(storefront)
    back = come_back(storefront, order, method="VIRTUAL_ACCOUNT")
    storefront.http.get(back)
    assert state(storefront, order)["status"] == "WAITING_FOR_DEPOSIT"
    storefront.play(f"payments/{httpx.URL(back).params['paymentKey']}/deposit")
    until(storefront, order, "DONE")
    assert len(confirmations(storefront, order)) == 1
