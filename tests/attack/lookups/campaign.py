"""Three floods, and what honest deliveries notice of them.

`measure` runs one: the figures of its honest senders, at rest and during the attack.
"""

import asyncio
import itertools
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from scripts.local_stack import LOOPBACK, ROOT, Child, LocalSupabase, free_port, is_taken
from tests.processes import READY_SECONDS, running_service
from tests.support import raw_body

TEST_KEY = "test_sk_made_up_for_attacks_0001"
LIVE_KEY = "live_sk_made_up_for_attacks_0001"
HEADER = "Fly-Client-IP"
ATTACKER = "198.51.100.7"
SENDERS = {"toss": "13.124.18.147", "known": "198.51.100.99"}
"""Who is honest: an address that Toss publishes, and another one, whose orders the application has stored."""

HONEST = 10
"""Deliveries of each honest sender."""

WORKER_PATIENCE_SECONDS = 20.0


@dataclass(frozen=True)
class Flood:
    """One attack: the key of the service, forged deliveries, and what is wrong with Toss."""

    key: str
    connections: int
    per_second: float
    """Of all connections together."""
    burst: int = 0
    """Sent at once before the honest ones."""
    delay_seconds: float = 0.0
    retry_after_seconds: float = 0.0
    """Of the 429 that the first forged delivery gets."""
    addresses: int = 1
    """From which it comes."""
    orders: int = 0
    """The attacker's own at the shop, which the application has stored; the forged deliveries name these."""


FLOODS = {
    "one_address": Flood(TEST_KEY, connections=4, per_second=4, burst=120),
    "sixty_connections": Flood(LIVE_KEY, connections=60, per_second=10_000, delay_seconds=0.5),
    "many_addresses": Flood(LIVE_KEY, connections=60, per_second=10_000, delay_seconds=0.5, addresses=10_000),
    "own_orders": Flood(LIVE_KEY, connections=60, per_second=10_000, delay_seconds=0.5, addresses=10_000, orders=20),
    "throttled": Flood(LIVE_KEY, connections=1, per_second=2, retry_after_seconds=60),
}


