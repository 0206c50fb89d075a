"""The schedule: yesterday in Korea, once a day over any number of processes, and what it tells."""

import asyncio
import datetime as dt
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from supatoss.errors import TossUnavailable
from supatoss.reconcile.records import TossRecords
from supatoss.reconcile.run import Reconciliation
from supatoss.reconcile.schedule import Retention, Schedule
from supatoss.telemetry import RECONCILIATION_DIFFERENCES
from supatoss.toss.client import TossClient
from supatoss.toss.keys import ApiKey
from tests.reconcile.book import Book, open_book
from tests.reconcile.conftest import LIVE_KEY, TOSS_URL, Project, measure, metric, no_sleep

pytestmark = pytest.mark.anyio

HALF_PAST_FOUR = dt.time(4, 30)
DIFFERENCES = "supatoss_reconciliation_differences"
RECONCILED_AT = "supatoss_reconciled_timestamp_seconds"
REVOKED_KEY = "live_sk_made_up_and_revoked"


class Clock:
    """A clock that a test sets, in Korean time."""

    def __init__(self, text: str) -> None:
        self.set(text)

    def set(self, text: str) -> None:
        self.now = dt.datetime.fromisoformat(f"{text}+09:00")

    def __call__(self) -> dt.datetime:
        return self.now


def make(project: Project, toss: TossClient, clock: Clock, at: dt.time | None = HALF_PAST_FOUR) -> Schedule:
    reconciliation = Reconciliation(project.store, toss, records=TossRecords(toss, no_sleep))
    return Schedule(reconciliation, at, None, clock)


async def test_yesterday_is_reconciled_once_it_is_time_and_changes_nothing(project: Project) -> None:
    book = Book()
    book.paid("order-lost", "2026-11-16T23:59:59")
    book.paid("order-today", "2026-11-17T00:00:00")
    clock = Clock("2026-11-17T04:29:59")
    async with open_book(book) as toss:
        schedule = make(project, toss, clock)
        assert await schedule.reconcile_days() == []
        assert book.requests == []
        clock.set("2026-11-17T04:30:00")
        with capture_logs() as lines:
            (report,) = await schedule.reconcile_days()
        assert report.left == 1
        asked = len(book.requests)
        assert await schedule.reconcile_days() == []
        assert len(book.requests) == asked
    (line,) = [line for line in lines if line["event"] == "reconciled"]
    assert (line["log_level"], line["day"], line["differences"], line["missing"]) == ("error", "2026-11-16", 1, 1)
    await measure(project)
    kinds = ("missing", "extra", "amount", "status", "time", "double_charge")
    assert [metric(DIFFERENCES, kind=kind) for kind in kinds] == [1, 0, 0, 0, 0, 0]
    assert await project.rows("payments") == []
    (stored,) = await project.rows("peek_reconciliations")
    assert (stored["started_by"], stored["applies"], stored["first_day"]) == ("schedule", False, "2026-11-16")


async def test_a_day_without_differences_reports_its_zero_and_the_time(project: Project) -> None:
    clock = Clock("2026-11-17T05:00:00")
    async with open_book(Book()) as toss:
        with capture_logs() as lines:
            await make(project, toss, clock).reconcile_days()
    assert [(line["log_level"], line["differences"]) for line in lines] == [("info", 0)]
    await measure(project)
    assert metric(DIFFERENCES, kind="missing") == 0
    (stored,) = await project.rows("peek_reconciliations")
    finished_at = dt.datetime.fromisoformat(stored["finished_at"])
    assert metric(RECONCILED_AT) == finished_at.timestamp()
    await measure(project, reconciles=False)
    assert metric(RECONCILED_AT) == 0


async def test_of_two_processes_one_reconciles_and_both_know_the_result(project: Project) -> None:
    book = Book()
    book.paid("order-lost", "2026-11-16T10:00:00")
    clock = Clock("2026-11-17T05:00:00")
    async with open_book(book) as toss:
        first, second = make(project, toss, clock), make(project, toss, clock)
        with capture_logs() as lines:
            await asyncio.gather(first.tick(), second.tick())
            await first.tick()
            await second.tick()
    assert len(book.listings()) == 1
    assert [line["event"] for line in lines] == ["reconciled"]
    assert len(await project.rows("peek_reconciliations")) == 1
    RECONCILIATION_DIFFERENCES.clear()  # as in a process that has just started
    await measure(project)
    assert metric(DIFFERENCES, kind="missing") == 1


