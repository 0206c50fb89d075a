"""Settlements of a day of sales."""

import datetime as dt
from typing import Any

import pytest

from supatoss.reconcile.records import Days
from supatoss.reconcile.run import Report
from supatoss.store.findings import Finding, FindingKind, FindingOutcome, FindingReason
from supatoss.store.reconciliation import Scope
from tests.reconcile.book import Book, open_book
from tests.reconcile.conftest import Project, reconcile

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("supabase", ["pglite", "postgres"], indirect=True, scope="session"),
]

DAY = dt.date(2026, 11, 16)
LATER = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)


def settled(number: int, amount: int = 10_000, **more: Any) -> dict[str, Any]:
    return {
        "transactionKey": f"tx-{number}",
        "paymentKey": f"pay-{number}",
        "orderId": f"order-{number}",
        "currency": "KRW",
        "amount": amount,
        "fees": [{"type": "BASE", "fee": 200}, {"type": "ETC", "fee": 50}],
        "payOutAmount": amount - 250,
        "soldDate": "2026-11-16",
        "paidOutDate": "2026-11-18",
        **more,
    }


async def run(project: Project, book: Book, **options: Any) -> tuple[Report, list[Finding]]:
    async with open_book(book) as toss:
        days = Days(DAY, DAY + dt.timedelta(days=1))
        return await reconcile(project, toss, days, LATER, scope=Scope.SETTLEMENTS, **options)


async def test_missing_and_different_settlements_are_found_and_repaired(project: Project) -> None:
    book = Book(settlements=[settled(1), settled(2, amount=-4_000), settled(3, soldDate="2026-11-17")])
    await project.hear({"paymentKey": "pay-1", "orderId": "order-1", "status": "DONE", "totalAmount": 10_000})
    _, findings = await run(project, book)
    assert {(item.transaction_key, item.kind) for item in findings} == {
        (f"tx-{number}", FindingKind.MISSING) for number in (1, 2, 3)
    }
    assert await project.rows("settlements") == []
    report, _ = await run(project, book, applies=True)
    assert (report.left, report.repaired) == (0, 3)
    row = await project.row("settlements?transaction_key=eq.tx-1")
    assert (row["amount"], row["fee"], row["pay_out_amount"]) == (10_000, 250, 9_750)
    assert (row["status"], row["sold_date"], row["paid_out_date"]) == ("COMPLETED", "2026-11-16", "2026-11-18")
    assert (await project.payment("order-1"))["settled_at"] is not None
    assert (await run(project, book))[1] == []
    for _ in range(2):  # the second time its event is a duplicate
        await project.update("settlements?transaction_key=eq.tx-2", amount=1, pay_out_amount=1)
        _, (finding,) = await run(project, book)
        assert (finding.kind, finding.ours["amount"], finding.theirs["amount"]) == (FindingKind.AMOUNT, "1", "-4000")
        report, _ = await run(project, book, applies=True)
        assert (report.left, report.repaired) == (0, 1)
        assert (await project.row("settlements?transaction_key=eq.tx-2"))["amount"] == -4_000
    assert (await run(project, book))[1] == []


async def test_a_settlement_keeps_the_key_that_its_webhook_gave_it(project: Project) -> None:
    await project.insert(
        "settlements",
        settlement_key="settlement:own-name",
        kind="settlement",
        status="COMPLETED",
        transaction_key="tx-1",
        amount=1,
        occurred_at="2026-11-17T00:00:00+00:00",
        event_key="made-up",
    )
    book = Book(settlements=[settled(1)])
    report, _ = await run(project, book, applies=True)
    assert report.repaired == 1
    row = await project.row("settlements")
    assert (row["settlement_key"], row["amount"]) == ("settlement:own-name", 10_000)
    assert (await run(project, book))[1] == []


async def test_a_settlement_that_names_nothing_needs_a_person(project: Project) -> None:
    book = Book(settlements=[settled(1, transactionKey=None, paymentKey=None, orderId=None)])
    report, (finding,) = await run(project, book, applies=True)
    assert (finding.outcome, finding.reason, report.left) == (
        FindingOutcome.NEEDS_PERSON,
        FindingReason.NO_PAYMENT_NAMED,
        1,
    )
