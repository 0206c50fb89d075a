"""The schedule: yesterday in Korea, once a day over any number of processes, and what it tells."""

import asyncio
import datetime as dt
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from supatoss.errors import TossUnavailable
from supatoss.reconcile.records import TossRecords
from supatoss.reconcile.run import Reconciliation
from supatoss.reconcile.schedule import Retention, Schedule
from supatoss.telemetry import RECONCILIATION_DIFFERENCES
from supatoss.toss.client import TossClient
from tests.reconcile.book import Book, open_book
from tests.reconcile.conftest import Project, no_sleep

pytestmark = pytest.mark.anyio

HALF_PAST_FOUR = dt.time(4, 30)
DIFFERENCES = "supatoss_reconciliation_differences"


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


def metric(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


async def test_yesterday_is_reconciled_once_it_is_time_and_changes_nothing(project: Project) -> None:
    book = Book()
    book.paid("order-lost", "2026-11-16T23:59:59")
    book.paid("order-today", "2026-11-17T00:00:00")
    clock = Clock("2026-11-17T04:29:59")
    async with open_book(book) as toss:
        schedule = make(project, toss, clock)
        assert await schedule.reconcile_yesterday() is None
        assert book.requests == []
        clock.set("2026-11-17T04:30:00")
        with capture_logs() as lines:
            report = await schedule.reconcile_yesterday()
        assert report is not None
        assert report.left == 1
        asked = len(book.requests)
        assert await schedule.reconcile_yesterday() is None
        assert len(book.requests) == asked
    (line,) = [line for line in lines if line["event"] == "reconciled"]
    assert (line["log_level"], line["day"], line["differences"], line["missing"]) == ("error", "2026-11-16", 1, 1)
    kinds = ("missing", "extra", "amount", "status", "time", "double_charge")
    assert [metric(DIFFERENCES, kind=kind) for kind in kinds] == [1, 0, 0, 0, 0, 0]
    assert await project.rows("payments") == []
    (stored,) = await project.rows("peek_reconciliations")
    assert (stored["started_by"], stored["applies"], stored["first_day"]) == ("schedule", False, "2026-11-16")


async def test_a_day_without_differences_reports_its_zero_and_the_time(project: Project) -> None:
    clock = Clock("2026-11-17T05:00:00")
    async with open_book(Book()) as toss:
        with capture_logs() as lines:
            await make(project, toss, clock).reconcile_yesterday()
    assert [(line["log_level"], line["differences"]) for line in lines] == [("info", 0)]
    assert metric(DIFFERENCES, kind="missing") == 0
    assert metric("supatoss_reconciled_timestamp_seconds") == clock.now.timestamp()


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
    async with open_book(book) as toss:
        await make(project, toss, clock).tick()
    assert metric(DIFFERENCES, kind="missing") == 1


async def test_a_failed_job_is_due_again_and_resumes(project: Project) -> None:
    book = Book(trouble=lambda _request: httpx.Response(500, json={"code": "COMMON_ERROR"}))
    clock = Clock("2026-11-17T05:00:00")
    async with open_book(book) as toss:
        schedule = make(project, toss, clock)
        with pytest.raises(TossUnavailable):
            await schedule.reconcile_yesterday()
        with capture_logs() as lines:
            await schedule.tick()
        assert [line["event"] for line in lines] == ["job postponed"]
        book.trouble = lambda _request: None
        report = await schedule.reconcile_yesterday()
        assert report is not None
        assert report.run.outcome == "resumed"
        clock.set("2026-11-18T05:00:00")
        assert await schedule.reconcile_yesterday() is not None
    assert len(await project.rows("peek_reconciliations")) == 2


async def test_without_a_time_of_day_nothing_is_reconciled(project: Project) -> None:
    async with open_book(Book()) as toss:
        assert await make(project, toss, Clock("2026-11-17T05:00:00"), at=None).reconcile_yesterday() is None
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
