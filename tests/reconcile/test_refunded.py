"""A payment over another amount that is refunded at Toss: one alert, whoever hears of what, and no other afterwards."""

import pytest

from supatoss.alerts.rules import Limits, Rule
from supatoss.alerts.watch import Watch
from supatoss.store.findings import FindingReason
from tests.reconcile.conftest import Play

pytestmark = pytest.mark.anyio


async def alerts(play: Play, watch: Watch) -> list[str]:
    """What fails after another look, and nothing else has begun: the subjects of the amount that differs."""
    await watch.check()
    facts = await play.project.store.read_alert_facts(20)
    assert {failure.rule for failure in facts.failed} <= {Rule.AMOUNT_MISMATCH}
    return [failure.subject for failure in facts.failed]


async def ignore_all(play: Play) -> None:
    events = await play.project.rows("webhook_events?status=eq.failed&select=id")
    await play.project.store.ignore_events(
        [event["id"] for event in events], "refunded at Toss", actor="somebody", dry_run=False
    )


@pytest.mark.parametrize("is_heard", [True, False], ids=["the cancel is heard", "the cancel's webhook is lost"])
@pytest.mark.parametrize("is_compared_first", [True, False], ids=["compared before it is set aside", "only after"])
async def test_a_refund_makes_no_other_alert(play: Play, is_heard: bool, is_compared_first: bool) -> None:
    watch = Watch(play.project.store, Limits(10), None, 60, "test")
    await play.project.order("order-1", 9_900)
    key = await play.pay("order-1")
    assert await alerts(play, watch) == ["order-1"]
    await play.step(key, "cancel", reason="another price", heard=is_heard)
    assert await alerts(play, watch) == ["order-1"]
    if is_compared_first:
        await play.reconcile(applies=True)
        assert await alerts(play, watch) == ["order-1"]
    await ignore_all(play)
    assert await alerts(play, watch) == []
    for applies in (False, True):
        report, findings = await play.reconcile(applies=applies)
        assert (report.run.compared, findings) == (1, [])
        assert await alerts(play, watch) == []
    assert (await play.project.payment("order-1"))["payment_status"] == "PENDING"


async def test_money_that_is_still_there_is_reported_though_its_events_were_set_aside(play: Play) -> None:
    watch = Watch(play.project.store, Limits(10), None, 60, "test")
    await play.project.order("order-1", 9_900)
    await play.pay("order-1")
    await ignore_all(play)
    assert await alerts(play, watch) == []
    report, findings = await play.reconcile(applies=True)
    assert (report.left, [finding.reason for finding in findings]) == (1, [FindingReason.AMOUNT_MISMATCH])
    assert await alerts(play, watch) == ["order-1"]
