import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supatoss.ops.events import cursor_text, read_search
from supatoss.store.events import Cursor

ID = "5e9f2d5a-0000-4000-8000-000000000001"


def test_an_empty_search_means_every_event() -> None:
    search = read_search({})
    assert search.is_empty
    assert search.to_filter().is_empty
    assert search.problems == ()


def test_times_are_meant_in_korea() -> None:
    search = read_search({"from": "2026-11-25T09:00", "until": "2026-11-26T00:00"})
    assert search.to_filter().created_from == dt.datetime(2026, 11, 25, 0, 0, tzinfo=dt.UTC)
    assert search.to_filter().created_until == dt.datetime(2026, 11, 25, 15, 0, tzinfo=dt.UTC)


def test_every_condition_narrows_the_search() -> None:
    search = read_search(
        {"q": " order-1 ", "status": "failed", "reason": "double_charge", "type": "PAYMENT_STATUS_CHANGED"}
    )
    by_order = search.to_filter()
    assert (by_order.order_id, by_order.payment_key) == ("order-1", None)
    assert (by_order.statuses, by_order.reasons, by_order.types) == (
        ("failed",),
        ("double_charge",),
        ("PAYMENT_STATUS_CHANGED",),
    )
    by_payment = search.to_filter(by_payment=True)
    assert (by_payment.order_id, by_payment.payment_key) == (None, "order-1")


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ({"status": "lost"}, "status"),
        ({"type": "x" * 101}, "type"),
        ({"reason": "x" * 101}, "reason"),
        ({"q": "x" * 201}, "search"),
        ({"q": "a\x00b"}, "search"),
        ({"from": "yesterday"}, "time"),
        ({"until": "2026-13-01T00:00"}, "time"),
        ({"from": "0001-01-01T00:00"}, "time"),
        ({"from": "2026-11-26T00:00", "until": "2026-11-25T00:00"}, "order"),
        ({"after": "2026-11-25T00:00:00+00:00"}, "page"),
        ({"after": "soon~" + ID}, "page"),
    ],
)
def test_what_cannot_be_read_is_named(query: dict[str, str], problem: str) -> None:
    assert read_search(query).problems == (problem,)


def test_a_page_begins_where_the_one_before_ended() -> None:
    cursor = Cursor(dt.datetime(2026, 11, 25, 3, 30, 0, 123456, tzinfo=dt.UTC), ID)
    assert read_search({"after": cursor_text(cursor)}).cursor == cursor


@given(st.dictionaries(st.sampled_from(["q", "status", "reason", "type", "from", "until", "after", "by"]), st.text()))
def test_no_address_makes_the_page_fail(query: dict[str, str]) -> None:
    search = read_search(query)
    assert search.problems or search.to_filter().to_query(limit=1)