@dataclass
class Seen:
    """What one kind of sender got."""

    statuses: Counter[int] = field(default_factory=Counter)
    milliseconds: list[float] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        """Answers by status, and how long they took."""
        ordered = sorted(self.milliseconds) or [0.0]
        return {
            "answers": dict(sorted(self.statuses.items())),
            "p50": round(ordered[len(ordered) // 2], 1),
            "p99": round(ordered[int(len(ordered) * 0.99)], 1),
        }


class Attack:
    """A service, a Toss and a project, and the traffic on them."""

    def __init__(self, flood: Flood, service: str, toss: str, supabase: LocalSupabase, supabase_key: str) -> None:
        self._flood = flood
        self._service = service
        self._toss = httpx.Client(base_url=f"{toss}/emulator", trust_env=False, timeout=20.0)
        self._rows = httpx.Client(
            base_url=f"{supabase.url}/rest/v1", headers={"apikey": supabase_key}, trust_env=False, timeout=20.0
        )
        self._run = f"{time.time_ns():x}"
        self._number = itertools.count()

    def run(self, seconds: float) -> dict[str, Any]:
        """The figures. seconds: how long honest deliveries are spread out, at rest and under attack."""
        self._play("webhooks/suppress", count=10**9)
        rest = {sender: Seen() for sender in SENDERS}
        attacked = {sender: Seen() for sender in SENDERS}
        forged = Seen()
        bodies = {
            phase: {sender: [self._pay(f"{phase}-{sender}-{n}") for n in range(HONEST)] for sender in SENDERS}
            for phase in ("rest", "attacked")
        }
        for number in range(self._flood.orders):
            self._store_order(f"own-{self._run}-{number}")
        if self._flood.delay_seconds:
            self._play("faults", count=10**9, delay_seconds=self._flood.delay_seconds)
        asyncio.run(self._honest(bodies["rest"], rest, seconds))
        pending = self._pending_event()
        if self._flood.retry_after_seconds:
            self._play("faults", count=1, status=429, retry_after_seconds=self._flood.retry_after_seconds)
        worker = asyncio.run(self._attacked(bodies["attacked"], attacked, forged, seconds, pending))
        figures: dict[str, Any] = {"forged": forged.row()}
        for sender in SENDERS:
            figures[sender] = {"rest": rest[sender].row(), "attacked": attacked[sender].row()}
        return {**figures, "worker_seconds": worker}

    async def _attacked(
        self, bodies: dict[str, list[bytes]], seen: dict[str, Seen], forged: Seen, seconds: float, pending: str
    ) -> float | None:
        """Floods while the honest deliver; then how long the worker took for an event, None: too long."""
        floods = [asyncio.create_task(self._forge(forged)) for _ in range(self._flood.connections)]
        async with httpx.AsyncClient(trust_env=False, timeout=12.0) as http:
            burst = max(self._flood.burst, 1)
            for _ in range(0, burst, 10):
                await asyncio.gather(*(self._deliver(http, *self._forged(), forged) for _ in range(10)))
        self._rows.patch(f"/webhook_events?id=eq.{pending}", json={"next_attempt_at": "2026-01-01T00:00:00+00:00"})
        worked, _ = await asyncio.gather(self._worked(pending), self._honest(bodies, seen, seconds))
        for flood in floods:
            flood.cancel()
        await asyncio.gather(*floods, return_exceptions=True)
        return worked

    async def _worked(self, pending: str) -> float | None:
        started = time.monotonic()
        while time.monotonic() - started < WORKER_PATIENCE_SECONDS:
            query = f"/webhook_events?id=eq.{pending}&select=status"
            (row,) = (await asyncio.to_thread(self._rows.get, query)).json()
            if row["status"] == "processed":
                return round(time.monotonic() - started, 1)
            await asyncio.sleep(0.5)
        return None

    async def _honest(self, bodies: dict[str, list[bytes]], seen: dict[str, Seen], seconds: float) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=12.0) as http:
            for number in range(HONEST):
                await asyncio.gather(
                    asyncio.sleep(seconds / HONEST),
                    *(
                        self._deliver(http, bodies[sender][number], address, seen[sender])
                        for sender, address in SENDERS.items()
                    ),
                )

    async def _forge(self, forged: Seen) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=12.0) as http:
            while True:
                await asyncio.gather(
                    asyncio.sleep(self._flood.connections / self._flood.per_second),
                    self._deliver(http, *self._forged(), forged),
                )

    async def _deliver(self, http: httpx.AsyncClient, body: bytes, address: str, seen: Seen) -> None:
        started = time.perf_counter()
        try:
            status = (
                await http.post(f"{self._service}/webhooks/toss", content=body, headers={HEADER: address})
            ).status_code
        except httpx.HTTPError:
            status = 0
        seen.statuses[status] += 1
        seen.milliseconds.append((time.perf_counter() - started) * 1000)

    def _forged(self) -> tuple[bytes, str]:
        """A body about a payment that there is not, each time another, and the address that sends it."""
        number = next(self._number)
        name = f"forged-{self._run}-{number:08d}"
        order = f"own-{self._run}-{number % self._flood.orders}" if self._flood.orders else name
        place = number % self._flood.addresses
        address = ATTACKER if place == 0 else f"198.18.{place // 250}.{place % 250}"
        return raw_body(
            {"eventType": "PAYMENT_STATUS_CHANGED", "data": {"paymentKey": name, "orderId": order}}
        ), address

    def _pay(self, name: str) -> bytes:
        """An order that the application stores and a buyer pays: what Toss sends then."""
        order = f"{name}-{self._run}"
        self._store_order(order)
        key = self._play("payments", orderId=order, amount=10_000, method="카드")["paymentKey"]
        payment = self._play(f"payments/{key}/approve")
        data = {"paymentKey": key, "orderId": order, "status": payment["status"], "totalAmount": 10_000}
        return raw_body({"eventType": "PAYMENT_STATUS_CHANGED", "createdAt": "2026-11-01T00:00:00", "data": data})

    def _store_order(self, order: str) -> None:
        row = {"order_id": order, "order_name": order, "payment_key": f"placeholder-{order}", "amount": 10_000}
        self._rows.post("/payments", json={**row, "payment_status": "PENDING"}).raise_for_status()

    def _pending_event(self) -> str:
        """An event that waits for the worker and for nothing else: the delivery says more than Toss shows yet."""
        order = f"pending-{self._run}"
        key = self._play("payments", orderId=order, amount=10_000, method="카드")["paymentKey"]
        data = {"paymentKey": key, "orderId": order, "status": "DONE", "totalAmount": 10_000}
        body = raw_body({"eventType": "PAYMENT_STATUS_CHANGED", "data": data})
        url = f"{self._service}/webhooks/toss"
        answer = httpx.post(url, content=body, headers={HEADER: SENDERS["toss"]}, trust_env=False, timeout=12.0).json()
        assert answer["event_status"] == "pending", answer
        later = {"next_attempt_at": "2030-01-01T00:00:00+00:00"}
        self._rows.patch(f"/webhook_events?id=eq.{answer['event']}", json=later).raise_for_status()
        self._play(f"payments/{key}/approve")
        return str(answer["event"])

    def _play(self, path: str, **body: Any) -> dict[str, Any]:
        response = self._toss.post(f"/{path}", json=body)
        assert response.is_success, response.text
        played: dict[str, Any] = response.json()
        return played


@contextmanager
def _running_toss(key: str, log: Path) -> Iterator[str]:
    port = free_port()
    emulator = Child(
        "the Toss emulator",
        [
            *(sys.executable, "-m", "scripts.toss_emulator", "--port", str(port), "--secret-key", key),
            *("--webhook-url", f"http://{LOOPBACK}:{free_port()}/"),
        ],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        log=log,
    )
    try:
        emulator.wait_until(lambda: is_taken(port), READY_SECONDS)
        yield f"http://{LOOPBACK}:{port}"
    finally:
        emulator.stop()


def measure(
    name: str, supabase: LocalSupabase, supabase_key: str, folder: Path, seconds: float = 10.0
) -> dict[str, Any]:
    """One flood against processes of its own: answers by status, p50 and p99 in milliseconds of each sender.

    worker_seconds: until the worker had looked one payment up that became due during the attack; None: not in time.
    """
    flood = FLOODS[name]
    with _running_toss(flood.key, folder / f"{name}-toss.log") as toss:
        settings = {
            "SUPABASE_URL": supabase.url,
            "SUPABASE_SECRET_KEY": supabase_key,
            "TOSS_SECRET_KEY": flood.key,
            "TOSS_API_URL": toss,
            "CLIENT_IP_HEADER": HEADER,
            "LOG_LEVEL": "WARNING",
        }
        with running_service(settings, folder / f"{name}.log") as service:
            return Attack(flood, service, toss, supabase, supabase_key).run(seconds)
