"""A day of payments through the real processes: lost webhooks and tampered rows are all found, and repaired."""

import asyncio
import datetime as dt
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from scripts.local_stack import LOOPBACK, ROOT, Child, LocalSupabase, free_port, is_taken
from supatoss.store import Store
from supatoss.toss.fields import SEOUL
from tests.reconcile.conftest import LIVE_KEY, SUPABASE_KEY, TABLES, webhook

pytestmark = pytest.mark.parametrize("supabase", ["pglite"], indirect=True, scope="session")

LOST = 50
TAMPERED: list[tuple[dict[str, Any], str]] = [
    *([({"payment_status": "PENDING"}, "status")] * 2),
    *([({"payment_status": "CANCELED", "canceled_at": "2026-01-01T00:00:00+00:00"}, "status")] * 2),
    *([({"amount": 1}, "amount")] * 3),
    *([({"approved_at": "2026-01-01T00:00:00+00:00"}, "time")] * 3),
]


@dataclass(frozen=True)
class World:
    """A project, and the emulator as a process of its own."""

    supabase_url: str
    toss_url: str
    http: httpx.Client

    def play(self, path: str, **body: Any) -> dict[str, Any]:
        """One step at the emulator: the state after it."""
        response = self.http.post(f"{self.toss_url}/emulator/{path}", json=body)
        assert response.is_success, response.text
        return cast("dict[str, Any]", response.json())

    def pay(self, order: str, **more: Any) -> dict[str, Any]:
        """A payment for an order, approved. Its webhook goes nowhere."""
        key = self.play("payments", orderId=order, amount=10_000, **more)["paymentKey"]
        return self.play(f"payments/{key}/approve")

    def rows(self, path: str) -> list[dict[str, Any]]:
        response = self.http.get(f"{self.supabase_url}/rest/v1/{path}", headers={"apikey": SUPABASE_KEY})
        response.raise_for_status()
        return cast("list[dict[str, Any]]", response.json())

    def write(self, path: str, **columns: Any) -> None:
        """What somebody does in the SQL editor."""
        headers = {"apikey": SUPABASE_KEY}
        self.http.patch(f"{self.supabase_url}/rest/v1/{path}", headers=headers, json=columns).raise_for_status()

    def clear(self) -> None:
        """No payments at Toss, and no rows."""
        self.play("reset")
        for table in TABLES:
            self.http.delete(
                f"{self.supabase_url}/rest/v1/{table}?created_at=gte.1970-01-01", headers={"apikey": SUPABASE_KEY}
            ).raise_for_status()

    def calls(self) -> int:
        """How often Toss was asked for transactions."""
        response = self.http.get(f"{self.toss_url}/emulator/calls", params={"path_prefix": "/v1/transactions"})
        return int(response.json()["count"])


@pytest.fixture(scope="module")
def world(supabase: LocalSupabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    port = free_port()
    emulator = Child(
        "the Toss emulator",
        [sys.executable, "-m", "scripts.toss_emulator", "--port", str(port), "--secret-key", LIVE_KEY],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        log=tmp_path_factory.mktemp("emulator") / "emulator.log",
    )
    try:
        emulator.wait_until(lambda: is_taken(port), 30)
        with httpx.Client(trust_env=False, timeout=20.0) as http:
            yield World(supabase.url, f"http://{LOOPBACK}:{port}", http)
    finally:
        emulator.stop()


async def record(world: World, payments: list[dict[str, Any]]) -> None:
    """What the webhooks about these payments lead to, through the service's own recording."""
    store = Store.open(world.supabase_url, SUPABASE_KEY, 8.0)
    for first in range(0, len(payments), 50):
        await store.record_webhook_events([webhook(payment) for payment in payments[first : first + 50]])
    await store.close()


def environment(world: World) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "SUPABASE_URL": world.supabase_url,
        "SUPABASE_SECRET_KEY": SUPABASE_KEY,
        "TOSS_API_URL": world.toss_url,
        "TOSS_SECRET_KEY": LIVE_KEY,
    }


COMMAND = [sys.executable, "-m", "supatoss", "reconcile"]


