"""Runs: days in Korea, ends of ranges, pages, and resuming after an interruption."""

import asyncio
import datetime as dt
from typing import Any

import httpx
import pytest

from supatoss import tracing
from supatoss.errors import TossMisconfigured, TossUnavailable
from supatoss.reconcile.records import Days
from supatoss.reconcile.run import Report
from supatoss.store import Store
from supatoss.store.findings import Finding, FindingKind, FindingOutcome, FindingReason
from supatoss.store.reconciliation import AlreadyRunning, LeaseLost, Run, Scope, StartedBy
from tests.collector import Collector
from tests.reconcile.book import Book, open_book
from tests.reconcile.conftest import Project, reconcile

pytestmark = pytest.mark.anyio

MONDAY, TUESDAY, WEDNESDAY = (dt.date(2026, 11, day) for day in (16, 17, 18))
LATER = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)


async def run(
    project: Project, book: Book, first: dt.date, last: dt.date, now: dt.datetime = LATER, **options: Any
) -> tuple[Report, list[Finding]]:
    async with open_book(book) as toss:
        return await reconcile(project, toss, Days(first, last), now, **options)


async def test_a_day_is_one_in_korea_and_its_midnights_belong_to_one_day_each(project: Project) -> None:
    book = Book()
    for order, at in (
        ("order-before", "2026-11-15T23:59:59"),
        ("order-midnight", "2026-11-16T00:00:00"),
        ("order-morning", "2026-11-16T08:59:59"),  # still the 15th in UTC
        ("order-last", "2026-11-16T23:59:59"),
        ("order-next", "2026-11-17T00:00:00"),
    ):
        book.paid(order, at)
    _, findings = await run(project, book, MONDAY, MONDAY)
    assert {item.order_id for item in findings} == {"order-midnight", "order-morning", "order-last"}
    assert {(item.kind, item.day) for item in findings} == {(FindingKind.MISSING, MONDAY)}
    report, findings = await run(project, book, TUESDAY, TUESDAY)
    assert [item.order_id for item in findings] == ["order-next"]
    report, findings = await run(project, book, MONDAY, TUESDAY)
    assert len(findings) == report.left == 4
    assert report.run.listed == 4


async def test_the_end_of_a_range_is_fixed_when_the_run_begins(project: Project) -> None:
    book = Book()
    book.paid("order-early", "2026-11-16T11:59:59")
    book.paid("order-late", "2026-11-16T12:00:00")
    noon = dt.datetime(2026, 11, 16, 3, 0, tzinfo=dt.UTC)
    report, findings = await run(project, book, MONDAY, MONDAY, noon)
    assert [item.order_id for item in findings] == ["order-early"]
    assert report.run.closes_at == noon
    assert {query["endDate"] for query in book.listings()} == {"2026-11-16T12:00:00"}


async def test_money_of_ours_is_looked_for_by_the_same_midnights(project: Project) -> None:
    for order, at in (("order-monday", "2026-11-16T23:59:59.9+09:00"), ("order-tuesday", "2026-11-17T00:00:00+09:00")):
        await project.order(order, payment_key=order, payment_status="DONE", approved_at=at)
    _, findings = await run(project, Book(), MONDAY, MONDAY)
    assert [(item.order_id, item.kind) for item in findings] == [("order-monday", FindingKind.EXTRA)]
    _, findings = await run(project, Book(), TUESDAY, TUESDAY)
    assert [(item.order_id, item.kind) for item in findings] == [("order-tuesday", FindingKind.EXTRA)]


