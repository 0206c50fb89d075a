import datetime as dt
from decimal import Decimal

import pytest

from supatoss.ops.formats import iso, korean_time, money, parse_moment, span


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        (37400, "KRW", "₩37,400"),
        ("37400", "KRW", "₩37,400"),
        ("37400.0", "KRW", "₩37,400"),
        ("1E+3", "KRW", "₩1,000"),
        (0, None, "₩0"),
        ("12.34", "USD", "US$12.34"),
        ("12.3", "USD", "US$12.30"),
        (Decimal(1234567), "USD", "US$1,234,567.00"),
        ("0.125", "USD", "US$0.125"),
        ("10.5", "KRW", "₩10.5"),
        (1200, "JPY", "JP¥1,200"),
        (5, "VND", "5 VND"),
        ("-300", "KRW", "−₩300"),
        (None, "KRW", "–"),
        ("a lot", "KRW", "a lot"),
        ("NaN", "KRW", "NaN"),
        (True, "KRW", "–"),
    ],
)
def test_amounts_are_shown_with_their_currency(amount: object, currency: object, shown: str) -> None:
    assert money(amount, currency) == shown


@pytest.mark.parametrize(
    "text", ["2026-11-25T03:30:00+00:00", "2026-11-25T12:30:00+09:00", "2026-11-25T12:30:00", "2026-11-25 03:30:00+00"]
)
def test_times_are_korean(text: str) -> None:
    moment = parse_moment(text)
    assert moment
    assert korean_time(moment) == "2026-11-25 12:30:00"
    assert iso(moment) == "2026-11-25T12:30:00+09:00"


def test_a_new_day_begins_at_midnight_in_korea() -> None:
    assert korean_time(dt.datetime(2026, 12, 31, 15, 0, tzinfo=dt.UTC)) == "2027-01-01 00:00:00"


@pytest.mark.parametrize("text", [None, "", "soon", 5, {}])
def test_what_is_no_time_is_none(text: object) -> None:
    assert parse_moment(text) is None


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, ("seconds", 0)),
        (0, ("seconds", 0)),
        (119, ("seconds", 119)),
        (120, ("minutes", 2)),
        (7199, ("minutes", 119)),
        (7200, ("hours", 2)),
        (172_800, ("days", 2)),
    ],
)
def test_spans_use_the_largest_unit_that_fits(seconds: float, shown: tuple[str, int]) -> None:
    assert span(seconds) == shown
