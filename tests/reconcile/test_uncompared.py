"""Days that count as compared, and those that never were."""

import datetime as dt
from typing import Any

import pytest

from supatoss.reconcile.records import Days, ranges_of
from supatoss.store.reconciliation import Scope
from tests.reconcile.book import Book, open_book
from tests.reconcile.conftest import Project, reconcile

pytestmark = pytest.mark.anyio

LATER = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
LAST = dt.date(2026, 11, 19)


def day(number: int) -> dt.date:
    return dt.date(2026, 11, number)


@pytest.fixture
async def since_16(project: Project) -> Project:
    """The first event came on the 16th in Korea, on the 15th in UTC."""
    await project.hear({"paymentKey": "pay-first", "orderId": "order-first", "status": "READY"})
    await project.update("webhook_events?order_id=eq.order-first", created_at="2026-11-15T15:00:00+00:00")
    return project


async def run(project: Project, first: int, last: int, now: dt.datetime = LATER, **options: Any) -> None:
    async with open_book(Book()) as toss:
        await reconcile(project, toss, Days(day(first), day(last)), now, **options)


async def left(project: Project) -> list[int]:
    found = await project.store.uncompared_days(LAST, 366)
    assert found.total == len(found.days)
    return [item.day for item in found.days]


async def test_without_an_event_there_is_nothing_to_compare(project: Project) -> None:
    assert await left(project) == []


async def test_a_finished_run_over_days_that_had_ended_compares_them(since_16: Project) -> None:
    assert await left(since_16) == [19, 18, 17, 16]
    await run(since_16, 17, 18, applies=True)
    assert await left(since_16) == [19, 16]
    found = await since_16.store.uncompared_days(LAST, 1)
    assert (found.total, found.days) == (2, [day(19)])


async def test_a_day_that_had_not_ended_is_not_compared(since_16: Project) -> None:
    await run(since_16, 16, 17, dt.datetime(2026, 11, 17, 14, 59, 59, tzinfo=dt.UTC))
    assert await left(since_16) == [19, 18, 17]
    await run(since_16, 17, 18, dt.datetime(2026, 11, 17, 15, 0, tzinfo=dt.UTC))
    assert await left(since_16) == [19, 18]


@pytest.mark.parametrize(
    "columns",
    [
        {"status": "running", "finished_at": None},
        {"status": "abandoned"},
        {"incomplete": {"key 2 (…wxyz)": "UNAUTHORIZED_KEY"}},
        {"kind": "settlements"},
    ],
)
async def test_other_runs_compare_nothing(since_16: Project, columns: dict[str, Any]) -> None:
    await run(since_16, 16, 19)
    assert await left(since_16) == []
    await since_16.update("peek_reconciliations?status=eq.finished", **columns)
    assert await left(since_16) == [19, 18, 17, 16]


async def test_settlements_compare_no_payments(since_16: Project) -> None:
    await run(since_16, 16, 19, scope=Scope.SETTLEMENTS)
    assert len(await left(since_16)) == 4


def test_days_are_ranges_of_a_month_at_most_newest_first() -> None:
    assert ranges_of([]) == []
    assert ranges_of([day(19), day(18), day(16), day(14), day(13)]) == [
        Days(day(18), day(19)),
        Days(day(16), day(16)),
        Days(day(13), day(14)),
    ]
    days = [dt.date(2026, 11, 30) - dt.timedelta(days=number) for number in range(40)]
    assert ranges_of(days) == [
        Days(dt.date(2026, 10, 31), dt.date(2026, 11, 30)),
        Days(dt.date(2026, 10, 22), dt.date(2026, 10, 30)),
    ]
