"""Stories whose webhooks got lost or whose rows were tampered with: what is found, and what a repair makes of it."""

import datetime as dt
from typing import Any

import pytest

from supatoss.store.findings import Finding, FindingKind, FindingOutcome, FindingReason
from tests.reconcile.conftest import Play, Project

pytestmark = pytest.mark.anyio


def kinds(findings: list[Finding]) -> dict[str | None, FindingKind]:
    return {finding.order_id: finding.kind for finding in findings}


async def check_repair(play: Play, expected: dict[str, FindingKind]) -> None:
    """Dry: exactly these are found and nothing changes. Applied: all are repaired. Again: nothing is found."""
    before = await play.project.rows("payments?order=order_id")
    report, findings = await play.reconcile()
    assert kinds(findings) == expected
    assert report.left == len(expected)
    assert await play.project.rows("payments?order=order_id") == before
    report, findings = await play.reconcile(applies=True)
    assert [(finding.outcome, finding.reason) for finding in findings] == [(FindingOutcome.REPAIRED, None)] * len(
        expected
    )
    assert (report.left, report.repaired) == (0, len(expected))
    report, findings = await play.reconcile()
    assert (report.left, findings) == (0, [])


async def test_nothing_differs_in_a_day_of_everything(play: Play) -> None:
    for order in ("order-card", "order-part", "order-steps", "order-full"):
        await play.project.order(order)
    await play.pay("order-card")
    part = await play.pay("order-part")
    await play.step(part, "cancel", amount=2_500)
    steps = await play.pay("order-steps")
    await play.step(steps, "cancel", amount=6_000)
    await play.step(steps, "cancel", amount=4_000)
    full = await play.pay("order-full")
    await play.step(full, "cancel")
    account = await play.pay("order-account", method="가상계좌")
    await play.step(account, "deposit")
    taken_back = await play.pay("order-taken-back", method="가상계좌")
    await play.step(taken_back, "deposit")
    await play.step(taken_back, "deposit-error")
    await play.pay("order-waiting", method="가상계좌")
    unpaid = await play.pay("order-canceled-account", method="가상계좌")
    await play.step(unpaid, "cancel")
    failed = str((await play.do("payments", orderId="order-again", amount=10_000))["paymentKey"])
    await play.step(failed, "abort")
    await play.pay("order-again")
    refunded = await play.pay("order-refunded")
    await play.step(refunded, "cancel")
    await play.pay("order-refunded")
    report, findings = await play.reconcile()
    assert findings == []
    assert report.run.compared == 10


async def test_lost_webhooks_of_every_kind_are_repaired(play: Play) -> None:
    await play.project.order("order-lost")
    await play.pay("order-lost", heard=False)
    await play.pay("order-unknown", heard=False)
    canceled = await play.pay("order-canceled")
    await play.step(canceled, "cancel", heard=False)
    part = await play.pay("order-part")
    await play.step(part, "cancel", heard=False, amount=2_500)
    second = await play.pay("order-second-part")
    await play.step(second, "cancel", amount=2_500)
    await play.step(second, "cancel", heard=False, amount=2_500)
    deposited = await play.pay("order-deposited", method="가상계좌")
    await play.step(deposited, "deposit", heard=False)
    taken_back = await play.pay("order-taken-back", method="가상계좌")
    await play.step(taken_back, "deposit")
    await play.step(taken_back, "deposit-error", heard=False)
    await check_repair(
        play,
        {
            "order-lost": FindingKind.MISSING,
            "order-unknown": FindingKind.MISSING,
            "order-canceled": FindingKind.STATUS,
            "order-part": FindingKind.STATUS,
            "order-second-part": FindingKind.STATUS,
            "order-deposited": FindingKind.STATUS,
            "order-taken-back": FindingKind.EXTRA,
        },
    )
    row = await play.project.payment("order-second-part")
    assert (row["payment_status"], row["balance_amount"], len(row["cancels"])) == ("PARTIAL_CANCELED", 5_000, 2)
    assert (await play.project.payment("order-taken-back"))["payment_status"] == "WAITING_FOR_DEPOSIT"
    events = await play.project.rows("webhook_events?event_type=eq.supatoss.payment_reconciled")
    assert {(event["proof"], event["status"]) for event in events} == {("toss_api", "processed")}


TAMPERED: list[tuple[dict[str, Any], FindingKind]] = [
    ({"payment_status": "PENDING"}, FindingKind.STATUS),
    ({"payment_status": "CANCELED", "canceled_at": "2026-01-01T00:00:00+00:00"}, FindingKind.STATUS),
    ({"amount": 1}, FindingKind.AMOUNT),
    ({"currency": "USD"}, FindingKind.AMOUNT),
    ({"balance_amount": 1}, FindingKind.AMOUNT),
    ({"approved_at": "2026-01-01T00:00:00+00:00"}, FindingKind.TIME),
    ({"approved_at": None}, FindingKind.TIME),
    ({"cancels": [{"transactionKey": "made-up", "cancelAmount": 1}]}, FindingKind.STATUS),
    ({"payment_status": "PENDING", "approved_at": None, "amount": 5, "order_name": "다른 이름"}, FindingKind.AMOUNT),
]


