import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supatoss.ops.events import cursor_text, read_search
from supatoss.store.events import Cursor, Search

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
    wanted = search.to_filter()
    assert wanted.search == Search("order-1", "key")
    assert (wanted.statuses, wanted.reasons, wanted.types) == (
        ("failed",),
        ("double_charge",),
        ("PAYMENT_STATUS_CHANGED",),
    )
    assert search.to_filter(["failed", "pending"]).statuses == ["failed", "pending"]


@pytest.mark.parametrize(
    ("typed", "amount", "by"),
    [
        ("9900", "9900", "key"),  # may be a part of an order id
        ("9,900", "9900", "content"),
        ("₩9,900", "9900", "content"),
        ("9900원", "9900", "content"),
        ("12.340", "12.34", "content"),
        ("US$1,234.50", "1234.5", "content"),
        ("₩ 0.00", "0", "content"),
        ("order-9900", None, "key"),
        ("1e5", None, "key"),
        ("9" * 21, None, "key"),
        ("김토스", None, "key"),
    ],
)
def test_what_is_written_as_an_amount_is_one(typed: str, amount: str | None, by: str) -> None:
    assert read_search({"q": typed}).to_filter().search == Search(typed, by, amount)
    assert read_search({"q": typed, "by": "content"}).to_filter().search == Search(typed, "content", amount)


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
