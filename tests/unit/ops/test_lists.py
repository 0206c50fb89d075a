"""The list pages and their CSV files: what is asked of the database, and what comes of the answer."""

import csv
import io
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import httpx
import pytest

from supatoss.errors import StoreUnavailable
from supatoss.ops import exports
from supatoss.ops.exports import cell, csv_chunks
from supatoss.ops.listings import LISTINGS
from supatoss.ops.lists import read_search
from supatoss.store.client import Function
from tests.unit.ops.office import Office

pytestmark = pytest.mark.anyio

NEXT = {"at": "2026-11-25T03:30:00.123456+00:00", "id": "5e9f2d5a-0000-4000-8000-000000000001"}


@pytest.fixture
async def office() -> Office:
    signed_in = Office()
    await signed_in.sign_in()
    return signed_in


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def payment(**changes: Any) -> dict[str, Any]:
    """A payment, as supatoss_ops_list_v1 gives it."""
    names = ("id", "requested_at", "canceled_at", "due_at", "failure_code", "failure_message", "receipt_url")
    return {
        **dict.fromkeys((*names, "merchant_id", "asked_amount", "settled_at")),
        "order_id": "order-0001",
        "payment_key": "tpay0001",
        "order_name": "원두 1kg",
        "amount": "9900",
        "balance": "5900",
        "currency": "KRW",
        "method": "카드",
        "status": "PARTIAL_CANCELED",
        "approved_at": "2026-11-25T03:30:00+00:00",
        "created_at": "2026-11-25T03:29:00+00:00",
        **changes,
    }


def give(office: Office, *rows: Mapping[str, Any], next_: object = None, searched_until: str | None = None) -> None:
    office.store.answers[Function.OPS_LIST] = {"rows": list(rows), "next": next_, "searched_until": searched_until}


def asked(office: Office) -> list[dict[str, Any]]:
    """The queries that reached the database."""
    return [json.loads(values["query"]) for function, values in office.store.asked if function is Function.OPS_LIST]


def rows_of(response: httpx.Response) -> list[list[str]]:
    return list(csv.reader(io.StringIO(response.content.decode("utf-8-sig"), newline="")))


@pytest.mark.parametrize("name", [listing.name for listing in LISTINGS])
async def test_every_list_is_empty_at_first_and_says_so(office: Office, name: str) -> None:
    page = await office.get(f"/ops/{name}", headers={"accept-language": "ko"})
    assert page.status_code == 200
    assert 'class="empty"' in page.text
    assert "CSV" not in page.text


async def test_a_payment_is_shown_with_what_was_refunded(office: Office) -> None:
    give(office, payment())
    text = (await office.get("/ops/payments")).text
    for shown in ("order-0001", "원두 1kg", "₩9,900", "₩4,000", "Partly cancelled", "2026-11-25 12:30:00"):
        assert shown in text


async def test_conditions_reach_the_database(office: Office) -> None:
    await office.get("/ops/payments?q=%E2%82%A99,900&status=DONE&from=2026-11-24&until=2026-11-25")
    assert asked(office)[-1] == {
        "list": "payments",
        "search": "₩9,900",
        "amount": "9900",
        "status": "DONE",
        "from": "2026-11-23T15:00:00+00:00",
        "until": "2026-11-25T15:00:00+00:00",  # the whole last day
        "after": None,
        "limit": 50,
    }


async def test_the_next_page_keeps_the_conditions(office: Office) -> None:
    give(office, payment(), next_=NEXT)
    text = (await office.get("/ops/payments?status=DONE")).text
    assert 'rel="next" href="/ops/payments?status=DONE&amp;after=2026-11-25T03%3A30%3A00.123456%2B00%3A00~5e9f' in text
    await office.get(f"/ops/payments?status=DONE&after={NEXT['at'].replace('+', '%2B')}~{NEXT['id']}")
    assert asked(office)[-1]["after"] == NEXT


async def test_a_search_that_ends_early_says_how_far_it_looked(office: Office) -> None:
    give(office, next_=NEXT, searched_until="2026-11-25T03:30:00+00:00")
    text = (await office.get("/ops/payments?q=kg")).text
    assert "Searched back to 2026-11-25 12:30:00" in text
    assert 'rel="next"' in text


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("from=tomorrow", "Enter days like"),
        ("from=2026-11-26&until=2026-11-25", "must be after its start"),
        ("after=nonsense", "link to this page is broken"),
        ("after=2026-11-25~x", "link to this page is broken"),
        ("q=" + "x" * 201, "at most 200"),
        ("q=%00", "at most 200"),
        ("from=0001-01-01", "Enter days like"),
    ],
)
async def test_what_cannot_be_read_is_explained_and_not_asked_for(office: Office, query: str, problem: str) -> None:
    page = await office.get(f"/ops/payments?{query}")
    assert page.status_code == 400
    assert problem in page.text
    assert asked(office) == []


