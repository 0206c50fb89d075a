"""Billing keys, transactions and settlements."""

import datetime as dt
from typing import Any

import pytest

from scripts.emulator.formats import SEOUL, now
from tests.emulator.conftest import Play

pytestmark = pytest.mark.anyio

CHARGE = {"customerKey": "customer-1", "orderId": "sub-000001", "orderName": "구독", "amount": 9900}


def today(days: int = 0) -> str:
    return (now().date() + dt.timedelta(days=days)).isoformat()


async def rows(play: Play, **query: Any) -> list[dict[str, Any]]:
    answer = await play.api(
        "GET", "transactions", params={"startDate": today(), "endDate": f"{today()}T23:59:59", **query}
    )
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


async def issue(play: Play) -> str:
    key: str = (await play.do("billing-keys", {"customerKey": "customer-1"}))["billingKey"]
    return key


async def test_a_billing_key_is_issued_once_for_each_auth_key(play: Play) -> None:
    body = {"authKey": "auth-1", "customerKey": "customer-1"}
    first = await play.api("POST", "billing/authorizations/issue", body)
    second = await play.api("POST", "billing/authorizations/issue", body)
    assert first.json().keys() == {"mId", "customerKey", "authenticatedAt", "method", "billingKey", "card"}
    assert first.json()["billingKey"].endswith("=")
    assert second.json()["code"] == "INVALID_BILL_KEY_REQUEST"
    assert (await play.api("POST", "billing/authorizations/issue", {"authKey": "auth-2"})).status_code == 400


async def test_a_billing_key_is_charged_until_it_is_deleted(play: Play) -> None:
    key = await issue(play)
    paid = (await play.api("POST", f"billing/{key}", CHARGE)).json()
    assert (paid["status"], paid["type"], paid["totalAmount"]) == ("DONE", "BILLING", 9900)
    assert (await play.api("GET", f"payments/{paid['paymentKey']}")).json() == paid
    assert (await play.api("POST", f"billing/{key}", CHARGE)).json()["code"] == "DUPLICATED_ORDER_ID"
    deleted = await play.api("DELETE", f"billing/{key}")
    assert (deleted.status_code, deleted.content) == (200, b"")
    for method, body in (("POST", CHARGE), ("DELETE", None)):
        answer = await play.api(method, f"billing/{key}", body)
        assert (answer.status_code, answer.json()["code"]) == (400, "ALREADY_REMOVED_BILLING_KEY")


async def test_a_charge_can_be_refused(play: Play) -> None:
    key = await issue(play)
    other = await play.api("POST", f"billing/{key}", {**CHARGE, "customerKey": "customer-2"})
    assert (other.status_code, other.json()["code"]) == (400, "NOT_MATCHES_CUSTOMER_KEY")
    short = await play.api("POST", f"billing/{key}", {**CHARGE, "orderId": "short"})
    assert (short.status_code, short.json()["code"]) == (400, "INVALID_REQUEST")
    unknown = await play.api("POST", "billing/nobody", CHARGE)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "NOT_FOUND_BILLING")
    bad = await play.do("billing-keys", {"customerKey": "customer-1", "refuseWith": "REJECT_CARD_PAYMENT"})
    refused = await play.api("POST", f"billing/{bad['billingKey']}", CHARGE)
    assert (refused.status_code, refused.json()["code"]) == (403, "REJECT_CARD_PAYMENT")


async def test_each_approval_and_cancel_is_a_transaction(play: Play) -> None:
    made = await play.pay()
    await play.confirm(made)
    await play.step(made, "cancel", {"amount": 3000})
    await play.api("POST", f"billing/{await issue(play)}", CHARGE)
    await play.step(await play.pay("ord-000002"), "abort")
    found = await rows(play)
    assert [(row["status"], row["amount"], row["customerKey"]) for row in found] == [
        ("DONE", 10000, None),
        ("PARTIAL_CANCELED", 3000, None),
        ("DONE", 9900, "customer-1"),
    ]
    payment = (await play.api("GET", f"payments/{made['paymentKey']}")).json()
    assert found[1]["transactionKey"] == payment["lastTransactionKey"]
    assert found[0]["paymentKey"] == made["paymentKey"]
    assert dt.datetime.fromisoformat(found[0]["transactionAt"]).utcoffset() == SEOUL.utcoffset(None)