async def test_a_failed_job_is_due_again_and_resumes(project: Project) -> None:
    book = Book(trouble=lambda _request: httpx.Response(500, json={"code": "COMMON_ERROR"}))
    clock = Clock("2026-11-17T05:00:00")
    async with open_book(book) as toss:
        schedule = make(project, toss, clock)
        with pytest.raises(TossUnavailable):
            await schedule.reconcile_days()
        asked = len(book.requests)
        book.trouble = lambda _request: None
        (report,) = await schedule.reconcile_days()
        assert (report.run.outcome, report.is_compared, len(book.requests)) == ("later", False, asked)
        await project.update("peek_reconciliations?failed_at=not.is.null", failed_at="2026-11-17T04:00:00+09:00")
        clock.set("2026-11-17T06:00:00")
        (report,) = await schedule.reconcile_days()
        assert (report.run.outcome, report.is_compared) == ("resumed", True)
        clock.set("2026-11-18T05:00:00")
        (report,) = await schedule.reconcile_days()
        assert report.run.outcome == "opened"
    assert len(await project.rows("peek_reconciliations")) == 2


def open_two(book: Book) -> TossClient:
    """With a second key, of another merchant id, which Toss refuses until the book's trouble ends."""
    refused = ApiKey.of(2, REVOKED_KEY).authorization

    def trouble(request: httpx.Request) -> httpx.Response | None:
        is_refused = request.headers["authorization"] == refused
        return httpx.Response(401, json={"code": "UNAUTHORIZED_KEY"}) if is_refused else None

    book.trouble = trouble
    return TossClient(TOSS_URL, [LIVE_KEY, REVOKED_KEY], transport=book)


async def test_an_incomplete_day_is_not_done_and_is_tried_again_after_an_hour(project: Project) -> None:
    book, clock = Book(), Clock("2026-11-17T05:00:00")
    async with open_two(book) as toss:
        schedule, other = make(project, toss, clock), make(project, toss, clock)
        with capture_logs() as lines:
            (report,) = await schedule.reconcile_days()
        assert report.run.incomplete == {"key 2 (…oked)": "UNAUTHORIZED_KEY"}
        assert [(line["event"], line["log_level"]) for line in lines if "day" in line] == [
            ("reconciled in part", "error")
        ]
        await measure(project)
        (first,) = await project.rows("peek_reconciliations")
        # Nothing is compared yet: the first try counts.
        first_tried_at = dt.datetime.fromisoformat(first["created_at"]).timestamp()
        assert metric(RECONCILED_AT) == first_tried_at
        asked = len(book.requests)
        clock.set("2026-11-17T05:59:59")
        assert await schedule.reconcile_days() == []
        assert [report.run.outcome for report in await other.reconcile_days()] == ["later"]
        assert len(book.requests) == asked
        await project.update("peek_reconciliations?status=eq.finished", finished_at="2026-11-17T04:00:00+09:00")
        clock.set("2026-11-17T06:00:00")
        (report,) = await schedule.reconcile_days()
        assert (report.run.outcome, report.is_compared) == ("opened", False)
        await measure(project)
        assert metric(RECONCILED_AT) == first_tried_at
        book.trouble = lambda _request: None
        await project.update("peek_reconciliations?status=eq.finished", finished_at="2026-11-17T05:00:00+09:00")
        clock.set("2026-11-17T07:00:00")
        (report,) = await schedule.reconcile_days()
        assert (report.run.outcome, report.is_compared) == ("opened", True)
        assert await schedule.reconcile_days() == []
    (stored,) = await project.rows("peek_reconciliations")
    assert (stored["status"], stored["incomplete"]) == ("finished", {})
    await measure(project)
    assert metric(RECONCILED_AT) == dt.datetime.fromisoformat(stored["finished_at"]).timestamp()


async def first_event(project: Project, at: str) -> None:
    await project.hear({"paymentKey": "pay-first", "orderId": "order-first", "status": "READY"})
    await project.update("webhook_events?order_id=eq.order-first", created_at=at)