async def test_open_alerts_come_first_and_all_are_a_click_away(office: Office) -> None:
    alert = {
        "rule": "toss_away",
        "subject": "",
        "details": {"minutes": 7, "keys": "key 1", "problem": "timeout"},
        "status": "open",
        "started_at": "2026-11-25T03:30:00+00:00",
        "ended_at": None,
        "told_at": None,
    }
    give(office, alert, next_=NEXT)
    text = (await office.get("/ops/alerts")).text
    assert asked(office)[-1]["status"] == "open"
    assert "has not answered for 7 minutes (key 1): timeout" in text
    assert 'href="/ops/runbook#toss_away"' in text
    page = await office.get("/ops/alerts?status=")
    assert asked(office)[-1]["status"] is None
    assert 'rel="next" href="/ops/alerts?status=&amp;after=' in page.text


async def test_a_csv_file_opens_in_excel(office: Office) -> None:
    give(office, payment(order_name='=cmd|"/C calc"!A0', amount="-100"))
    page = await office.get("/ops/payments.csv?status=DONE")
    assert page.content.startswith(b"\xef\xbb\xbf")
    assert page.headers["content-type"] == "text/csv; charset=utf-8"
    assert page.headers["content-disposition"].startswith('attachment; filename="supatoss-payments-2')
    assert page.headers["cache-control"] == "no-store"
    header, row = rows_of(page)
    found = dict(zip(header, row, strict=True))
    assert found["Order name"] == '\'=cmd|"/C calc"!A0'
    assert found["Amount"] == "-100"
    assert found["Approved"] == "2026-11-25T12:30:00+09:00"
    assert asked(office)[-1] | {"limit": 500, "status": "DONE"} == asked(office)[-1]


async def test_a_csv_file_has_korean_heads_for_koreans(office: Office) -> None:
    give(office, payment())
    page = await office.get("/ops/payments.csv", headers={"accept-language": "ko"})
    assert rows_of(page)[0][:3] == ["생성 시각", "주문번호", "주문명"]


async def test_a_csv_file_ends_at_its_cap_and_says_so(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "MAX_ROWS", 5)
    give(office, payment(), payment(), next_=NEXT)
    rows = rows_of(await office.get("/ops/payments.csv"))
    assert len(rows) == 1 + 5 + 1
    assert rows[-1][0].startswith("This file ends after")


async def test_the_database_that_is_away_is_said_before_a_file_begins(office: Office) -> None:
    office.store.trouble = StoreUnavailable("away")
    assert (await office.get("/ops/payments.csv")).status_code == 503


async def test_half_a_file_is_broken_off() -> None:
    async def pages() -> Any:
        yield [["1"]], True
        raise StoreUnavailable("away")

    written = []
    with pytest.raises(StoreUnavailable):
        written += [chunk async for chunk in csv_chunks(["a"], pages(), "cut")]


async def test_a_file_with_a_broken_filter_leads_to_its_explanation(office: Office) -> None:
    page = await office.get("/ops/payments.csv?from=x")
    assert (page.status_code, page.headers["location"]) == (303, "/ops/payments?from=x")


async def test_files_are_for_those_who_signed_in() -> None:
    assert (await Office().get("/ops/payments.csv")).status_code == 303


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        ("-5", "-5"),
        ("-5.25", "-5.25"),
        ("-5+1", "'-5+1"),
        ("=1", "'=1"),
        ("@x", "'@x"),
        ("\tx", "'\tx"),
        ("＝1", "'＝1"),
        ("order-1", "order-1"),
        (200, "200"),
    ],
)
def test_no_cell_is_a_formula(value: object, shown: str) -> None:
    assert cell(value) == shown


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("9900", Decimal(9900)),
        ("9,900원", Decimal(9900)),
        ("US$12.34", Decimal("12.34")),
        ("1,00", None),
        ("order-1", None),
        ("", None),
        ("9" * 40, None),
    ],
)
def test_an_amount_is_read_however_it_is_typed(text: str, amount: Decimal | None) -> None:
    assert read_search({"q": text}).wanted.amount == amount


async def test_an_empty_list_says_whether_that_is_because_of_the_filter(office: Office) -> None:
    assert "Show ended ones too" in (await office.get("/ops/alerts")).text
    everything = (await office.get("/ops/alerts?status=")).text
    assert "No open alerts" in everything
    assert "Show ended ones too" not in everything
    for query in ("status=ended", "status=open&q=backlog", "from=2026-11-25"):
        text = (await office.get(f"/ops/alerts?{query}")).text
        assert "No row matches all of these conditions." in text
