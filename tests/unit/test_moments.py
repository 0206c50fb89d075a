import datetime as dt

import pytest

from supatoss.cli.options import read_moment, show_moment
from supatoss.errors import NotAllowed

NOW = dt.datetime(2026, 3, 14, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30m", "2026-03-14T11:30:00+00:00"),
        ("2h", "2026-03-14T10:00:00+00:00"),
        ("7d", "2026-03-07T12:00:00+00:00"),
        ("2026-03-14", "2026-03-13T15:00:00+00:00"),
        ("2026-03-14T09:00", "2026-03-14T00:00:00+00:00"),
        (" 2026-03-14 09:00:30 ", "2026-03-14T00:00:30+00:00"),
        ("2026-03-14T09:00Z", "2026-03-14T09:00:00+00:00"),
        ("2026-03-14T09:00:00-05:00", "2026-03-14T14:00:00+00:00"),
    ],
)
def test_times_without_an_offset_are_korean(text: str, expected: str) -> None:
    assert read_moment(text, NOW).isoformat() == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2h ago", "-2h", "2026-13-01", "999999d", "0001-01-01", "10:00"])
def test_what_is_no_time_says_what_one_is(text: str) -> None:
    with pytest.raises(NotAllowed, match="is not a time"):
        read_moment(text, NOW)


def test_times_are_shown_as_korean_ones() -> None:
    assert show_moment(NOW) == "2026-03-14 21:00:00"
    assert show_moment(None) == ""
