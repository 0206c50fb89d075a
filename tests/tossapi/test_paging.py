"""Transactions and settlements, page after page."""

import datetime as dt
from decimal import Decimal
from typing import Any

import httpx
import pytest
import respx

from supatoss.errors import TossMisconfigured, TossRefused, TossUnavailable
from supatoss.reconcile.settlements import fee_of
from supatoss.toss.keys import ApiKey
from supatoss.toss.models import SettlementRow, Transaction
from tests.tossapi.fakes import LIVE_KEY, NEWER_KEY, OLDER_KEY, URL, FakeToss, client, ok, refusal

pytestmark = pytest.mark.anyio

KEY = ApiKey.of(1, LIVE_KEY)
SEOUL = dt.timezone(dt.timedelta(hours=9))
START = dt.datetime(2026, 11, 22, 15, 0, tzinfo=dt.UTC)
END = dt.datetime(2026, 11, 24, 0, 0, tzinfo=SEOUL)


def row(number: int, **more: Any) -> dict[str, Any]:
    return {"transactionKey": f"tx-{number}", "paymentKey": f"pay-{number}", "amount": 100 * number, **more}


def rows(*numbers: int) -> list[dict[str, Any]]:
    return [row(number) for number in numbers]


def keys_of(pages: list[list[Transaction]]) -> list[list[str | None]]:
    return [[transaction.transaction_key for transaction in page] for page in pages]


def queries(toss: FakeToss) -> list[dict[str, str]]:
    return [dict(request.url.params) for request in toss.requests]


async def transactions(toss: FakeToss, **options: Any) -> list[list[Transaction]]:
    return [page async for page in client(toss).transactions(KEY, START, END, **options)]


async def settlements(toss: FakeToss, **options: Any) -> list[list[SettlementRow]]:
    start, end = dt.date(2026, 11, 1), dt.date(2026, 11, 23)
    return [page async for page in client(toss).settlements(KEY, start, end, **options)]


async def test_transactions_are_asked_for_in_korean_time_without_an_offset() -> None:
    router = respx.MockRouter(assert_all_called=True)
    route = router.get(f"{URL}/v1/transactions").respond(json=[])
    pages = client(httpx.MockTransport(router.async_handler)).transactions(KEY, START, END)
    assert [page async for page in pages] == []
    assert dict(route.calls.last.request.url.params) == {
        "startDate": "2026-11-23T00:00:00",
        "endDate": "2026-11-24T00:00:00",
        "limit": "1000",
    }


async def test_parts_of_a_second_make_the_span_wider() -> None:
    toss = FakeToss(ok([]))
    instant = dt.datetime(2026, 11, 23, 1, 2, 3, 400_000, tzinfo=SEOUL)
    assert [page async for page in client(toss).transactions(KEY, instant, instant)] == []
    assert queries(toss)[0]["startDate"] == "2026-11-23T01:02:03"
    assert queries(toss)[0]["endDate"] == "2026-11-23T01:02:04"


async def test_transactions_go_on_after_the_last_row_until_a_short_page() -> None:
    toss = FakeToss(ok(rows(1, 2)), ok(rows(3, 4)), ok(rows(5)))
    assert keys_of(await transactions(toss, page_size=2)) == [["tx-1", "tx-2"], ["tx-3", "tx-4"], ["tx-5"]]
    assert [query.get("startingAfter") for query in queries(toss)] == [None, "tx-2", "tx-4"]
    assert {query["limit"] for query in queries(toss)} == {"2"}


async def test_transactions_end_with_an_empty_page() -> None:
    toss = FakeToss(ok(rows(1, 2)), ok([]))
    assert keys_of(await transactions(toss, page_size=2)) == [["tx-1", "tx-2"]]
    assert len(toss.requests) == 2


async def test_transactions_resume_after_a_row() -> None:
    toss = FakeToss(ok(rows(8, 9)), ok([]))
    assert keys_of(await transactions(toss, page_size=2, starting_after="tx-7/=")) == [["tx-8", "tx-9"]]
    assert [query["startingAfter"] for query in queries(toss)] == ["tx-7/=", "tx-9"]


async def test_a_caller_that_has_enough_asks_for_no_more() -> None:
    toss = FakeToss(ok(rows(1, 2)))
    async for _page in client(toss).transactions(KEY, START, END, page_size=2):
        break
    assert len(toss.requests) == 1


