"""Which days `supatoss reconcile` takes."""

import datetime as dt

import pytest
import typer
from typer.testing import CliRunner

from supatoss.cli import app
from supatoss.cli.reconcile import _days
from supatoss.reconcile.records import Days

NOW = dt.datetime(2026, 11, 16, 15, 0, tzinfo=dt.UTC)  # midnight of the 17th in Korea
TODAY = dt.date(2026, 11, 17)


def day(text: str | None) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if text else None


@pytest.mark.parametrize(
    ("one", "first", "last", "days"),
    [
        (None, None, None, ("2026-11-16", "2026-11-16")),
        ("2026-11-17", None, None, ("2026-11-17", "2026-11-17")),
        (None, "2026-11-01", "2026-11-17", ("2026-11-01", "2026-11-17")),
        (None, "2025-11-17", "2026-11-17", ("2025-11-17", "2026-11-17")),
    ],
)
def test_days(one: str | None, first: str | None, last: str | None, days: tuple[str, str]) -> None:
    assert _days(day(one), day(first), day(last), NOW) == Days(*map(dt.date.fromisoformat, days))


@pytest.mark.parametrize(
    ("one", "first", "last", "message"),
    [
        ("2026-11-16", "2026-11-16", None, "not both"),
        (None, "2026-11-16", None, "belong together"),
        (None, None, "2026-11-16", "belong together"),
        (None, "2026-11-16", "2026-11-15", "before --to"),
        ("2026-11-18", None, None, "2026-11-17 in Korea"),
        (None, "2026-11-16", "2026-11-18", "2026-11-17 in Korea"),
        (None, "2025-11-16", "2026-11-17", "366 days"),
    ],
)
def test_wrong_use(one: str | None, first: str | None, last: str | None, message: str) -> None:
    with pytest.raises(typer.BadParameter, match=message):
        _days(day(one), day(first), day(last), NOW)


@pytest.mark.parametrize("option", [["--day", "2026-11-16"], ["--from", "2026-11-16"], ["--settlements"]])
def test_days_that_were_never_compared_are_not_chosen(option: list[str]) -> None:
    result = CliRunner().invoke(app, ["reconcile", "--since-last", *option])
    assert result.exit_code == 2
    assert "--since-last goes with" in result.output