@pytest.mark.parametrize(("columns", "kind"), TAMPERED)
@pytest.mark.parametrize("is_known", [True, False])
async def test_a_tampered_row_is_what_toss_says_again(
    play: Play, columns: dict[str, Any], kind: FindingKind, *, is_known: bool
) -> None:
    if is_known:
        await play.project.order("order-tampered")
    await play.pay("order-tampered")
    before = await play.project.payment("order-tampered")
    for _ in range(2):  # the same repair a second time is a duplicate event, and repairs all the same
        await play.project.update("payments?order_id=eq.order-tampered", **columns)
        await check_repair(play, {"order-tampered": kind})
        after = await play.project.payment("order-tampered")
        compared = ("payment_key", "payment_status", "amount", "currency", "approved_at", "canceled_at", "cancels")
        assert [after[name] for name in compared] == [before[name] for name in compared]
        assert after["order_name"] == columns.get("order_name", before["order_name"])
    assert len(await play.project.rows("webhook_events?event_type=eq.supatoss.payment_reconciled")) == 1


async def test_a_refund_that_failed_is_looked_up_until_it_is_paid(play: Play) -> None:
    key = await play.pay("order-account", method="가상계좌")
    await play.step(key, "deposit")
    await play.step(key, "refund-result", heard=False, status="FAILED")
    await play.step(key, "cancel")
    report, findings = await play.reconcile(applies=True)
    assert (report.left, findings) == (0, [])
    await play.step(key, "refund-result", heard=False, status="COMPLETED")
    await check_repair(play, {"order-account": FindingKind.STATUS})
    row = await play.project.payment("order-account")
    assert row["virtual_account"]["refundStatus"] == "COMPLETED"


async def test_a_tampered_status_that_an_event_has_folded_in_is_repaired(play: Play) -> None:
    await play.project.order("order-folded")
    key = await play.pay("order-folded", heard=False)
    tampered = {"payment_key": key, "payment_status": "CANCELED", "canceled_at": str(now())}
    await play.project.update("payments?order_id=eq.order-folded", **tampered)
    await play.project.hear({"paymentKey": key, "orderId": "order-folded", "status": "IN_PROGRESS"})
    assert (await play.project.payment("order-folded"))["payment_status"] == "CANCELED"
    await check_repair(play, {"order-folded": FindingKind.STATUS})
    row = await play.project.payment("order-folded")
    assert (row["payment_status"], row["canceled_at"]) == ("DONE", None)


async def test_a_tampered_status_gives_way_to_what_toss_has_reported(play: Play) -> None:
    key = await play.pay("order-folded")
    await play.project.update("payments?order_id=eq.order-folded", payment_status="CANCELED", canceled_at=str(now()))
    await play.project.hear({"paymentKey": key, "orderId": "order-folded", "status": "IN_PROGRESS"})
    row = await play.project.payment("order-folded")
    assert (row["payment_status"], row["canceled_at"]) == ("DONE", None)


async def test_a_payment_key_that_was_tampered_with_is_found_from_both_sides(play: Play) -> None:
    key = await play.pay("order-key")
    await play.project.update("payments?order_id=eq.order-key", payment_key="made-up")
    _, findings = await play.reconcile()
    assert {(item.payment_key, item.kind) for item in findings} == {
        (key, FindingKind.STATUS),
        ("made-up", FindingKind.EXTRA),
    }
    report, _ = await play.reconcile(applies=True)
    assert (report.left, report.repaired) == (0, 2)
    assert (await play.project.payment("order-key"))["payment_key"] == key
    assert (await play.reconcile())[1] == []


async def test_an_amount_that_the_application_stored_otherwise_needs_a_person(play: Play) -> None:
    await play.project.order("order-cheap", amount=9_000)
    await play.pay("order-cheap", heard=False)
    for _ in range(2):
        report, (finding,) = await play.reconcile(applies=True)
        assert (finding.outcome, finding.reason) == (FindingOutcome.NEEDS_PERSON, FindingReason.AMOUNT_MISMATCH)
        assert report.left == 1
        row = await play.project.payment("order-cheap")
        assert (row["payment_status"], row["amount"], row["approved_at"]) == ("PENDING", 9_000, None)
    (event,) = await play.project.rows("webhook_events?order_id=eq.order-cheap")
    assert (event["status"], event["reason"]) == ("failed", "amount_mismatch")
    # The person corrects the order, and the next run finishes what it could not.
    await play.project.update("payments?order_id=eq.order-cheap", amount=10_000)
    report, _ = await play.reconcile(applies=True)
    assert (report.left, report.repaired) == (0, 1)
    assert (await play.project.payment("order-cheap"))["payment_status"] == "DONE"
    assert (await play.reconcile())[1] == []