async def test_a_run_is_one_trace(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with Collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        with tracing.exporting(collector.url, "1"):
            await run(project, Book(), MONDAY, TUESDAY)
    (root,) = (span for span in collector.spans if span.name == "reconcile")
    told = {name.removeprefix("supatoss."): value for name, value in root.attributes.items()}
    assert (told["scope"], told["first_day"], told["last_day"]) == ("payments", "2026-11-16", "2026-11-17")
    assert told["compared"] == told["listed"] == 0
    calls = {(span.parent, span.name) for span in collector.spans if span is not root}
    assert calls == {(root.id, "Data API supatoss_advance_reconciliation_v1")} | {
        (root.id, f"Data API supatoss_read_{name}_v1") for name in ("reconciliation_page", "open_orders")
    }


@pytest.mark.parametrize("sign", [1, -1])
async def test_a_payment_cancelled_on_another_day(project: Project, sign: int) -> None:
    book = Book()
    full = book.paid("order-full", "2026-11-16T10:00:00")
    part = book.paid("order-part", "2026-11-16T10:00:00")
    lost = book.paid("order-lost", "2026-11-16T10:00:00")
    for payment in (full, part, lost):
        await project.hear(payment)
    book.canceled(full, "2026-11-17T10:00:00", amount=10_000, listed_as=sign * 10_000)
    book.canceled(part, "2026-11-17T10:00:00", amount=4_000, listed_as=sign * 4_000)
    book.canceled(lost, "2026-11-17T10:00:00", amount=4_000, listed_as=sign * 4_000)
    await project.hear(full)
    await project.hear(part)
    assert (await run(project, book, MONDAY, MONDAY))[1] == []
    _, findings = await run(project, book, TUESDAY, TUESDAY)
    assert [(item.order_id, item.kind) for item in findings] == [("order-lost", FindingKind.STATUS)]
    report, _ = await run(project, book, MONDAY, TUESDAY, applies=True)
    assert (report.left, report.repaired) == (0, 1)
    assert (await run(project, book, MONDAY, WEDNESDAY))[1] == []


async def test_an_approval_listed_with_the_payment_s_later_status_is_no_difference(project: Project) -> None:
    """Toss does not document whether an approval stays DONE in the list; asking about the payment decides."""
    book = Book()
    payment = book.paid("order-full", "2026-11-16T10:00:00", status="CANCELED")
    book.canceled(payment, "2026-11-17T10:00:00", amount=10_000)
    await project.hear(payment)
    assert (await run(project, book, MONDAY, TUESDAY))[1] == []
    assert "pay-order-full" in book.look_ups()


async def test_pages_are_counted_once_and_nothing_is_left_of_them(project: Project) -> None:
    book = Book()
    for number in range(25):
        payment = book.paid(f"order-{number:02d}", f"2026-11-16T10:00:{number:02d}")
        if number % 5:
            await project.hear(payment)
    book.transactions.append(book.transactions[12])  # a row twice
    report, findings = await run(project, book, MONDAY, MONDAY, page_size=4)
    assert [item.order_id for item in findings] == [f"order-{number:02d}" for number in (0, 5, 10, 15, 20)]
    assert (report.run.compared, len(book.listings())) == (25, 7)
    (stored,) = await project.rows("peek_reconciliations")
    assert (stored["status"], stored["listed"], stored["compared"]) == ("finished", 25, 25)
    assert await project.rows("peek_reconciliation_transactions") == []


@pytest.mark.parametrize("page", [2, 3])
async def test_an_interrupted_run_resumes_where_it_was(project: Project, page: int) -> None:
    book = Book()
    for day in (16, 17):
        for number in range(10):
            book.paid(f"order-{day}-{number}", f"2026-11-{day}T10:00:{number:02d}")
    calls = 0

    def trouble(request: httpx.Request) -> httpx.Response | None:
        nonlocal calls
        calls += request.url.path == "/v1/transactions" and request.url.params["startDate"].startswith("2026-11-17")
        return httpx.Response(500, json={"code": "COMMON_ERROR"}) if calls == page else None

    book.trouble = trouble
    with pytest.raises(TossUnavailable):
        await run(project, book, MONDAY, TUESDAY, page_size=4)
    (stored,) = await project.rows("peek_reconciliations")
    assert (stored["status"], stored["day"], stored["lease_token"]) == ("running", "2026-11-17", None)
    asked = len(book.listings())
    book.trouble = lambda _request: None
    report, findings = await run(project, book, MONDAY, TUESDAY, LATER + dt.timedelta(hours=1), page_size=4)
    assert report.run.id == stored["id"]
    assert report.run.closes_at < LATER + dt.timedelta(hours=1)
    assert len(findings) == report.left == 20
    again = book.listings()[asked:]
    assert again[0]["startingAfter"] == f"tx-order-17-{(page - 1) * 4 - 1}"
    assert {query["startDate"] for query in again} == {"2026-11-17T00:00:00"}


async def test_an_interrupted_repair_resumes_and_reports_all(project: Project) -> None:
    book = Book()
    for number in range(20):
        book.paid(f"order-{number:02d}", f"2026-11-16T10:00:{number:02d}")
    book.trouble = lambda request: (
        httpx.Response(500, json={"code": "COMMON_ERROR"})
        if request.url.path.startswith("/v1/payments/") and len(asked_for(book)) > 10
        else None
    )
    with pytest.raises(TossUnavailable):
        await run(project, book, MONDAY, MONDAY, applies=True)
    repaired = len(await project.rows("payments"))
    assert 0 < repaired < 20
    book.trouble = lambda _request: None
    report, findings = await run(project, book, MONDAY, MONDAY, applies=True)
    assert (report.left, report.repaired) == (0, 20)
    assert {finding.outcome for finding in findings} == {FindingOutcome.REPAIRED}
    assert len(await project.rows("payments")) == 20
    assert (await run(project, book, MONDAY, MONDAY))[1] == []


def asked_for(book: Book) -> set[str]:
    return set(book.look_ups())


async def test_ctrl_c_gives_the_run_back(project: Project) -> None:
    book = Book()
    asked = asyncio.Event()

    class Hanging(Book):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            asked.set()
            await asyncio.Event().wait()
            raise AssertionError

    task = asyncio.create_task(run(project, Hanging(), MONDAY, MONDAY))
    await asked.wait()
    with pytest.raises(AlreadyRunning):
        await run(project, book, MONDAY, MONDAY)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    report, _ = await run(project, book, MONDAY, MONDAY)
    assert report.run.outcome == "resumed"


async def open_run(store: Store) -> Run:
    return await store.open_reconciliation(
        Scope.PAYMENTS, MONDAY, MONDAY, LATER, applies=False, started_by=StartedBy.OPERATOR
    )


async def test_a_run_whose_process_died_is_free_when_its_lease_ends_and_the_slow_one_has_lost(project: Project) -> None:
    store = project.store
    slow = await open_run(store)
    assert (await open_run(store)).outcome == "busy"
    await project.update(f"peek_reconciliations?id=eq.{slow.id}", lease_until="2026-01-01T00:00:00+00:00")
    quick = await open_run(store)
    assert (quick.id, quick.outcome) == (slow.id, "resumed")
    with pytest.raises(LeaseLost):
        await store.advance_reconciliation(slow)
    await store.release_reconciliation(slow)
    await store.advance_reconciliation(quick)


async def test_a_run_of_last_week_is_not_gone_on_with(project: Project) -> None:
    store = project.store
    old = await open_run(store)
    kept = {"transaction_key": "tx-1", "subject": "pay-1", "payment_key": "pay-1"}
    await store.advance_reconciliation(old, [kept])
    await store.release_reconciliation(old)
    await project.update(f"peek_reconciliations?id=eq.{old.id}", created_at="2026-01-01T00:00:00+00:00")
    new = await open_run(store)
    assert (new.outcome, new.id != old.id) == ("opened", True)
    assert {row["status"] for row in await project.rows("peek_reconciliations")} == {"abandoned", "running"}
    assert await project.rows("peek_reconciliation_transactions") == []


async def test_one_payment_that_toss_never_answers_about_does_not_hold_the_others_up(project: Project) -> None:
    book = Book()
    for order in ("order-a", "order-b", "order-c"):
        payment = book.paid(order, "2026-11-16T10:00:00")
        await project.hear(payment)
        await project.update(f"payments?order_id=eq.{order}", payment_status="PENDING")
    book.trouble = lambda request: (
        httpx.Response(200, content=b"<html>") if request.url.path.endswith("pay-order-b") else None
    )
    report, findings = await run(project, book, MONDAY, MONDAY, applies=True)
    assert {item.order_id: (item.outcome, item.reason) for item in findings} == {
        "order-a": (FindingOutcome.REPAIRED, None),
        "order-b": (FindingOutcome.NEEDS_PERSON, FindingReason.NOT_ANSWERED),
        "order-c": (FindingOutcome.REPAIRED, None),
    }
    assert report.left == 1


async def test_toss_is_asked_again_when_it_is_busy(project: Project) -> None:
    book = Book()
    payment = book.paid("order-a", "2026-11-16T10:00:00")
    await project.hear(payment)
    await project.update("payments?order_id=eq.order-a", payment_status="PENDING")
    busy = [httpx.Response(500, json={"code": "COMMON_ERROR"}), httpx.Response(400, json={"code": "PROVIDER_ERROR"})]
    book.trouble = lambda request: busy.pop(0) if busy and request.url.path.startswith("/v1/payments/") else None
    _, findings = await run(project, book, MONDAY, MONDAY)
    assert [(item.kind, item.reason) for item in findings] == [(FindingKind.STATUS, None)]


async def test_a_key_that_toss_does_not_accept_ends_the_run_and_says_nothing_of_payments(project: Project) -> None:
    await project.order("order-a", payment_key="a", payment_status="DONE", approved_at="2026-11-16T10:00:00+09:00")
    book = Book(trouble=lambda _request: httpx.Response(401, json={"code": "UNAUTHORIZED_KEY"}))
    with pytest.raises(TossMisconfigured):
        await run(project, book, MONDAY, MONDAY)
    assert await project.rows("peek_reconciliation_findings") == []


async def test_a_transaction_that_names_nothing_needs_a_person(project: Project) -> None:
    book = Book()
    book.paid("order-a", "2026-11-16T10:00:00", paymentKey=None, orderId=None)
    _, (finding,) = await run(project, book, MONDAY, MONDAY, applies=True)
    assert (finding.kind, finding.outcome, finding.reason) == (
        FindingKind.MISSING,
        FindingOutcome.NEEDS_PERSON,
        FindingReason.NO_PAYMENT_NAMED,
    )
    assert finding.transaction_key == "tx-order-a"


async def test_an_order_that_costs_nothing_is_paid_without_toss(project: Project) -> None:
    await project.order(
        "order-free", amount=0, payment_key="free", payment_status="DONE", approved_at="2026-11-16T10:00:00+09:00"
    )
    assert (await run(project, Book(), MONDAY, MONDAY))[1] == []
    book = Book()
    book.paid("order-free", "2026-11-16T10:00:00", amount=5_000)
    _, findings = await run(project, book, MONDAY, MONDAY)
    assert [item.order_id for item in findings] == ["order-free"]


async def test_dollars_and_their_cents(project: Project) -> None:
    book = Book()
    payment = book.paid("order-usd", "2026-11-16T10:00:00", amount=0, currency="USD")
    payment |= {"totalAmount": 12.34, "balanceAmount": 12.34, "currency": "USD"}
    book.transactions[0]["amount"] = 12.34
    report, _ = await run(project, book, MONDAY, MONDAY, applies=True)
    assert report.repaired == 1
    await project.update("payments?order_id=eq.order-usd", amount=12.35)
    _, (finding,) = await run(project, book, MONDAY, MONDAY, applies=True)
    assert (finding.kind, finding.outcome) == (FindingKind.AMOUNT, FindingOutcome.REPAIRED)
    assert (await run(project, book, MONDAY, MONDAY))[1] == []