async def test_a_deposit_that_was_an_error_is_no_longer_done(play: Play) -> None:
    made = await play.pay(method="VIRTUAL_ACCOUNT")
    await play.confirm(made)
    assert await rows(play) == []
    await play.step(made, "deposit")
    await play.step(made, "deposit-error")
    await play.step(made, "deposit")
    assert [row["status"] for row in await rows(play)] == ["WAITING_FOR_DEPOSIT", "DONE"]


async def test_transactions_come_in_pages(play: Play) -> None:
    for number in range(5):
        await play.step(await play.pay(f"ord-00000{number}"), "approve")
    everything = await rows(play)
    first = await rows(play, limit=2)
    second = await rows(play, limit=2, startingAfter=first[-1]["transactionKey"])
    last = await rows(play, limit=2, startingAfter=second[-1]["transactionKey"])
    assert [*first, *second, *last] == everything
    assert len(last) == 1
    assert await rows(play, startingAfter=last[-1]["transactionKey"]) == []
    assert await rows(play, startDate=today(-2), endDate=today()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"startDate": ""},
        {"endDate": "yesterday"},
        {"startDate": "2026-01-01T00:00:00+09:00"},
        {"endDate": "2020-01-01"},
        {"limit": "0"},
        {"limit": "5001"},
        {"startingAfter": "nobody"},
    ],
)
async def test_transactions_refuse_a_bad_query(play: Play, change: dict[str, str]) -> None:
    query = {"startDate": today(), "endDate": today(1), **change}
    answer = await play.api("GET", "transactions", params=query)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")


async def test_settlements_are_those_that_were_made(play: Play) -> None:
    made = await play.pay(amount=100000)
    await play.confirm(made)
    query = {"startDate": "2026-03-01", "endDate": "2026-03-31"}
    assert (await play.api("GET", "settlements", params=query)).json() == []
    days = {"soldDate": "2026-03-14", "paidOutDate": "2026-03-16"}
    (row,) = await play.do(f"settlements/{made['paymentKey']}", days)
    assert (row["amount"], row["supplyAmount"], row["vat"], row["payOutAmount"]) == (100000, 2500, 250, 97250)
    await play.step(made, "cancel", {"amount": 20000})
    (cancel,) = await play.do(f"settlements/{made['paymentKey']}", {**days, "paidOutDate": "2026-04-01"})
    assert (cancel["amount"], cancel["payOutAmount"], cancel["cancel"]["cancelAmount"]) == (-20000, -19450, 20000)
    assert await play.do(f"settlements/{made['paymentKey']}", days) == []

    async def settled(**more: Any) -> Any:
        return (await play.api("GET", "settlements", params={**query, **more})).json()

    assert await settled() == [row, cancel]
    assert await settled(dateType="paidOutDate") == [row]
    assert await settled(page=2, size=1) == [cancel]
    assert await settled(page=3, size=1) == []


@pytest.mark.parametrize(
    "change",
    [{"dateType": "today"}, {"startDate": "2026-3-1x"}, {"endDate": "2020-01-01"}, {"page": "0"}, {"size": "5001"}],
)
async def test_settlements_refuse_a_bad_query(play: Play, change: dict[str, str]) -> None:
    query = {"startDate": "2026-03-01", "endDate": "2026-03-31", **change}
    answer = await play.api("GET", "settlements", params=query)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")


async def test_only_paid_payments_are_settled(play: Play) -> None:
    made = await play.pay()
    assert "approved" in (await play.do(f"settlements/{made['paymentKey']}", status=409))["error"]
