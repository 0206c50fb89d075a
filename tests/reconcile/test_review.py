"""Open findings end when nothing differs any more, and so do their alerts."""

import datetime as dt
from typing import Any

import pytest

from supatoss.reconcile.ignore import ignore_findings
from supatoss.reconcile.records import Days, TossRecords
from supatoss.reconcile.run import Reconciliation
from supatoss.reconcile.schedule import Schedule
from supatoss.store.findings import FindingOutcome
from supatoss.store.reconciliation import Scope
from supatoss.store.reviews import FindingFilter
from tests.reconcile.book import Book, open_book
from tests.reconcile.conftest import Play, Project, measure, metric, no_sleep, reconcile

pytestmark = pytest.mark.anyio

MONDAY, TUESDAY = dt.date(2026, 11, 16), dt.date(2026, 11, 17)
LATER = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
HOUR = 3600.0
OPEN = "peek_reconciliation_findings?outcome=in.(found,needs_person)"


async def compare(project: Project, book: Book, first: dt.date = MONDAY, last: dt.date = MONDAY, **options: Any) -> int:
    async with open_book(book) as toss:
        report, _ = await reconcile(project, toss, Days(first, last), LATER, **options)
    return report.left


async def review(project: Project, book: Book, older_than_seconds: float = 0.0) -> tuple[int, int]:
    async with open_book(book) as toss:
        reconciliation = Reconciliation(project.store, toss, records=TossRecords(toss, no_sleep))
        reviewed = await reconciliation.review(older_than_seconds)
    return reviewed.looked_at, reviewed.resolved


async def alerts(project: Project) -> list[tuple[str, str]]:
    await measure(project)
    rows = await project.rows("peek_alerts?rule=eq.reconciliation_difference&ended_at=is.null&order=subject")
    return [(row["subject"], row["details"]["kinds"]) for row in rows]


async def test_differences_are_an_alert_a_day_until_they_are_repaired(project: Project) -> None:
    book = Book()
    for order, at in (("order-a", "16T10:00:00"), ("order-b", "16T11:00:00"), ("order-c", "17T10:00:00")):
        book.paid(order, f"2026-11-{at}")
    await project.order(
        "order-x", payment_key="made-up", payment_status="DONE", approved_at="2026-11-16T10:00:00+09:00"
    )
    assert await compare(project, book, MONDAY, TUESDAY) == 4
    assert await alerts(project) == [("2026-11-16", "extra 1, missing 2"), ("2026-11-17", "missing 1")]
    assert await compare(project, book, MONDAY, TUESDAY) == 4  # again: each is open once
    assert await alerts(project) == [("2026-11-16", "extra 1, missing 2"), ("2026-11-17", "missing 1")]
    assert metric("supatoss_reconciliation_differences", kind="missing") == 3
    assert await compare(project, book, MONDAY, MONDAY, applies=True) == 1
    assert await alerts(project) == [("2026-11-16", "extra 1"), ("2026-11-17", "missing 1")]
    assert await compare(project, book, TUESDAY, TUESDAY, applies=True) == 0
    assert await alerts(project) == [("2026-11-16", "extra 1")]
    assert metric("supatoss_reconciliation_differences", kind="missing") == 0
    await project.update("payments?order_id=eq.order-x", payment_status="PENDING")
    assert await review(project, book) == (1, 1)
    assert await alerts(project) == []


async def test_what_is_set_aside_stays_so_until_it_differs_otherwise(project: Project) -> None:
    book = Book()
    await project.order(
        "order-transfer", payment_key="transfer", payment_status="DONE", approved_at="2026-11-16T10:00:00+09:00"
    )
    assert await compare(project, book) == 1
    assert await alerts(project) == [("2026-11-16", "extra 1")]
    wanted = FindingFilter(order_id="order-transfer")
    ignored = await ignore_findings(project.store, wanted, "paid by bank transfer", actor="kim", dry_run=False)
    assert [item.finding.outcome for item in ignored.findings] == [FindingOutcome.SET_ASIDE]
    assert await alerts(project) == []
    (ended,) = await project.rows("peek_alerts?rule=eq.reconciliation_difference")
    assert ended["details"]["set_aside_by"] == "kim"
    for applies in (False, True, False):
        assert await compare(project, book, applies=applies) == 0
    assert await review(project, book) == (0, 0)
    assert (await project.payment("order-transfer"))["payment_status"] == "DONE"
    assert await alerts(project) == []
    await project.update("payments?order_id=eq.order-transfer", amount=9_000)
    assert await compare(project, book) == 1
    assert await alerts(project) == [("2026-11-16", "extra 1")]


