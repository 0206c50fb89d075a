"""Repairs on an operator's word: the dry run shows exactly what the repair does, and changes nothing."""

import datetime as dt
from typing import Any

import pytest

from supatoss.errors import TossUnavailable
from supatoss.reconcile import repair as repair_module
from supatoss.reconcile.records import Days
from supatoss.reconcile.repair import FindingRepairer, Repairs
from supatoss.store.findings import FindingOutcome, FindingReason
from supatoss.store.reconciliation import Scope
from supatoss.store.reviews import FindingFilter
from supatoss.toss.client import TossClient
from tests.reconcile.book import Book, open_book
from tests.reconcile.conftest import Project, reconcile
from tests.reconcile.test_settlements import settled

pytestmark = pytest.mark.anyio

MONDAY = dt.date(2026, 11, 16)
LATER = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
ROWS = ("payments?order=order_id", "webhook_events?order=event_key", "peek_reconciliation_findings?order=subject")


async def compare(project: Project, toss: TossClient) -> None:
    await reconcile(project, toss, Days(MONDAY, MONDAY), LATER)


async def repair(project: Project, toss: TossClient, *, dry_run: bool, **wanted: Any) -> Repairs:
    repairer = FindingRepairer(project.store, toss)
    return await repairer.repair(FindingFilter(**wanted), actor="kim", address="192.0.2.7", dry_run=dry_run)


def told(repairs: Repairs) -> list[tuple[Any, ...]]:
    return [
        (item.finding.order_id, done.finding.outcome, done.finding.reason, done.before, done.after)
        for item, done in repairs.repairs
    ]


async def everything(project: Project) -> list[Any]:
    return [await project.rows(path) for path in ROWS]


async def test_a_dry_run_shows_what_the_repair_does_and_changes_nothing(project: Project) -> None:
    book = Book()
    paid = book.paid("order-unheard", "2026-11-16T10:00:00")
    book.paid("order-unknown", "2026-11-16T11:00:00")
    cheap = book.paid("order-cheap", "2026-11-16T12:00:00", amount=9_900)
    await project.order("order-unheard")
    await project.order("order-cheap", amount=99_000)
    await project.order(
        "order-made-up", payment_key="made-up", payment_status="DONE", approved_at="2026-11-16T10:00:00+09:00"
    )
    async with open_book(book) as toss:
        await compare(project, toss)
        before = await everything(project)
        acted = await project.rows("peek_operator_actions?select=id&order=id")
        dry = await repair(project, toss, dry_run=True)
        assert await everything(project) == before
        assert await project.rows("peek_operator_actions?select=id&order=id") == acted
        done = await repair(project, toss, dry_run=False)
    assert told(done) == told(dry)
    by_order = {item.finding.order_id: repaired for item, repaired in dry.repairs}
    unheard = by_order["order-unheard"]
    assert (unheard.before["status"], unheard.after["status"]) == ("PENDING", "DONE")
    assert unheard.after["payment_key"] == paid["paymentKey"]
    assert by_order["order-unknown"].before == {}
    assert by_order["order-unknown"].finding.outcome is FindingOutcome.REPAIRED
    assert by_order["order-cheap"].finding.reason is FindingReason.AMOUNT_MISMATCH
    assert by_order["order-made-up"].finding.reason is FindingReason.UNKNOWN_TO_TOSS
    assert (await project.payment("order-unheard"))["payment_status"] == "DONE"
    assert (await project.payment("order-cheap"))["payment_status"] == "PENDING"
    assert cheap["totalAmount"] == 9_900
    left = await project.rows("peek_reconciliation_findings?outcome=in.(found,needs_person)&order=order_id")
    assert [row["order_id"] for row in left] == ["order-cheap", "order-made-up"]


async def test_who_repaired_what_is_on_record(project: Project) -> None:
    book = Book()
    book.paid("order-1", "2026-11-16T10:00:00")
    async with open_book(book) as toss:
        await compare(project, toss)
        (finding,) = await project.rows("peek_reconciliation_findings")
        await repair(project, toss, dry_run=False, ids=(finding["id"],))
        assert (await repair(project, toss, dry_run=False, ids=(finding["id"],))).repairs == []  # nothing is open
    (action,) = await project.rows(f"peek_operator_actions?finding_id=eq.{finding['id']}")
    shown = ("actor", "address", "action", "status_before", "status_after")
    assert [action[name] for name in shown] == ["kim", "192.0.2.7", "repair", "found", "repaired"]
    (event,) = await project.rows("webhook_events")
    assert action["event_id"] == event["id"]


async def test_what_differs_no_longer_is_closed_without_a_change(project: Project) -> None:
    book = Book()
    paid = book.paid("order-1", "2026-11-16T10:00:00")
    async with open_book(book) as toss:
        await compare(project, toss)
        await project.hear(paid)
        before = await project.payment("order-1")
        ((_, repaired),) = (await repair(project, toss, dry_run=True)).repairs
        assert repaired.before == repaired.after
        await repair(project, toss, dry_run=False)
    assert await project.payment("order-1") == before
    (finding,) = await project.rows("peek_reconciliation_findings")
    assert finding["outcome"] == "repaired"


async def test_a_few_at_a_time_of_one_day(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repair_module, "MAX_REPAIRS", 2)
    book = Book()
    for number in range(3):
        book.paid(f"order-{number}", "2026-11-16T10:00:00")
    async with open_book(book) as toss:
        await compare(project, toss)
        first = await repair(project, toss, dry_run=False, day=MONDAY)
        assert (first.repaired, first.has_more) == (2, True)
        assert (await repair(project, toss, dry_run=False, day=MONDAY - dt.timedelta(days=1))).repairs == []
        second = await repair(project, toss, dry_run=False, day=MONDAY)
        assert (second.repaired, second.has_more) == (1, False)


async def test_settlements_are_repaired_from_what_toss_listed(project: Project) -> None:
    book = Book(settlements=[settled(1), settled(2, amount=-4_000)])
    async with open_book(book) as toss:
        await reconcile(project, toss, Days(MONDAY, MONDAY), LATER, scope=Scope.SETTLEMENTS)
        dry = await repair(project, toss, dry_run=True)
        assert await project.rows("settlements") == []
        assert (dry.repaired, len(dry.repairs)) == (2, 2)
        assert told(await repair(project, toss, dry_run=False)) == told(dry)
    assert len(await project.rows("settlements")) == 2


async def test_what_was_repaired_before_toss_fell_silent_is_kept(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = Book()
    for number in range(2):
        book.paid(f"order-{number}", "2026-11-16T10:00:00")
    async with open_book(book) as toss:
        await compare(project, toss)
        repairer = FindingRepairer(project.store, toss)
        look_up = repairer._records.payments
        answers = iter([True])

        async def payments(keys: Any, merchant_ids: Any = ()) -> Any:
            if next(answers, False):
                return await look_up(keys, merchant_ids)
            raise TossUnavailable("payment", "timeout")

        monkeypatch.setattr(repairer._records, "payments", payments)
        done = await repairer.repair(FindingFilter(), actor="kim", dry_run=False)
        assert (done.repaired, type(done.problem)) == (1, TossUnavailable)
        (noted,) = await project.rows("peek_reconciliation_findings?outcome=eq.repaired")
        assert len(await project.rows(f"peek_operator_actions?finding_id=eq.{noted['id']}")) == 1
        with pytest.raises(TossUnavailable):
            await repairer.repair(FindingFilter(), actor="kim", dry_run=False)
    left = await project.rows("peek_reconciliation_findings?outcome=in.(found,needs_person)")
    assert len(left) == 1
