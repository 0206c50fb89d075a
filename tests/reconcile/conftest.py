"""The real SQL behind both drivers of Supabase Lite, and a Toss: the emulator's, or a book of days that are over."""

import datetime as dt
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, cast

import httpx
import pytest
from prometheus_client import REGISTRY

from scripts.emulator.app import Emulator
from scripts.emulator.options import Options
from scripts.local_stack import LocalSupabase
from supatoss.alerts.rules import Limits
from supatoss.alerts.watch import Watch
from supatoss.inbox.event import NewEvent, Proof
from supatoss.inbox.interpret import interpret
from supatoss.reconcile.records import Days, TossRecords, today
from supatoss.reconcile.run import Reconciliation, Report
from supatoss.store import Store
from supatoss.store.findings import Finding
from supatoss.store.reconciliation import Scope
from supatoss.toss.client import TossClient
from supatoss.toss.delivery import read_body
from supatoss.toss.events import parse_event
from supatoss.toss.fields import SEOUL
from tests.processes import running_supabase
from tests.support import raw_body

SUPABASE_KEY = "sb_secret_for_reconciliation_01"
LIVE_KEY = "live_sk_made_up_for_reconciliation"
"""A live one: Toss limits the calls of test keys to 100 a minute, and so does the client."""

TOSS_URL = "https://toss.test"
TABLES = ("peek_reconciliations", "webhook_events", "payments", "settlements", "peek_alerts", "peek_processes")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Of the session, as the fixtures of a wider scope ask for one; tests of a module share a store."""
    return "asyncio"


@dataclass(frozen=True)
class Project:
    """A Supabase project and the two ways into it: the service's store, and what the application does."""

    supabase: LocalSupabase
    store: Store
    http: httpx.AsyncClient

    async def rows(self, path: str) -> list[dict[str, Any]]:
        response = await self._send("GET", path)
        return cast("list[dict[str, Any]]", response.json())

    async def row(self, path: str) -> dict[str, Any]:
        (row,) = await self.rows(path)
        return row

    async def insert(self, table: str, **row: Any) -> None:
        await self._send("POST", table, json=row)

    async def update(self, path: str, **columns: Any) -> None:
        """What somebody does in the SQL editor."""
        await self._send("PATCH", path, json=columns)

    async def payment(self, order: str) -> dict[str, Any]:
        return await self.row(f"payments?order_id=eq.{order}")

    async def order(self, order: str, amount: int = 10_000, **columns: Any) -> None:
        """What an application does before it sends its customer to pay."""
        row = {"payment_key": f"placeholder-{order}", "order_id": order, "order_name": "주문", "amount": amount}
        await self.insert("payments", **{**row, "payment_status": "PENDING", **columns})

    async def hear(self, body: dict[str, Any]) -> str:
        """A webhook about a Payment object: the status of its event."""
        (recorded,) = await self.store.record_webhook_events([webhook(body)])
        return recorded.status

    async def clear(self) -> None:
        for table in TABLES:
            await self._send("DELETE", f"{table}?created_at=gte.1970-01-01")

    async def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        response = await self.http.request(method, f"{self.supabase.url}/rest/v1/{path}", **options)
        assert response.is_success, response.text
        return response


def webhook(payment: dict[str, Any]) -> dict[str, Any]:
    """The record of a webhook about a Payment object, created now."""
    created_at = dt.datetime.now(SEOUL).strftime("%Y-%m-%dT%H:%M:%S.%f")
    read = read_body(raw_body({"eventType": "PAYMENT_STATUS_CHANGED", "createdAt": created_at, "data": payment}))
    event = parse_event(read.fields)
    return NewEvent(event, read, interpret(event), Proof.SIGNATURE, dt.datetime.now(dt.UTC)).to_record()


@pytest.fixture(scope="session", params=["postgres"])
def supabase(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSupabase]:
    """In front of a real server; modules that say so are tried on PGlite too."""
    folder = tmp_path_factory.mktemp("supabase")
    keys = ("sb_publishable_for_reconciliation", SUPABASE_KEY)
    with running_supabase(folder, *keys, with_postgres=request.param == "postgres") as lite:
        yield lite


@pytest.fixture(scope="module")
async def opened(supabase: LocalSupabase) -> AsyncIterator[Project]:
    """Of a module, not of the session: anyio's loop lives as long, and other folders' tests bring their own."""
    store = Store.open(supabase.url, SUPABASE_KEY, 8.0)
    headers = {"apikey": SUPABASE_KEY}
    async with httpx.AsyncClient(trust_env=False, timeout=20.0, headers=headers) as http:
        yield Project(supabase, store, http)
    await store.close()


@pytest.fixture
async def project(opened: Project) -> Project:
    """A project without rows."""
    await opened.clear()
    return opened


async def no_sleep(_seconds: float) -> None:
    """Toss is asked again at once."""


@dataclass(frozen=True)
class Play:
    """The emulator in this process, whose webhooks go nowhere, and a client of its API."""

    http: httpx.AsyncClient
    toss: TossClient
    project: Project

    async def do(self, path: str, **body: Any) -> dict[str, Any]:
        response = await self.http.post(f"/emulator/{path}", json=body)
        assert response.is_success, response.text
        return cast("dict[str, Any]", response.json())

    async def pay(self, order: str, amount: int = 10_000, *, heard: bool = True, **more: Any) -> str:
        """A payment of an order, approved: its key."""
        key = str((await self.do("payments", orderId=order, amount=amount, **more))["paymentKey"])
        await self.step(key, "approve", heard=heard, force=True)
        return key

    async def step(self, key: str, name: str, *, heard: bool = True, **body: Any) -> dict[str, Any]:
        """A step of a payment, and the webhook about it, unless it gets lost."""
        payment = await self.do(f"payments/{key}/{name}", **body)
        if heard:
            await self.project.hear(payment)
        return payment

    async def reconcile(self, *, applies: bool = False, scope: Scope = Scope.PAYMENTS) -> tuple[Report, list[Finding]]:
        """Today, and yesterday for tests that run over midnight in Korea."""
        now = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1)
        day = today(now)
        days = Days(day - dt.timedelta(days=1), day)
        return await reconcile(self.project, self.toss, days, now, applies=applies, scope=scope)


async def reconcile(
    project: Project,
    toss: TossClient,
    days: Days,
    now: dt.datetime,
    *,
    applies: bool = False,
    scope: Scope = Scope.PAYMENTS,
    page_size: int = 1000,
) -> tuple[Report, list[Finding]]:
    reconciliation = Reconciliation(project.store, toss, records=TossRecords(toss, no_sleep, page_size))
    report = await reconciliation.reconcile(scope, days, now, applies=applies)
    return report, [finding async for finding in reconciliation.findings(report.run)]


async def measure(project: Project, *, reconciles: bool = True) -> None:
    """One alert check of a process, with RECONCILE_AT or without: it opens and ends alerts, and sets the metrics."""
    await Watch(project.store, Limits(10, reconciles=reconciles), None, 60, "a-process").check()


def metric(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


@pytest.fixture
async def play(project: Project) -> AsyncIterator[Play]:
    emulator = Emulator(Options([LIVE_KEY]))
    transport = httpx.ASGITransport(emulator.app)
    async with (
        httpx.AsyncClient(transport=transport, base_url=TOSS_URL) as http,
        TossClient(TOSS_URL, [LIVE_KEY], transport=transport) as toss,
    ):
        yield Play(http, toss, project)
    await emulator.close()