async def test_what_a_webhook_mends_is_resolved_by_the_next_review(project: Project) -> None:
    book = Book()
    late = book.paid("order-late", "2026-11-16T10:00:00")
    lost = book.paid("order-lost", "2026-11-16T10:00:00")
    assert await compare(project, book) == 2
    assert await review(project, book, HOUR) == (0, 0)  # looked at just now
    await project.hear(late)
    assert await review(project, book) == (2, 1)
    (left,) = await project.rows(OPEN)
    assert left["order_id"] == lost["orderId"]
    book.canceled(lost, "2026-11-16T12:00:00", amount=10_000)
    await project.hear(lost)
    assert await review(project, book) == (1, 1)
    assert await project.rows(OPEN) == []


async def test_a_double_charge_ends_when_one_is_refunded(play: Play) -> None:
    await play.pay("order-1")
    second = await play.pay("order-1", heard=False)
    report, (finding,) = await play.reconcile(applies=True)
    assert (finding.outcome, report.left) == (FindingOutcome.NEEDS_PERSON, 1)
    reconciliation = Reconciliation(play.project.store, play.toss, records=TossRecords(play.toss, no_sleep))
    assert (await reconciliation.review(0)).resolved == 0
    await play.step(second, "cancel")
    assert (await reconciliation.review(0)).resolved == 1
    report, findings = await play.reconcile()
    assert findings == []


async def test_toss_silent_or_ignorant_resolves_nothing(project: Project) -> None:
    book = Book()
    book.paid("order-a", "2026-11-16T10:00:00")
    assert await compare(project, book) == 1
    book.payments.clear()  # listed, and unknown
    assert await review(project, book) == (1, 0)
    nameless = Book()
    nameless.paid("order-b", "2026-11-16T10:00:00", paymentKey=None)
    assert await compare(project, nameless) == 1
    assert (await review(project, nameless))[1] == 0


async def test_those_that_waited_longest_come_first_a_hundred_at_a_time(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supatoss.reconcile.review.MAX_FINDINGS", 10)
    book = Book()
    for number in range(25):
        book.paid(f"order-{number:02d}", f"2026-11-16T10:00:{number:02d}")
    assert await compare(project, book) == 25
    asked: list[set[str]] = []
    for _ in range(3):
        book.requests.clear()
        await review(project, book)
        asked.append(set(book.look_ups()))
    assert [len(keys) for keys in asked] == [10, 10, 10]
    assert len(set().union(*asked)) == 25


async def test_the_schedule_reviews_once_an_hour(project: Project) -> None:
    book = Book()
    payment = book.paid("order-a", "2026-11-16T10:00:00")
    assert await compare(project, book) == 1
    await project.hear(payment)
    async with open_book(book) as toss:
        schedule = Schedule(Reconciliation(project.store, toss, records=TossRecords(toss, no_sleep)), None, None)
        await schedule.tick()
        assert len(await project.rows(OPEN)) == 1  # it was looked at within the hour
        await project.update(OPEN, updated_at="2026-11-16T10:00:00+00:00")
        await schedule.tick()
        assert len(await project.rows(OPEN)) == 1  # and the schedule looked within it too
        again = Schedule(Reconciliation(project.store, toss, records=TossRecords(toss, no_sleep)), None, None)
        await again.tick()
    assert await project.rows(OPEN) == []


async def test_a_run_that_is_still_repairing_keeps_its_findings(project: Project) -> None:
    book = Book()
    book.paid("order-a", "2026-11-16T10:00:00")
    assert await compare(project, book) == 1
    await project.update("peek_reconciliations?status=eq.finished", status="running", phase="repair")
    assert await review(project, book) == (0, 0)
    assert await compare(project, book, MONDAY, TUESDAY) == 1
    assert len(await project.rows(OPEN)) == 2


async def test_a_settlement_ends_when_our_row_shows_it(project: Project) -> None:
    settlement = {
        "transactionKey": "tx-1",
        "paymentKey": "pay-1",
        "orderId": "order-1",
        "currency": "KRW",
        "amount": 10_000,
        "payOutAmount": 9_750,
        "soldDate": "2026-11-16",
        "paidOutDate": "2026-11-18",
    }
    book = Book(settlements=[settlement])
    assert await compare(project, book, scope=Scope.SETTLEMENTS) == 1
    assert await alerts(project) == []  # alerts are about payments
    assert await review(project, book) == (1, 0)
    assert await compare(project, book, scope=Scope.SETTLEMENTS, applies=True) == 0
    assert await project.rows(OPEN) == []
    await project.update("settlements?transaction_key=eq.tx-1", pay_out_amount=1)
    assert await compare(project, book, scope=Scope.SETTLEMENTS) == 1
    await project.update("settlements?transaction_key=eq.tx-1", pay_out_amount=9_750)
    assert await review(project, book) == (1, 1)
