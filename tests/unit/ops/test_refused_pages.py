"""The log of refused deliveries on the page: what it shows, and what it never shows."""

import json
from typing import Any

import pytest

from supatoss.inbox.refused import MAX_BODY_BYTES
from supatoss.store.client import Function
from tests.unit.ops.office import AT, SECRET, Office

pytestmark = pytest.mark.anyio

BODY = {"eventType": "DEPOSIT_CALLBACK", "secret": SECRET, "data": {"customerName": "홍길동", "orderId": "order-0001"}}


@pytest.fixture
async def office() -> Office:
    signed_in = Office()
    await signed_in.sign_in()
    return signed_in


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def row(number: int = 7, **changes: Any) -> dict[str, Any]:
    """One delivery, as supatoss_read_refused_v1 gives it."""
    return {
        "id": number,
        "received_at": AT.isoformat(),
        "event_type": "DEPOSIT_CALLBACK",
        "reason": "secret_differs",
        "http_status": 401,
        "source_address": "203.0.113.7",
        "body": json.dumps(BODY, ensure_ascii=False),
        **changes,
    }


def keep(office: Office, *rows: dict[str, Any]) -> None:
    """In the log, where one is read whole and the list without bodies."""
    office.store.answers[Function.READ_REFUSED] = list(rows)
    listed = [{name: value for name, value in item.items() if name != "body"} for item in rows]
    office.store.answers[Function.OPS_LIST] = {"rows": listed, "next": None, "searched_until": None}


@pytest.mark.parametrize(
    ("language", "reason", "empty"),
    [
        ("en", "Secret differs from Toss&#39;s", "No refused deliveries"),
        ("ko", "secret이 토스와 다름", "거절한 웹훅이 없습니다"),
    ],
)
async def test_the_list_says_when_what_why_and_from_where(
    office: Office, language: str, reason: str, empty: str
) -> None:
    headers = {"accept-language": language}
    assert empty in (await office.get("/ops/refused", headers=headers)).text
    keep(office, row(), row(6, event_type=None, reason="acknowledged", http_status=200))
    text = (await office.get("/ops/refused", headers=headers)).text
    for shown in (reason, "2026-11-25 12:30:00", "DEPOSIT_CALLBACK", "203.0.113.7", 'href="/ops/refused/6"'):
        assert shown in text
    assert empty not in text
    assert SECRET not in text
    assert 'href="/ops/refused" aria-current="page"' in text
    assert 'rel="next"' not in text


async def test_one_delivery_is_shown_with_its_body_masked(office: Office) -> None:
    keep(office, row())
    page = await office.get("/ops/refused/7")
    assert page.status_code == 200
    assert office.store.asked[-1][1] == {"max_deliveries": 1, "before_id": 8}
    assert "order-0001" in page.text
    assert "[masked]" in page.text
    assert SECRET not in page.text
    assert "홍길동" not in page.text


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (json.dumps({**BODY, "padding": "x" * MAX_BODY_BYTES})[:MAX_BODY_BYTES], "8,192 characters"),
        (f"secret={SECRET}", "not shown: cut or not JSON"),
        (f'["{SECRET}"]', "not shown: cut or not JSON"),
        ('{"a":' * 4000, "not shown: cut or not JSON"),
        ('\ufeff{"secret": "' + SECRET + '", "orderId": "order-0001"}', "order-0001"),
        (r'{"orderId": "order-0001", "half": "\ud800", "nothing": "\u0000"}', "order-0001"),
        ('{"orderId": "<b>order-0001"}', "&lt;b&gt;order-0001"),
        ("", "No body was read."),
    ],
    ids=["cut", "form", "list", "deep", "byte order mark", "half of a pair", "markup", "empty"],
)
async def test_a_body_that_cannot_be_masked_is_not_shown(office: Office, body: str, shown: str) -> None:
    keep(office, row(body=body))
    page = await office.get("/ops/refused/7")
    assert page.status_code == 200
    assert shown in page.text
    assert SECRET not in page.text


@pytest.mark.parametrize("path", ["/ops/refused/8", "/ops/refused/x", "/ops/refused/" + "9" * 30])
async def test_what_is_not_in_the_log_is_not_found(office: Office, path: str) -> None:
    keep(office, row())
    assert (await office.get(path)).status_code == 404


async def test_data_are_text_and_never_markup(office: Office) -> None:
    hostile = "<script>alert(1)</script>"
    keep(office, row(event_type=hostile, source_address=hostile, reason=hostile, body=json.dumps({"a": hostile})))
    for path in ("/ops/refused", "/ops/refused/7"):
        assert "<script>alert" not in (await office.get(path)).text


async def test_it_is_for_those_who_signed_in_and_found_from_the_overview(office: Office) -> None:
    assert '<a href="/ops/refused">Show refused deliveries</a>' in (await office.get("/ops/")).text
    stranger = Office()
    keep(stranger, row())
    for path in ("/ops/refused", "/ops/refused/7"):
        assert (await stranger.get(path)).status_code == 303
