"""Orders whose rows never moved money are asked for at Toss by their order id."""

import datetime as dt
from typing import Any

import httpx
import pytest

from supatoss.errors import TossUnavailable
from supatoss.reconcile import run as runs
from supatoss.reconcile.orders import MAX_ORDERS
from supatoss.reconcile.records import Days, today
from supatoss.reconcile.run import Report
from supatoss.store.findings import Finding, FindingKind, FindingOutcome
from tests.reconcile.book import Book, open_book
from tests.reconcile.conftest import Project, reconcile

pytestmark = pytest.mark.anyio

MONDAY, TUESDAY = dt.date(2026, 11, 16), dt.date(2026, 11, 17)
LATER = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)


async def ordered(project: Project, order: str, at: str = "2026-11-16T12:00:00+09:00", **columns: Any) -> None:
    await project.order(order, created_at=at, **columns)


async def run(
    project: Project, book: Book, day: dt.date = MONDAY, now: dt.datetime = LATER, **options: Any
) -> tuple[Report, list[Finding]]:
    async with open_book(book) as toss:
        return await reconcile(project, toss, Days(day, day), now, **options)


def asked_by_order(book: Book) -> list[str]:
    return [path.rsplit("/", 1)[1] for path in (request.url.path for request in book.requests) if "/orders/" in path]


@pytest.mark.parametrize("status", ["PENDING", "READY", "IN_PROGRESS", "WAITING_FOR_DEPOSIT", "EXPIRED", "FAILED"])
async def test_the_buyer_paid_and_closed_the_window(project: Project, status: str) -> None:
    """Toss lists the payment on another day, which nobody compared: the row of this day is what is known."""
    await ordered(project, "order-paid", payment_status=status)
    await ordered(project, "order-left")
    book = Book()
    book.paid("order-paid", "2026-11-17T00:10:00")
    report, (finding,) = await run(project, book)
    assert sorted(asked_by_order(book)) == ["order-left", "order-paid"]
    assert (finding.order_id, finding.kind, finding.payment_key) == (
        "order-paid",
        FindingKind.MISSING,
        "pay-order-paid",
    )
    assert (report.run.orders_asked, report.run.orders_left_out, report.left) == (2, False, 1)
    report, (finding,) = await run(project, book, applies=True)
    assert (finding.outcome, report.left) == (FindingOutcome.REPAIRED, 0)
    row = await project.payment("order-paid")
    assert (row["payment_status"], row["payment_key"]) == ("DONE", "pay-order-paid")
    assert (await project.payment("order-left"))["payment_status"] == "PENDING"
    assert (await run(project, book))[1] == []


async def test_what_is_known_or_too_young_is_not_asked_for(project: Project) -> None:
    await ordered(project, "order-before", "2026-11-15T23:59:59+09:00")
    await ordered(project, "order-first", "2026-11-16T00:00:00+09:00")
    await ordered(project, "order-last", "2026-11-16T23:59:59+09:00")
    await ordered(project, "order-after", "2026-11-17T00:00:00+09:00")
    await ordered(project, "order-listed")
    book = Book()
    book.paid("order-listed", "2026-11-16T13:00:00")
    await ordered(project, "order-done", payment_status="DONE", approved_at="2026-11-16T12:00:00+09:00")
    await run(project, book)
    assert sorted(asked_by_order(book)) == ["order-first", "order-last"]


async def test_an_order_of_the_last_hour_may_still_be_paid(project: Project) -> None:
    now = dt.datetime.now(dt.UTC)
    await ordered(project, "order-young", (now - dt.timedelta(minutes=59)).isoformat())
    await ordered(project, "order-old", (now - dt.timedelta(minutes=61)).isoformat())
    book = Book()
    async with open_book(book) as toss:
        await reconcile(project, toss, Days(today(now) - dt.timedelta(days=1), today(now)), now)
    assert asked_by_order(book) == ["order-old"]


async def test_no_more_than_so_many_a_day_with_pauses_between(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "MAX_ORDERS", 16)
    monkeypatch.setattr(runs, "BURST_ORDERS", 8)
    for number in range(20):
        await ordered(project, f"order-{number:02d}")
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("tests.reconcile.conftest.no_sleep", sleep)
    book = Book()
    report, findings = await run(project, book)
    assert sorted(asked_by_order(book)) == [f"order-{number:02d}" for number in range(16)]
    assert (report.run.orders_asked, report.run.orders_left_out, findings) == (16, True, [])
    assert pauses == [1.0]
    assert report.is_compared
    assert MAX_ORDERS == 500


async def test_an_order_that_toss_does_not_answer_about_makes_the_run_incomplete(project: Project) -> None:
    for order in ("order-a", "order-b", "order-c"):
        await ordered(project, order)
    book = Book()
    book.trouble = lambda request: (
        httpx.Response(500, json={"code": "COMMON_ERROR"}) if request.url.path.endswith("order-b") else None
    )
    report, findings = await run(project, book)
    assert findings == []
    assert [problem.key for problem in report.incomplete] == ["open orders"]
    assert not report.is_compared
    book.trouble = lambda request: (
        httpx.Response(400, json={"code": "INVALID_REQUEST"}) if request.url.path.endswith("order-b") else None
    )
    report, _ = await run(project, book)
    assert report.is_compared  # an id that Toss takes from nobody was never paid


async def test_an_interrupted_run_goes_on_after_the_last_order(project: Project) -> None:
    for number in range(20):
        await ordered(project, f"order-{number:02d}")
    book = Book()
    book.trouble = lambda _request: (
        httpx.Response(500, json={"code": "COMMON_ERROR"}) if len(set(asked_by_order(book))) > 8 else None
    )
    with pytest.raises(TossUnavailable, match="payment_by_order"):
        await run(project, book)
    (stored,) = await project.rows("peek_reconciliations")
    assert (stored["phase"], stored["position"], stored["orders_asked"]) == ("ask", "order-07", 8)
    book.trouble = lambda _request: None
    book.requests.clear()
    report, _ = await run(project, book)
    assert sorted(asked_by_order(book)) == [f"order-{number:02d}" for number in range(8, 20)]
    assert report.run.orders_asked == 20
