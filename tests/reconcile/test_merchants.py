"""Several merchant ids: each key lists its own, and what is wrong with one key is no obstacle for the others."""

import datetime as dt
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import httpx
import pytest
from anyio import to_thread
from typer.testing import CliRunner

from scripts.emulator.app import Emulator
from scripts.emulator.options import Options
from supatoss.cli import app
from supatoss.errors import TossMisconfigured
from supatoss.reconcile.records import today
from supatoss.store.findings import Finding, FindingKind, FindingOutcome, FindingReason, remaining_by_merchant
from supatoss.store.reconciliation import Scope
from supatoss.toss.client import TossClient
from supatoss.toss.keys import ApiKey
from tests.reconcile.conftest import SUPABASE_KEY, TOSS_URL, Play, Project

pytestmark = pytest.mark.anyio

WINDOW = "live_gsk_made_up_for_window"
BILLING = "live_sk_made_up_for_billing"
REVOKED = "live_sk_made_up_for_revoked"
SILENT = "live_sk_made_up_for_silent"


class Merchants(httpx.AsyncBaseTransport):
    """Toss with two merchants; it refuses a third key, and answers a fourth one with nothing but time."""

    def __init__(self, emulators: dict[str, Emulator]) -> None:
        self._by_key = {
            ApiKey.of(1, key).authorization: httpx.ASGITransport(emulator.app) for key, emulator in emulators.items()
        }

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        authorization = request.headers.get("authorization", "")
        if authorization == ApiKey.of(1, SILENT).authorization:
            raise httpx.ReadTimeout("", request=request)
        if authorization not in self._by_key:
            return httpx.Response(401, json={"code": "UNAUTHORIZED_KEY", "message": "인증되지 않은 시크릿 키입니다."})
        return await self._by_key[authorization].handle_async_request(request)


@dataclass(frozen=True)
class Two:
    """Two merchants: that of the payment window, and that of billing."""

    window: Play
    billing: Play
    transport: Merchants

    def with_keys(self, *keys: str) -> Play:
        toss = TossClient(TOSS_URL, keys, transport=self.transport)
        return Play(self.window.http, toss, self.window.project)


@pytest.fixture
async def two(project: Project) -> AsyncIterator[Two]:
    emulators = {
        WINDOW: Emulator(Options([WINDOW], m_id="window", seed=1)),
        BILLING: Emulator(Options([BILLING], m_id="billing", seed=2)),
    }
    transport = Merchants(emulators)
    async with AsyncExitStack() as stack:
        plays = []
        for key, emulator in emulators.items():
            inside = httpx.ASGITransport(emulator.app)
            http = await stack.enter_async_context(httpx.AsyncClient(transport=inside, base_url=TOSS_URL))
            toss = await stack.enter_async_context(TossClient(TOSS_URL, [key], transport=inside))
            plays.append(Play(http, toss, project))
        yield Two(plays[0], plays[1], transport)
        for emulator in emulators.values():
            await emulator.close()


def told(findings: list[Finding]) -> set[tuple[str | None, FindingKind, FindingReason | None]]:
    return {(finding.order_id, finding.kind, finding.reason) for finding in findings}


@pytest.mark.parametrize("keys", [(WINDOW, BILLING), (BILLING, WINDOW)])
async def test_what_was_lost_at_either_merchant_is_found_and_repaired(two: Two, keys: tuple[str, str]) -> None:
    await two.window.pay("order-1")
    await two.window.pay("order-lost-1", heard=False)
    await two.billing.pay("order-2")
    await two.billing.pay("order-lost-2", heard=False)
    play = two.with_keys(*keys)
    report, findings = await play.reconcile()
    assert told(findings) == {(order, FindingKind.MISSING, None) for order in ("order-lost-1", "order-lost-2")}
    assert [(source.merchant_ids, source.rows) for source in sorted(report.sources, key=lambda source: source.key)] in (
        [({"window"}, 2), ({"billing"}, 2)],
        [({"billing"}, 2), ({"window"}, 2)],
    )
    assert report.run.compared == 4
    report, findings = await play.reconcile(applies=True)
    assert (report.repaired, report.left, report.incomplete) == (2, 0, [])
    merchants = {row["order_id"]: row["merchant_id"] for row in await two.window.project.rows("payments")}
    assert merchants == {"order-1": "window", "order-lost-1": "window", "order-2": "billing", "order-lost-2": "billing"}