async def test_the_pages_before_an_error_have_been_given() -> None:
    toss = FakeToss(ok(rows(1, 2)), refusal(500, "COMMON_ERROR"))
    pages = aiter(client(toss).transactions(KEY, START, END, page_size=2))
    assert keys_of([await anext(pages)]) == [["tx-1", "tx-2"]]
    with pytest.raises(TossUnavailable):
        await anext(pages)


async def test_paging_that_does_not_advance_ends() -> None:
    with pytest.raises(TossUnavailable, match="same page"):
        await transactions(FakeToss(ok(rows(1, 2))), page_size=2)
    with pytest.raises(TossUnavailable, match="same page"):
        await settlements(FakeToss(ok(rows(1, 2))), page_size=2)


async def test_a_transaction_is_typed_and_what_is_new_passes() -> None:
    body = (
        b'[{"mId":"tacmeshop01","transactionKey":"tx-1","paymentKey":"pay-1","orderId":"order-1","method":"card",'
        b'"customerKey":"customer-1","useEscrow":false,"receiptUrl":"https://r.test","status":"PARTIAL_CANCELED",'
        b'"transactionAt":"2026-11-23T10:00:00+09:00","currency":"USD","amount":-25.10,"new":[1]}]'
    )
    ((transaction,),) = await transactions(FakeToss(httpx.Response(200, content=body)))
    assert transaction.amount == Decimal("-25.10")
    assert str(transaction.amount) == "-25.10"
    assert transaction.transaction_at == dt.datetime(2026, 11, 23, 1, 0, tzinfo=dt.UTC)
    assert (transaction.m_id, transaction.status, transaction.currency) == ("tacmeshop01", "PARTIAL_CANCELED", "USD")
    assert (transaction.payment_key, transaction.order_id, transaction.customer_key) == (
        "pay-1",
        "order-1",
        "customer-1",
    )
    assert "customer-1" not in repr(transaction)


@pytest.mark.parametrize(
    ("odd", "field", "value"),
    [
        ({"transactionKey": None}, "transaction_key", None),
        ({"transactionKey": 5}, "transaction_key", None),
        ({"amount": "much"}, "amount", None),
        ({"amount": True}, "amount", None),
        ({"currency": "MUSD"}, "currency", "MUSD"),
        ({"currency": 5}, "currency", None),
        ({"paymentKey": {}, "orderId": "x" * 500}, "payment_key", None),
    ],
)
async def test_one_odd_transaction_does_not_stop_the_reading_of_a_day(
    odd: dict[str, Any], field: str, value: object
) -> None:
    ((first, second),) = await transactions(FakeToss(ok([row(1), row(2, **odd)])))
    assert first.transaction_key == "tx-1"
    assert getattr(second, field) == value


async def test_a_page_goes_on_after_the_last_row_that_has_a_key() -> None:
    toss = FakeToss(ok([row(1), row(2, transactionKey=None)]), ok(rows(3)))
    await transactions(toss, page_size=2)
    assert queries(toss)[1]["startingAfter"] == "tx-1"


async def test_a_full_page_without_any_key_cannot_be_gone_on_from() -> None:
    with pytest.raises(TossUnavailable, match="same page"):
        await transactions(FakeToss(ok([row(1, transactionKey=None)])), page_size=1)


async def test_settlements_are_counted_in_pages_until_a_short_one() -> None:
    toss = FakeToss(ok(rows(1, 2)), ok(rows(3, 4)), ok(rows(5)))
    pages = await settlements(toss, page_size=2)
    assert [[item.transaction_key for item in page] for page in pages] == [["tx-1", "tx-2"], ["tx-3", "tx-4"], ["tx-5"]]
    shared = {"startDate": "2026-11-01", "endDate": "2026-11-23", "dateType": "soldDate", "size": "2"}
    assert queries(toss) == [{**shared, "page": str(number)} for number in (1, 2, 3)]
    assert {request.url.path for request in toss.requests} == {"/v1/settlements"}


async def test_settlements_by_the_day_of_payment() -> None:
    toss = FakeToss(ok([]))
    assert await settlements(toss, date_type="paidOutDate") == []
    assert queries(toss)[0]["dateType"] == "paidOutDate"
    assert queries(toss)[0]["size"] == "1000"


