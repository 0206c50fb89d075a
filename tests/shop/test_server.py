"""The servers of examples/shop and examples/nextjs when things go wrong between them, Toss and the buyer."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from scripts.local_stack import LOOPBACK, free_port
from tests.shop.storefront import CLIENT_KEY, Storefront, running_next_routes, running_shop

PATIENCE_SECONDS = 20.0


@pytest.fixture(scope="module", params=["shop", "nextjs"])
def server(
    request: pytest.FixtureRequest, storefront: Storefront, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Storefront]:
    if request.param == "shop":
        yield storefront
        return
    with running_next_routes(tmp_path_factory.mktemp("next"), storefront) as running:
        yield running


def new_order(storefront: Storefront) -> dict[str, Any]:
    answer = storefront.http.post(f"{storefront.orders_url}/orders")
    assert answer.status_code == 201
    order: dict[str, Any] = answer.json()
    return order


def come_back(storefront: Storefront, order: dict[str, Any], choice: str = "pay", method: str = "CARD") -> str:
    """Where the payment window sends the buyer."""
    here = f"{storefront.orders_url}/orders/{order['orderId']}"
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


def test_an_order_is_stored_with_its_price_before_anything_is_paid(server: Storefront) -> None:
    order = new_order(server)
    row = server.row(order["orderId"])
    assert (row["payment_status"], float(row["amount"]), row["payment_key"]) == ("PENDING", 9900, order["orderId"])
    assert state(server, order)["isWaiting"]


@pytest.mark.parametrize("change", [{"amount": "100"}, {"amount": "NaN"}, {"amount": ""}, {"paymentKey": ""}])
def test_another_amount_is_never_confirmed(server: Storefront, change: dict[str, str]) -> None:
    order = new_order(server)
    back = httpx.URL(come_back(server, order)).copy_merge_params(change)
    answer = server.http.get(back)
    assert (answer.status_code, "주문 금액과 결제 금액이 다릅니다" in answer.text) == (400, True)
    assert confirmations(server, order) == []
    assert server.row(order["orderId"])["payment_status"] == "PENDING"


def test_toss_is_asked_for_the_stored_price_of_this_order(server: Storefront) -> None:
    """A cheap window that is brought back to a dear order's address is refused by Toss."""
    order = new_order(server)
    cheap = parse_qsl(urlsplit(come_back(server, {**new_order(server), "amount": 100})).query)
    query = {**dict(cheap), "amount": "9900"}
    back = server.http.get(f"{server.orders_url}/orders/{order['orderId']}/success", params=query)
    assert back.status_code == 303
    assert [json.loads(call["body"])["amount"] for call in confirmations(server, order)] == [9900]
    assert state(server, order)["status"] == "FAILED"


@pytest.mark.parametrize("path", ["", "/state", "/success?paymentKey=k&amount=9900", "/fail?code=X"])
def test_an_unknown_order_is_not_found(storefront: Storefront, path: str) -> None:
    answer = storefront.http.get(f"{storefront.url}/orders/order_nobody{path}")
    assert (answer.status_code, "주문을 찾을 수 없습니다" in answer.text) == (404, True)


@pytest.mark.parametrize("payment_key", ["../../emulator", "한글\r\nx: y", "k" * 5_000])
def test_a_made_up_payment_key_pays_nothing(server: Storefront, payment_key: str) -> None:
    order = new_order(server)
    query = {"paymentKey": payment_key, "orderId": order["orderId"], "amount": "9900"}
    answer = server.http.get(f"{server.orders_url}/orders/{order['orderId']}/success", params=query)
    assert answer.status_code == 303
    assert state(server, order)["status"] in ("PENDING", "FAILED")


def test_a_buyer_who_comes_back_while_the_database_is_away_is_told_to_refresh(
    storefront: Storefront, tmp_path: Path
) -> None:
    order = new_order(storefront)
    back = httpx.URL(come_back(storefront, order))
    with running_shop(tmp_path, f"http://{LOOPBACK}:{free_port()}", storefront.emulator_url) as url:
        away = storefront.http.get(f"{url}{back.raw_path.decode()}")
        assert (away.status_code, "두 번 결제되지 않습니다" in away.text) == (503, True)
        assert storefront.http.post(f"{url}/orders").status_code == 503
    assert confirmations(storefront, order) == []
    assert storefront.http.get(back).status_code == 303
    assert state(storefront, order)["status"] == "DONE"