def days_of(book: Book) -> list[str]:
    return [query["startDate"][:10] for query in book.listings()]


async def test_after_an_outage_yesterday_comes_first_and_then_the_newest_days(project: Project) -> None:
    await first_event(project, "2026-11-11T23:59:59+09:00")
    book, clock = Book(), Clock("2026-11-12T05:00:00")
    async with open_book(book) as toss:
        assert len(await make(project, toss, clock).reconcile_days()) == 1
        clock.set("2026-11-17T05:00:00")
        schedule = make(project, toss, clock)
        with capture_logs() as lines:
            await schedule.tick()
            await schedule.tick()
    assert days_of(book) == [f"2026-11-{day}" for day in (11, 16, 15, 14, 13, 12)]
    assert [line["day"] for line in lines] == [f"2026-11-{day}" for day in (16, 15, 14, 13, 12)]


async def test_days_of_more_than_a_month_ago_are_not_caught_up_on(project: Project) -> None:
    await first_event(project, "2026-09-01T12:00:00+09:00")
    book, clock = Book(), Clock("2026-11-17T05:00:00")
    async with open_book(book) as toss:
        await make(project, toss, clock).reconcile_days()
        assert days_of(book)[0] == "2026-11-16"
        assert days_of(book)[-1] == "2026-10-17"
        assert len(book.listings()) == 31
        found = await project.store.uncompared_days(dt.date(2026, 11, 16), 366)
    assert (found.total, found.days[0], found.days[-1]) == (46, dt.date(2026, 10, 16), dt.date(2026, 9, 1))


async def test_toss_away_costs_one_try_an_hour_however_many_days_wait(project: Project) -> None:
    await first_event(project, "2026-11-10T12:00:00+09:00")
    book, clock = Book(trouble=lambda _request: httpx.Response(500, json={})), Clock("2026-11-17T05:00:00")
    async with open_book(book) as toss:
        schedule = make(project, toss, clock)
        with pytest.raises(TossUnavailable):
            await schedule.reconcile_days()
        asked = len(book.requests)
        reports = await make(project, toss, clock).reconcile_days()
        assert {report.run.outcome for report in reports} == {"later"}
        assert len(book.requests) == asked
    (stored,) = await project.rows("peek_reconciliations")
    assert (stored["day"], stored["lease_token"]) == ("2026-11-16", None)
    assert stored["problem"].startswith("Toss, transactions:")


async def test_without_a_time_of_day_nothing_is_reconciled(project: Project) -> None:
    async with open_book(Book()) as toss:
        assert await make(project, toss, Clock("2026-11-17T05:00:00"), at=None).reconcile_days() == []
    assert await project.rows("peek_reconciliations") == []


async def test_the_loop_ends_when_told_to_even_while_toss_is_silent(project: Project) -> None:
    asked = asyncio.Event()

    class Silent(Book):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            asked.set()
            await asyncio.Event().wait()
            raise AssertionError

    async with open_book(Silent()) as toss:
        schedule = make(project, toss, Clock("2026-11-17T05:00:00"))
        loop = asyncio.create_task(schedule.run())
        await asked.wait()
        schedule.stop()
        await loop
    (stored,) = await project.rows("peek_reconciliations")
    assert (stored["status"], stored["lease_token"]) == ("running", None)


async def test_payloads_are_emptied_once_an_hour_in_batches(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supatoss.reconcile.schedule.BATCH_EVENTS", 2)
    for number in range(5):
        await project.hear({"paymentKey": f"pay-{number}", "orderId": f"order-{number}", "status": "DONE"})
    await project.update("webhook_events?order_id=neq.order-4", created_at="2025-01-01T00:00:00+00:00")
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async with open_book(Book()) as toss:
        reconciliation = Reconciliation(project.store, toss)
        schedule = Schedule(reconciliation, None, Retention(project.store, 365, sleep))
        await schedule.tick()
        await schedule.tick()
    rows = await project.rows("webhook_events?order=order_id")
    emptied: list[Any] = [row["payload"] == {} for row in rows]
    assert emptied == [True, True, True, True, False]
    assert len(pauses) == 2
