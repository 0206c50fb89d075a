import datetime as dt

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from supatoss.toss.fields import SEOUL, parse_date, parse_time


def utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)  # type: ignore[misc,arg-type]  # year to microsecond, never tzinfo


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-14T10:21:08", utc(2026, 3, 14, 1, 21, 8)),
        ("2026-03-14T00:30:00", utc(2026, 3, 13, 15, 30)),
        ("2026-01-01T08:59:59", utc(2025, 12, 31, 23, 59, 59)),
        ("2026-03-14T10:21:08+09:00", utc(2026, 3, 14, 1, 21, 8)),
        ("2026-03-14T10:21:08+0900", utc(2026, 3, 14, 1, 21, 8)),
        ("2026-03-14T01:21:08Z", utc(2026, 3, 14, 1, 21, 8)),
        ("2026-03-14T01:21:08+00:00", utc(2026, 3, 14, 1, 21, 8)),
        ("2026-03-13T17:21:08-08:00", utc(2026, 3, 14, 1, 21, 8)),
        ("2026-03-14T10:21", utc(2026, 3, 14, 1, 21)),
        (" 2026-03-14T10:21:08\n", utc(2026, 3, 14, 1, 21, 8)),
        ("2024-02-29T12:00:00", utc(2024, 2, 29, 3)),
        ("0001-01-01T09:00:00", utc(1, 1, 1)),
        ("9999-12-31T23:59:59", utc(9999, 12, 31, 14, 59, 59)),
    ],
)
def test_a_time_without_offset_is_korean_and_any_other_is_what_it_says(text: str, expected: dt.datetime) -> None:
    moment = parse_time(text)
    assert moment == expected
    assert moment.tzinfo is dt.UTC


@pytest.mark.parametrize(
    ("fraction", "microsecond"),
    [
        (".1", 100_000),
        (".65", 650_000),
        (".729", 729_000),
        (".5512", 551_200),
        (".40512", 405_120),
        (".000417", 417),
        (".1234567", 123_456),
        (".12345678", 123_456),
        (".999999999", 999_999),
    ],
)
@pytest.mark.parametrize(("offset", "hour"), [("", 1), ("+09:00", 1), ("Z", 10)])
def test_any_number_of_digits_of_a_second_is_read(fraction: str, microsecond: int, offset: str, hour: int) -> None:
    assert parse_time(f"2026-03-14T10:21:08{fraction}{offset}") == utc(2026, 3, 14, hour, 21, 8, microsecond)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        " ",
        "T",
        "null",
        "yesterday",
        "2026-03-14",
        "2026-03-14 10:21:08",
        "2026-02-29T10:00:00",
        "2026-13-01T10:00:00",
        "2026-03-14T25:00:00",
        "2026-03-14T10:60:00",
        "2026-03-14T10:21:08+25:00",
        "2026-03-14T10:21:08.",
        "2026-03-14T10:21:08 09:00",
        "0000-01-01T00:00:00",
        "0001-01-01T00:00:00",
        "0001-01-01T08:59:59",
        "9999-12-31T23:59:59-09:00",
        "10000-01-01T00:00:00",
        "-2026-03-14T10:21:08",
        "２０２６-03-14T10:21:08",
        "2026-03-14T10:21:08\ud800",
        1773450068,
        1.5,
        True,
        [],
        {"T": 1},
        b"2026-03-14T10:21:08",
    ],
    ids=repr,
)
def test_what_is_no_time_is_none(value: object) -> None:
    assert parse_time(value) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-05-06", dt.date(2026, 5, 6)),
        ("2026-05-06T10:00:00+09:00", dt.date(2026, 5, 6)),
        (" 2026-05-06 ", dt.date(2026, 5, 6)),
        ("2024-02-29", dt.date(2024, 2, 29)),
        ("2026-02-29", None),
        ("0000-00-00", None),
        ("06.05.2026", None),
        ("", None),
        (None, None),
        (20260506, None),
        (["2026-05-06"], None),
    ],
)
def test_a_date_is_a_calendar_day_or_none(text: object, expected: dt.date | None) -> None:
    assert parse_date(text) == expected


@given(st.text() | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.,+\-ZW]*"))
@example("T\ud800")
def test_reading_is_total(text: str) -> None:
    moment = parse_time(text)
    assert moment is None or moment.tzinfo is dt.UTC
    day = parse_date(text)
    assert day is None or isinstance(day, dt.date)


@given(st.datetimes(min_value=dt.datetime(1, 1, 2), max_value=dt.datetime(9999, 12, 30)))  # noqa: DTZ001 - Toss's own form
def test_what_korea_writes_without_offset_is_what_it_writes_with_one(local: dt.datetime) -> None:
    korean = local.replace(tzinfo=SEOUL)
    assert parse_time(local.isoformat()) == parse_time(korean.isoformat()) == korean