async def test_an_amount_changed_before_the_webhook_came_is_not_taken_for_accepted(play: Play) -> None:
    """Nobody accepted Toss's price: the row was folded, but no money had moved then."""
    await play.project.order("order-early")
    key = str((await play.do("payments", orderId="order-early", amount=10_000))["paymentKey"])
    await play.project.hear({"paymentKey": key, "orderId": "order-early", "status": "IN_PROGRESS"})
    await play.project.update("payments?order_id=eq.order-early", amount=7_000)
    await play.step(key, "approve", heard=False)
    report, (finding,) = await play.reconcile(applies=True)
    assert (finding.outcome, finding.reason) == (FindingOutcome.NEEDS_PERSON, FindingReason.AMOUNT_MISMATCH)
    assert report.left == 1
    row = await play.project.payment("order-early")
    assert (row["payment_status"], row["amount"]) == ("IN_PROGRESS", 7_000)


async def test_a_double_charge_needs_a_person(play: Play) -> None:
    await play.pay("order-twice")
    await play.pay("order-twice", heard=False)
    _, (finding,) = await play.reconcile()
    assert finding.kind is FindingKind.MISSING
    for _ in range(2):
        report, (finding,) = await play.reconcile(applies=True)
        assert (finding.outcome, finding.reason) == (FindingOutcome.NEEDS_PERSON, FindingReason.DOUBLE_CHARGE)
        assert report.left == 1
    assert finding.kind is FindingKind.DOUBLE_CHARGE
    # The person refunds the second payment.
    await play.step(finding.payment_key or "", "cancel")
    assert (await play.reconcile())[1] == []
    assert (await play.project.payment("order-twice"))["payment_status"] == "DONE"


async def test_money_that_toss_knows_nothing_of_is_reported_and_never_deleted(play: Play) -> None:
    await play.project.order("order-made-up", payment_key="made-up", payment_status="DONE", approved_at=str(now()))
    await play.project.order("order-no-time", payment_key="made-up-2", payment_status="DONE")
    before = await play.project.rows("payments?order=order_id")
    outcomes = []
    for applies in (False, True):
        report, findings = await play.reconcile(applies=applies)
        assert kinds(findings) == {"order-made-up": FindingKind.EXTRA, "order-no-time": FindingKind.EXTRA}
        assert {finding.reason for finding in findings} == {FindingReason.UNKNOWN_TO_TOSS}
        assert report.left == 2
        outcomes.append({finding.outcome for finding in findings})
    assert outcomes == [{FindingOutcome.FOUND}, {FindingOutcome.NEEDS_PERSON}]
    assert await play.project.rows("payments?order=order_id") == before


async def test_a_row_that_says_paid_for_a_payment_that_was_not_is_what_toss_says(play: Play) -> None:
    key = str((await play.do("payments", orderId="order-unpaid", amount=10_000))["paymentKey"])
    await play.project.order("order-unpaid", payment_key=key, payment_status="DONE", approved_at=str(now()))
    await check_repair(play, {"order-unpaid": FindingKind.EXTRA})
    row = await play.project.payment("order-unpaid")
    assert (row["payment_status"], row["approved_at"], row["amount"]) == ("IN_PROGRESS", None, 10_000)


async def test_a_row_that_the_application_marked_paid_under_its_placeholder(play: Play) -> None:
    await play.project.order("order-own")
    await play.project.update("payments?order_id=eq.order-own", payment_status="DONE", approved_at=str(now()))
    key = await play.pay("order-own", heard=False)
    _, findings = await play.reconcile()
    assert {finding.kind for finding in findings} == {FindingKind.MISSING, FindingKind.EXTRA}
    report, _ = await play.reconcile(applies=True)
    assert report.left == 0
    row = await play.project.payment("order-own")
    assert (row["payment_key"], row["payment_status"]) == (key, "DONE")
    assert (await play.reconcile())[1] == []


async def test_what_is_stored_of_a_finding_holds_nothing_secret_or_personal(play: Play) -> None:
    key = await play.pay("order-secret", heard=False, method="가상계좌", customerName="홍길동")
    deposited = await play.step(key, "deposit", heard=False)
    await play.reconcile(applies=True)
    (stored,) = await play.project.rows("peek_reconciliation_findings")
    text = str(stored)
    assert deposited["secret"] not in text
    assert deposited["virtualAccount"]["accountNumber"] not in text
    assert "홍길동" not in text
    (event,) = await play.project.rows("webhook_events?event_type=eq.supatoss.payment_reconciled")
    assert deposited["secret"] not in str(event["payload"])


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


async def test_a_project_without_payments(project: Project, play: Play) -> None:
    report, findings = await play.reconcile()
    assert (report.left, report.run.compared, findings) == (0, 0, [])
    assert await project.rows("peek_reconciliation_transactions") == []