async def test_the_same_order_id_at_both_merchants_is_two_payments_of_one_order(two: Two) -> None:
    await two.window.pay("order-1")
    second = await two.billing.pay("order-1", heard=False)
    _report, findings = await two.with_keys(WINDOW, BILLING).reconcile()
    assert [(finding.payment_key, finding.kind) for finding in findings] == [(second, FindingKind.MISSING)]
    _report, findings = await two.with_keys(WINDOW, BILLING).reconcile(applies=True)
    assert [(finding.outcome, finding.reason) for finding in findings] == [
        (FindingOutcome.NEEDS_PERSON, FindingReason.DOUBLE_CHARGE)
    ]


async def test_two_keys_of_one_merchant_list_each_transaction_once(two: Two) -> None:
    await two.window.pay("order-1", heard=False)
    report, findings = await two.with_keys(WINDOW, WINDOW).reconcile()
    assert len(findings) == report.run.compared == 1


@pytest.mark.parametrize(("bad", "problem"), [(REVOKED, "UNAUTHORIZED_KEY"), (SILENT, "took too long")])
@pytest.mark.parametrize("place", [0, 1, 2])
async def test_a_bad_key_beside_good_ones_is_named_and_hides_nothing(
    two: Two, bad: str, problem: str, place: int
) -> None:
    await two.window.pay("order-1", heard=False)
    await two.billing.pay("order-2", heard=False)
    keys = [WINDOW, BILLING]
    keys.insert(place, bad)
    report, findings = await two.with_keys(*keys).reconcile(applies=True)
    assert told(findings) == {(order, FindingKind.MISSING, None) for order in ("order-1", "order-2")}
    assert (report.repaired, report.left) == (2, 0)
    (incomplete,) = report.incomplete
    assert (incomplete.key, problem in (incomplete.problem or "")) == (f"key {place + 1} (…{bad[-4:]})", True)


async def test_money_that_a_refused_key_may_know_is_not_called_unknown(two: Two) -> None:
    await two.billing.pay("order-2")
    _report, findings = await two.with_keys(WINDOW, REVOKED).reconcile()
    assert [finding.reason for finding in findings] == [FindingReason.KEY_REFUSED]
    _report, findings = await two.with_keys(WINDOW, SILENT).reconcile()
    assert [finding.reason for finding in findings] == [FindingReason.NOT_ANSWERED]
    _report, findings = await two.with_keys(WINDOW).reconcile()
    assert [finding.reason for finding in findings] == [FindingReason.UNKNOWN_TO_TOSS]


async def test_nothing_is_reported_where_no_key_is_accepted(two: Two) -> None:
    with pytest.raises(TossMisconfigured, match="UNAUTHORIZED_KEY"):
        await two.with_keys(REVOKED, REVOKED).reconcile()


async def test_settlements_of_both_merchants_are_compared(two: Two) -> None:
    for play, order in ((two.window, "order-1"), (two.billing, "order-2")):
        payment_key = await play.pay(order)
        await play.do(f"settlements/{payment_key}")
    report, findings = await two.with_keys(WINDOW, REVOKED, BILLING).reconcile(scope=Scope.SETTLEMENTS)
    assert {finding.order_id for finding in findings} == {"order-1", "order-2"}
    assert remaining_by_merchant(findings) == {"billing": 1, "window": 1}
    assert [source.problem for source in report.sources] == [None, "UNAUTHORIZED_KEY", None]
    _report, repaired = await two.with_keys(WINDOW, BILLING).reconcile(scope=Scope.SETTLEMENTS, applies=True)
    assert (len(repaired), remaining_by_merchant(repaired)) == (2, {})


async def test_the_command_counts_the_settlements_that_differ_by_merchant(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    for play, order in ((two.window, "order-1"), (two.window, "order-2"), (two.billing, "order-3")):
        await play.do(f"settlements/{await play.pay(order)}")
    keys = (WINDOW, BILLING)
    monkeypatch.setattr("supatoss.cli.session.open_toss", lambda _: TossClient(TOSS_URL, keys, transport=two.transport))
    env = {
        "SUPABASE_URL": two.window.project.supabase.url,
        "SUPABASE_SECRET_KEY": SUPABASE_KEY,
        "TOSS_SECRET_KEY": ",".join(keys),
    }
    day = today(dt.datetime.now(dt.UTC))
    command = ["reconcile", "--settlements", "--from", f"{day - dt.timedelta(days=1)}", "--to", f"{day}"]

    async def run(*options: str) -> str:
        result = await to_thread.run_sync(lambda: CliRunner().invoke(app, [*command, *options], env=env))
        return result.stdout

    assert json.loads(await run("--json"))["differences_by_merchant_id"] == {"billing": 1, "window": 2}
    assert "merchant id billing: 1 left\nmerchant id window: 2 left\n" in await run()
    assert json.loads(await run("--json", "--apply"))["differences_by_merchant_id"] == {}