async def test_days_may_be_given_as_times() -> None:
    toss = FakeToss(ok([]))
    assert [page async for page in client(toss).settlements(KEY, END, END)] == []
    assert queries(toss)[0]["startDate"] == "2026-11-24"


async def test_a_date_type_that_toss_does_not_know_is_refused() -> None:
    with pytest.raises(TossRefused, match="INVALID_REQUEST"):
        await settlements(FakeToss(refusal(400, "INVALID_REQUEST")))


@pytest.mark.parametrize("name", ["supplyAmount", "suppliedAmount"])
async def test_a_settlement_is_typed_under_both_names_of_the_supplied_amount(name: str) -> None:
    body = {
        **row(1, amount=-12500, orderId="order-1", mId="tacmeshop01", currency="KRW", vat=-15, payOutAmount=-12335),
        name: -150,
        "interestFee": 0,
        "fees": [{"type": "BASE", "fee": -165}, {"type": "NEW", "fee": 0, "more": 1}],
        "approvedAt": "2026-11-20T10:00:00+09:00",
        "soldDate": "2026-11-20",
        "paidOutDate": "2026-11-24",
        "cancel": {"cancelAmount": 12500},
        "card": {"new": 1},
    }
    ((settled,),) = await settlements(FakeToss(ok([body])))
    amounts = (settled.amount, settled.supply_amount, settled.vat, settled.pay_out_amount)
    assert amounts == tuple(map(Decimal, (-12500, -150, -15, -12335)))
    assert [(fee.type, fee.fee) for fee in settled.fees] == [("BASE", Decimal(-165)), ("NEW", Decimal(0))]
    assert (settled.sold_date, settled.paid_out_date) == (dt.date(2026, 11, 20), dt.date(2026, 11, 24))
    assert settled.cancel == {"cancelAmount": 12500}


async def test_a_settlement_needs_nothing_and_guesses_nothing() -> None:
    ((settled,),) = await settlements(FakeToss(ok([{"fees": None}])))
    assert (settled.fees, settled.amount, settled.transaction_key) == ((), None, None)
    with pytest.raises(TossUnavailable, match=r"fees\.0\.fee"):
        await settlements(FakeToss(ok([{"fees": [{"fee": "some"}]}])))


@pytest.mark.parametrize("page_size", [0, -1, 5001])
async def test_page_sizes_that_toss_does_not_give(page_size: int) -> None:
    toss = FakeToss()
    for pages in (transactions, settlements):
        with pytest.raises(ValueError, match="5000"):
            await pages(toss, page_size=page_size)
    assert toss.requests == []


async def test_a_time_without_an_offset_is_not_guessed() -> None:
    naive = START.replace(tzinfo=None)
    with pytest.raises(ValueError, match="offset"):
        await anext(aiter(client(FakeToss()).transactions(KEY, naive, END)))


async def test_all_pages_are_asked_for_with_the_key_that_was_named() -> None:
    toss = FakeToss(ok(rows(1)), refusal(401, "UNAUTHORIZED_KEY"))
    api = client(toss, NEWER_KEY, OLDER_KEY, LIVE_KEY)
    pages = aiter(api.transactions(api.keys[1], START, END, page_size=1))
    assert keys_of([await anext(pages)]) == [["tx-1"]]
    with pytest.raises(TossMisconfigured, match=r"UNAUTHORIZED_KEY \(HTTP 401\) with key 2 \(…0002\)"):
        await anext(pages)
    used = {request.headers["authorization"] for request in toss.requests}
    assert used == {api.keys[1].authorization}, "another key could be another MID's"


@pytest.mark.parametrize(
    ("fields", "fee"),
    [
        ({"fee": 859950}, Decimal(859950)),
        ({"fees": [{"type": "BASE", "fee": 300}, {"type": "ETC", "fee": 20}]}, Decimal(320)),
        ({"fees": [{"type": "BASE", "fee": 300}], "fee": 1}, Decimal(300)),
        ({"fees": None}, None),
    ],
)
def test_a_settlement_has_its_fee_in_either_form(fields: dict[str, Any], fee: Decimal | None) -> None:
    assert fee_of(SettlementRow.model_validate({"transactionKey": "tx-1", **fields})) == fee