def test_the_success_page_twice_pays_once(server: Storefront) -> None:
    order = new_order(server)
    back = come_back(server, order)
    for _ in range(2):
        answer = server.http.get(back)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/orders/{order['orderId']}")
    assert [(call["status"], call["replayed"]) for call in confirmations(server, order)] == [
        (200, False),
        (200, True),
    ]
    assert state(server, order)["status"] == "DONE"


def test_a_repeated_confirmation_does_not_undo_a_cancel(server: Storefront) -> None:
    order = new_order(server)
    back = come_back(server, order)
    server.http.get(back)
    server.play(f"payments/{httpx.URL(back).params['paymentKey']}/cancel")
    until(server, order, "CANCELED")
    server.http.get(back)
    assert state(server, order)["status"] == "CANCELED"


def test_a_confirmation_whose_answer_is_lost_is_looked_up(server: Storefront) -> None:
    order = new_order(server)
    back = come_back(server, order)
    server.play("webhooks/suppress", count=1)
    server.play("faults", path_prefix="/v1/payments/confirm", drop=True, after=True)
    assert server.http.get(back).status_code == 303
    assert state(server, order)["status"] == "DONE"


def test_the_webhook_pays_an_order_about_which_toss_gave_no_answer(server: Storefront) -> None:
    order = new_order(server)
    back = come_back(server, order)
    server.play("webhooks/suppress", count=1)
    server.play("faults", path_prefix="/v1/payments/confirm", drop=True, after=True)
    server.play("faults", path_prefix="/v1/payments/", drop=True)
    assert server.http.get(back).status_code == 303
    assert state(server, order)["title"] == "결제를 확인하고 있습니다"
    (held,) = server.see("deliveries?state=suppressed")["deliveries"][-1:]
    server.play(f"deliveries/{held['id']}/resend")
    assert state(server, order)["status"] == "DONE"
    assert server.row(order["orderId"])["payment_key"] == httpx.URL(back).params["paymentKey"]


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
def test_only_a_final_answer_of_toss_fails_an_order(server: Storefront, fault: dict[str, Any], status: str) -> None:
    order = new_order(server)
    back = come_back(server, order)
    server.play("faults", path_prefix="/v1/payments/confirm", **fault)
    assert server.http.get(back).status_code == 303
    assert state(server, order)["status"] == status
    assert server.http.get(back).status_code == 303, "the buyer tries again"
    assert state(server, order)["status"] == "DONE"


def test_a_refused_confirmation_is_kept_with_its_reason(server: Storefront) -> None:
    order = new_order(server)
    server.http.get(come_back(server, order, "over-limit"))
    until(server, order, "ABORTED")
    assert server.row(order["orderId"])["failure_code"] == "REJECT_CARD_PAYMENT"
    assert state(server, order)["details"] == [["사유", "한도초과 혹은 잔액부족으로 결제에 실패했습니다."]]


def test_a_paid_order_is_not_paid_again(server: Storefront) -> None:
    order = new_order(server)
    server.http.get(come_back(server, order))
    paid = server.row(order["orderId"])["payment_key"]
    server.http.get(come_back(server, order))
    assert [call["status"] for call in confirmations(server, order)] == [200, 400]
    row = server.row(order["orderId"])
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


def test_a_deposit_is_known_from_the_webhook_alone(server: Storefront) -> None:
    order = new_order(server)
    back = come_back(server, order, method="VIRTUAL_ACCOUNT")
    server.http.get(back)
    assert state(server, order)["status"] == "WAITING_FOR_DEPOSIT"
    server.play(f"payments/{httpx.URL(back).params['paymentKey']}/deposit")
    until(server, order, "DONE")
    assert len(confirmations(server, order)) == 1
