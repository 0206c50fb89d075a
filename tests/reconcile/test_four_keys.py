"""Two merchants with the same order ids, a revoked third key, a hanging fourth: story → result.

The table is printed: pytest -n 0 -s tests/reconcile/test_four_keys.py
"""

import asyncio
import datetime as dt
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from scripts.emulator.app import Emulator
from scripts.emulator.options import Options
from supatoss.app import create_app
from supatoss.inbox.lookups import Lookups
from supatoss.inbox.worker import Worker
from supatoss.settings import Settings
from supatoss.store.findings import Finding
from supatoss.store.reconciliation import Scope
from supatoss.toss.client import TossClient
from supatoss.toss.fields import SEOUL
from supatoss.toss.keys import ApiKey
from tests.reconcile.conftest import SUPABASE_KEY, TOSS_URL, Play, Project
from tests.support import raw_body, signed_headers

pytestmark = pytest.mark.anyio

WINDOW = "live_gsk_made_up_for_window"
BILLING = "live_sk_made_up_for_billing"
REVOKED = "live_sk_made_up_for_revoked"
HANGING = "live_sk_made_up_for_hanging"
ORDERS = {
    "good first": (WINDOW, BILLING, REVOKED, HANGING),
    "bad first": (HANGING, REVOKED, BILLING, WINDOW),
    "mixed": (REVOKED, WINDOW, HANGING, BILLING),
}
LOOK_UP_SECONDS = 0.8
"""TOSS_TIMEOUT_SECONDS, shared out among four keys; shorter than usual, because the hanging key is waited for."""

HANGS_SECONDS = 1.0
"""Longer than a delivery's look-up. In reality as long as each request may take, up to a minute."""

ACCOUNT = {"method": "가상계좌"}


class FourKeys(httpx.AsyncBaseTransport):
    """Toss: two merchants, a key that it refuses, and one that never gets an answer in time."""

    def __init__(self, emulators: dict[str, Emulator]) -> None:
        self._by_key = {
            ApiKey.of(1, key).authorization: (key, httpx.ASGITransport(emulator.app))
            for key, emulator in emulators.items()
        }
        self.asked: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        authorization = request.headers["authorization"]
        if authorization == ApiKey.of(1, HANGING).authorization:
            if "/v1/payments/" in request.url.path:
                await asyncio.sleep(HANGS_SECONDS)
            raise httpx.ReadTimeout("", request=request)
        if authorization not in self._by_key:
            return httpx.Response(401, json={"code": "UNAUTHORIZED_KEY", "message": "인증되지 않은 시크릿 키입니다."})
        key, transport = self._by_key[authorization]
        self.asked.append(key)
        return await transport.handle_async_request(request)


@dataclass
class World:
    """The service's endpoint and worker with four keys, and both merchants' side of the story."""

    project: Project
    transport: FourKeys
    window: Play
    billing: Play
    toss: TossClient
    service: httpx.AsyncClient
    worker: Worker
    keys: tuple[str, ...]

    async def deliver(self, event_type: str, data: dict[str, Any], *, signed_with: str | None = None) -> str:
        """The answer to it."""
        body = {"eventType": event_type, "createdAt": "2026-11-26T10:00:00.000000", "data": data}
        if event_type == "DEPOSIT_CALLBACK":
            body = {"createdAt": "2026-11-26T10:00:00.000000", **data}
        raw = raw_body(body)
        headers = signed_headers(raw, signed_with, self.now()) if signed_with else {}
        answer = await self.service.post("/webhooks/toss", content=raw, headers=headers)
        return f"{answer.status_code} {answer.json()['status']}" if answer.is_success else str(answer.status_code)

    async def paid(self, play: Play, order: str) -> dict[str, Any]:
        """A payment at a merchant, whose webhook is still to come."""
        key = (await play.do("payments", orderId=order, amount=10_000))["paymentKey"]
        return await play.do(f"payments/{key}/approve", force=True)

    async def account(self, play: Play, order: str) -> dict[str, Any]:
        made = await play.do("payments", orderId=order, amount=10_000, **ACCOUNT)
        return await play.do(f"payments/{made['paymentKey']}/approve", force=True)

    @staticmethod
    def now() -> str:
        return dt.datetime.now(SEOUL).isoformat(timespec="seconds")

    async def row(self, order: str) -> str:
        rows = await self.project.rows(f"payments?order_id=eq.{order}")
        return "; ".join(f"{row['payment_status']} at {row['merchant_id']}" for row in rows) or "no row"

    async def events(self, order: str) -> str:
        rows = await self.project.rows(f"webhook_events?order_id=eq.{order}&order=created_at")
        return ", ".join(f"{row['status']} {row['reason'] or ''}".strip() for row in rows)

    async def work(self) -> None:
        """What waits is due now, and worked on."""
        await self.project.update("webhook_events?status=eq.pending", next_attempt_at="2026-01-01T00:00:00+00:00")
        await self.worker.work_once()

    async def reconcile(self, scope: Scope = Scope.PAYMENTS, *, applies: bool = False) -> str:
        """What was found by whom, and which keys did not list."""
        play = Play(self.window.http, self.toss, self.project)
        report, findings = await play.reconcile(applies=applies, scope=scope)
        found = sorted(_told(finding) for finding in findings)
        listed = {name for source in report.sources if not source.problem for name in source.merchant_ids}
        failed = [
            f"{source.key[-5:-1]} {source.problem.rpartition('TOSS_API_URL ')[2]}" for source in report.incomplete
        ]
        return f"{', '.join(found) or 'nothing'}; listed {sorted(listed)}, not {sorted(failed)}"