def reconcile(world: World, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - arguments of these tests
        [*COMMAND, *arguments],
        cwd=ROOT,
        env=environment(world) | settings,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def two_days() -> list[str]:
    """Today in Korea, and yesterday in case the test runs over midnight."""
    today = dt.datetime.now(SEOUL).date()
    return ["--from", str(today - dt.timedelta(days=1)), "--to", str(today)]


def report(result: subprocess.CompletedProcess[str], status: int) -> dict[str, Any]:
    assert result.returncode == status, result.stderr
    return cast("dict[str, Any]", json.loads(result.stdout))


def all_payments(world: World) -> list[dict[str, Any]]:
    return world.rows("payments?order=order_id&limit=2000")


@pytest.fixture
def tampered(world: World, payments: int) -> dict[str, str]:
    """What is to be found: the kind of difference of each order."""
    world.clear()
    orders = [f"order-{number:04d}" for number in range(payments)]
    with ThreadPoolExecutor(4) as pool:
        paid = list(pool.map(world.pay, orders))
    asyncio.run(record(world, paid[LOST:]))
    chosen = orders[LOST :: (payments - LOST) // len(TAMPERED)][: len(TAMPERED)]
    for order, (columns, _) in zip(chosen, TAMPERED, strict=True):
        world.write(f"payments?order_id=eq.{order}", **columns)
    kinds = {order: kind for order, (_, kind) in zip(chosen, TAMPERED, strict=True)}
    return kinds | dict.fromkeys(orders[:LOST], "missing")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("payments", [200, pytest.param(1000, marks=pytest.mark.slow)])
def test_all_differences_are_found_and_repaired_and_a_dry_run_changes_nothing(
    world: World, payments: int, tampered: dict[str, str]
) -> None:
    before, events = all_payments(world), world.rows("webhook_events?select=id&limit=5000")
    assert len(before) == payments - LOST
    dry = report(reconcile(world, *two_days(), "--json"), 1)
    assert {finding["order_id"]: finding["kind"] for finding in dry["findings"]} == tampered
    assert (dry["left"], dry["repaired"], dry["applied"]) == (60, 0, False)
    assert Counter(dry["differences"]) == Counter(missing=50, status=4, amount=3, time=3)
    assert all_payments(world) == before
    assert len(world.rows("webhook_events?select=id&limit=5000")) == len(events)

    applied = report(reconcile(world, *two_days(), "--apply", "--json"), 0)
    assert (applied["left"], applied["repaired"]) == (0, 60)
    again = report(reconcile(world, *two_days(), "--json"), 0)
    assert (again["left"], again["findings"]) == (0, [])
    rows = {row["order_id"]: row for row in all_payments(world)}
    assert Counter((row["payment_status"], row["amount"]) for row in rows.values()) == {("DONE", 10_000): payments}
    untouched = [row for row in before if row["order_id"] not in tampered]
    assert [rows[row["order_id"]] for row in untouched] == untouched

    nothing = reconcile(world, *two_days(), "--apply")
    assert (nothing.returncode, nothing.stderr) == (0, "")
    assert "no differences" in nothing.stdout
    repairs = world.rows("webhook_events?event_type=eq.supatoss.payment_reconciled&limit=5000")
    assert {row["proof"] for row in repairs} == {"toss_api"}
    assert len(repairs) == 60


def test_a_table_for_people(world: World) -> None:
    reconcile(world, *two_days(), "--apply")
    world.pay("order-for-people", orderName="머그컵 외 1건")
    result = reconcile(world, *two_days())
    assert (result.returncode, result.stderr) == (1, "")
    (line,) = [line for line in result.stdout.splitlines() if "order-for-people" in line]
    assert "missing" in line
    assert "1 difference; nothing was changed; --apply looks up" in result.stdout
    result = reconcile(world, *two_days(), "--apply")
    assert result.returncode == 0
    assert "1 repaired" in result.stdout


def test_days_that_were_never_compared_are_offered_and_compared(world: World) -> None:
    world.clear()
    result = reconcile(world, "--since-last")
    assert (result.returncode, result.stdout) == (0, "every day since the first event has been compared\n")
    asyncio.run(record(world, [world.pay("order-heard")]))
    today = dt.datetime.now(SEOUL).date()
    first = dt.datetime.combine(today - dt.timedelta(days=40), dt.time(12), SEOUL)
    world.write("webhook_events?order_id=eq.order-heard", created_at=first.isoformat())
    offered = reconcile(world, "--day", str(today - dt.timedelta(days=2))).stdout.splitlines()[-1]
    days = ", ".join(str(today - dt.timedelta(days=number)) for number in (1, 3, 4, 5, 6))
    assert offered == f"39 days since the first event never compared ({days}, …); --since-last compares them"
    lines = reconcile(world, "--since-last", "--json").stdout.splitlines()
    ranges = [(run["from"], run["to"]) for run in map(json.loads, lines)]
    assert ranges == [
        (str(today - dt.timedelta(days=last)), str(today - dt.timedelta(days=first)))
        for first, last in ((1, 1), (3, 33), (34, 40))
    ]
    result = reconcile(world, "--since-last")
    assert (result.returncode, result.stdout) == (0, "every day since the first event has been compared\n")


def test_ctrl_c_says_how_to_go_on(world: World, tmp_path: Path) -> None:
    reconcile(world, *two_days(), "--apply")
    world.play("faults", path_prefix="/v1/transactions", delay_seconds=60)
    calls = world.calls()
    log = tmp_path / "reconcile.log"
    child = Child("reconcile", [*COMMAND, *two_days()], cwd=ROOT, env=environment(world), log=log)
    try:
        child.wait_until(lambda: world.calls() > calls, 30)
        os.kill(child.pid, signal.SIGINT)
        assert child.wait(15) == 130
    finally:
        child.stop()
    assert "run the same command to resume" in log.read_text()
    assert "Traceback" not in log.read_text()
    assert world.rows("peek_reconciliations?status=eq.running&select=lease_token") == [{"lease_token": None}]
    assert reconcile(world, *two_days()).returncode == 0
    assert world.rows("peek_reconciliations?status=eq.running") == []


def test_toss_or_the_database_away_is_said_in_one_line(world: World) -> None:
    nobody = f"http://{LOOPBACK}:{free_port()}"
    result = reconcile(world, TOSS_API_URL=nobody)
    assert (result.returncode, result.stdout) == (3, "")
    assert result.stderr.startswith("supatoss: Toss, transactions: no answer")
    result = reconcile(world, SUPABASE_URL=nobody)
    assert (result.returncode, result.stdout) == (3, "")
    assert result.stderr.startswith("supatoss: no answer from the Data API")
    world.http.patch(
        f"{world.supabase_url}/rest/v1/peek_reconciliations?status=eq.running",
        headers={"apikey": SUPABASE_KEY},
        json={"lease_token": "6f6e6c79-0000-4000-8000-000000000000", "lease_until": "2999-01-01T00:00:00Z"},
    ).raise_for_status()
    result = reconcile(world)
    assert result.returncode == 3
    assert "is already running" in result.stderr