def _told(finding: Finding) -> str:
    return " ".join(filter(None, (finding.order_id, finding.kind, finding.outcome, finding.reason)))


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.slow if name != "mixed" else ()) for name in ORDERS])
async def world(project: Project, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    emulators = {
        WINDOW: Emulator(Options([WINDOW], m_id="window", seed=1)),
        BILLING: Emulator(Options([BILLING], m_id="billing", seed=2)),
    }
    transport, keys = FourKeys(emulators), ORDERS[request.param]
    settings = Settings.load(
        supabase_url=project.supabase.url,
        SUPABASE_SECRET_KEY=SUPABASE_KEY,
        toss_secret_key=",".join(keys),
        toss_timeout_seconds=LOOK_UP_SECONDS,
        worker="off",
    )
    async with AsyncExitStack() as stack:
        plays = []
        for key, emulator in emulators.items():
            inside = httpx.ASGITransport(emulator.app)
            http = await stack.enter_async_context(httpx.AsyncClient(transport=inside, base_url=TOSS_URL))
            plays.append(Play(http, await stack.enter_async_context(TossClient(TOSS_URL, [key])), project))
        toss = await stack.enter_async_context(TossClient(TOSS_URL, keys, transport=transport))
        lookups = Lookups(toss)
        app = httpx.ASGITransport(create_app(settings, store=project.store, toss=toss))
        service = await stack.enter_async_context(httpx.AsyncClient(transport=app, base_url="http://service"))
        worker = Worker(project.store, toss, lookups)
        yield World(project, transport, plays[0], plays[1], toss, service, worker, keys)
        for emulator in emulators.values():
            await emulator.close()


Story = Callable[[World], Awaitable[str]]


async def unsigned(world: World) -> str:
    """unsigned, of either merchant"""
    answers = [
        await world.deliver("PAYMENT_STATUS_CHANGED", await world.paid(play, order))
        for play, order in ((world.window, "order-1"), (world.billing, "order-2"))
    ]
    return f"{' / '.join(answers)}; {await world.row('order-1')}; {await world.row('order-2')}"


async def signed(world: World) -> str:
    """signed by each key, and by one that is no longer listed"""
    answers = []
    for number, key in enumerate((WINDOW, BILLING, REVOKED, HANGING, "live_sk_made_up_for_removed")):
        payment = await world.paid(world.billing, f"order-{number}")
        answers.append(await world.deliver("PAYMENT_STATUS_CHANGED", payment, signed_with=key))
    return " / ".join(answers)


async def made_up(world: World) -> str:
    """unsigned, about a payment that nobody has: the revoked or the hanging key might know it"""
    return await world.deliver("PAYMENT_STATUS_CHANGED", {"paymentKey": "made-up", "orderId": "o", "status": "DONE"})


async def another_secret(world: World) -> str:
    """unsigned, with a secret that is not the payment's"""
    payment = await world.paid(world.billing, "order-1")
    return await world.deliver("PAYMENT_STATUS_CHANGED", {**payment, "secret": "ps_made_up"})


async def same_order_paid_twice(world: World) -> str:
    """the same order id paid at both merchants: a double charge"""
    answers = [
        await world.deliver("PAYMENT_STATUS_CHANGED", await world.paid(play, "order-1"))
        for play in (world.window, world.billing)
    ]
    return f"{' / '.join(answers)}; {await world.row('order-1')}; {await world.events('order-1')}"


async def deposit_callback(world: World) -> str:
    """accounts for the same order id at both, and DEPOSIT_CALLBACK of one, which names neither payment nor merchant"""
    results = []
    for number, paying in enumerate((world.window, world.billing)):
        order = f"order-{number}"
        accounts = [(play, await world.account(play, order)) for play in (world.window, world.billing)]
        for _, account in accounts:
            await world.deliver("PAYMENT_STATUS_CHANGED", account)
        (account,) = (account for play, account in accounts if play is paying)
        await paying.do(f"payments/{account['paymentKey']}/deposit")
        said = {"secret": account["secret"], "status": "DONE", "transactionKey": "t", "orderId": order}
        results.append(f"{await world.deliver('DEPOSIT_CALLBACK', said)} {await world.row(order)}")
    return "; ".join(results)


async def deposit_by_worker(world: World) -> str:
    """a signed deposit that Toss does not show yet: the worker finishes it, and asks the merchant's key first"""
    results = []
    for play, key, order in ((world.window, WINDOW, "order-1"), (world.billing, BILLING, "order-2")):
        account = await world.account(play, order)
        await world.deliver("PAYMENT_STATUS_CHANGED", account)
        said = {name: account[name] for name in ("paymentKey", "orderId", "secret")}
        said["depositedAt"] = "2026-11-26T10:00:00+09:00"
        answer = await world.deliver("VIRTUAL_ACCOUNT_DEPOSIT", said, signed_with=world.keys[0])
        waiting = (await world.events(order)).split(", ")[-1]
        await play.do(f"payments/{account['paymentKey']}/deposit")
        world.transport.asked.clear()
        await world.work()
        is_first = world.transport.asked == [key]
        results.append(f"{answer}, {waiting} → {await world.row(order)}{', its key alone' if is_first else ''}")
    return "; ".join(results)


async def reconciled(world: World) -> str:
    """payments lost at both, one at the revoked key's merchant: reconcile, then --apply"""
    await world.paid(world.window, "order-1")
    await world.paid(world.billing, "order-2")
    elsewhere = {"paymentKey": "pay-3", "orderId": "order-3", "status": "DONE", "totalAmount": 10_000}
    await world.project.hear({**elsewhere, "balanceAmount": 10_000, "approvedAt": world.now(), "mId": "revoked"})
    found = await world.reconcile()
    repaired = await world.reconcile(applies=True)
    return f"{found} → {repaired}; {await world.row('order-1')}; {await world.row('order-2')}"


async def same_order_reconciled(world: World) -> str:
    """the same order id paid at both, one heard: reconcile --apply"""
    await world.deliver("PAYMENT_STATUS_CHANGED", await world.paid(world.window, "order-1"))
    await world.paid(world.billing, "order-1")
    return await world.reconcile(applies=True)


async def settled(world: World) -> str:
    """settlements of both: reconcile --settlements --apply"""
    for play, order in ((world.window, "order-1"), (world.billing, "order-2")):
        payment = await world.paid(play, order)
        await play.do(f"settlements/{payment['paymentKey']}")
    found = await world.reconcile(Scope.SETTLEMENTS, applies=True)
    rows = sorted(row["order_id"] for row in await world.project.rows("settlements"))
    return f"{found}; rows: {' '.join(rows)}"


LISTED = "listed ['billing', 'window'], not ['ging took too long to answer', 'oked UNAUTHORIZED_KEY']"
STORIES: dict[Story, str] = {
    unsigned: "200 created / 200 created; DONE at window; DONE at billing",
    signed: "200 created / 200 created / 200 created / 200 created / 401",
    made_up: "503",
    another_secret: "401",
    same_order_paid_twice: "200 created / 200 created; DONE at window; processed, failed double_charge",
    deposit_callback: "200 created DONE at window; 200 created DONE at billing",
    deposit_by_worker: (
        "200 created, pending check_deposit → DONE at window, its key alone; "
        "200 created, pending check_deposit → DONE at billing, its key alone"
    ),
    reconciled: (
        f"order-1 missing found, order-2 missing found, order-3 status found not_answered; {LISTED} → "
        f"order-1 missing repaired, order-2 missing repaired, order-3 status needs_person not_answered; {LISTED}; "
        "DONE at window; DONE at billing"
    ),
    same_order_reconciled: f"order-1 missing needs_person double_charge; {LISTED}",
    settled: (
        f"order-1 missing repaired, order-2 missing repaired; {LISTED.replace('transactions', 'settlements')}; "
        "rows: order-1 order-2"
    ),
}


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
async def test_story(world: World, story: Story) -> None:
    result = await story(world)
    sys.stdout.write(f"\n{story.__doc__}\n    → {result}\n")
    assert result == STORIES[story]
