"""Everything as in production, on this machine: Supabase Lite, the Toss emulator, and the service with its worker.

A story is played at the emulator; what it makes of it is sent as Toss sends it, and read back through the Data API.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, cast
from urllib.parse import quote

import httpx
import pytest

from scripts.local_stack import LOOPBACK, ROOT, Child, LocalSupabase, free_port, is_taken
from tests.collector import Collector
from tests.processes import READY_SECONDS, running_service, running_supabase
from tests.support import ANY_AGE_HOURS, OLDER_SECURITY_KEY, SECRET_KEY, SECURITY_KEY, raw_body, signed_headers

SUPABASE_KEY = "sb_secret_for_stories_0001"
PATIENCE_SECONDS = 20.0
MINUTE_SECONDS = "0.3"
"""Length of Toss's minute: the first re-send comes after one."""

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """The processes of a story, and what can be done with them."""

    service_url: str
    supabase: LocalSupabase
    emulator_url: str
    http: httpx.Client

    def play(self, path: str, **body: Any) -> dict[str, Any]:
        """One step at the emulator, such as payments/KEY/deposit. The state after it."""
        response = self.http.post(f"{self.emulator_url}/emulator/{path}", json=body)
        assert response.is_success, response.text
        return cast("dict[str, Any]", response.json())

    def pay(self, order: str, *, amount: int = 10_000, method: str = "카드", **more: Any) -> str:
        """A buyer pays for an order, and the shop confirms. The payment key."""
        made = self.play("payments", orderId=order, amount=amount, method=method, **more)
        key = str(made["paymentKey"])
        self.play(f"payments/{key}/approve")
        return key

    def fault(self, **fault: Any) -> None:
        self.play("faults", **fault)

    def calls(self, prefix: str) -> int:
        """How many calls of Toss's API began with a path."""
        response = self.http.get(f"{self.emulator_url}/emulator/calls", params={"path_prefix": prefix})
        return int(response.json()["count"])

    def deliver(self, body: object, *, signed: bool = False) -> httpx.Response:
        raw = raw_body(body)
        return self.http.post(
            f"{self.service_url}/webhooks/toss", content=raw, headers=signed_headers(raw) if signed else {}
        )

    def deliveries(self) -> list[dict[str, Any]]:
        response = self.http.get(f"{self.emulator_url}/emulator/deliveries")
        return cast("list[dict[str, Any]]", response.json()["deliveries"])

    def rows(self, path: str) -> list[dict[str, Any]]:
        response = self.http.get(f"{self.supabase.url}/rest/v1/{path}", headers={"apikey": SUPABASE_KEY})
        response.raise_for_status()
        return cast("list[dict[str, Any]]", response.json())

    def insert(self, table: str, **row: Any) -> None:
        """What the application does."""
        response = self.http.post(f"{self.supabase.url}/rest/v1/{table}", headers={"apikey": SUPABASE_KEY}, json=row)
        response.raise_for_status()

    def order(self, order: str) -> dict[str, Any] | None:
        rows = self.rows(f"payments?order_id=eq.{quote(order)}")
        return rows[0] if rows else None

    def events(self, order: str) -> list[dict[str, Any]]:
        return self.rows(f"webhook_events?order_id=eq.{quote(order)}&order=created_at")

    def until(self, find: Callable[[], T], seconds: float = PATIENCE_SECONDS, every: float = 0.02) -> T:
        """What is found, as soon as it is true; the test fails when it does not become so."""
        deadline = time.monotonic() + seconds
        while True:
            found = find()
            if found or time.monotonic() > deadline:
                assert found, "did not happen"
                return found
            time.sleep(every)

    def until_status(self, order: str, *statuses: str) -> dict[str, Any]:
        """The order's row, once it has one of the statuses and every webhook about it was answered."""

        def find() -> dict[str, Any] | None:
            row = self.order(order)
            return row if row and row["payment_status"] in statuses else None

        row = self.until(find)
        assert row is not None
        return row

    def until_processed(self, order: str) -> None:
        """Until all its events are. What waits for a later attempt is due at once."""

        def are_processed() -> bool:
            # Every time: an attempt that is under way sets the time of the next one when it ends.
            self._make_due(order)
            return {event["status"] for event in self.events(order)} == {"processed"}

        self.until(are_processed, every=0.2)

    def _make_due(self, order: str) -> None:
        due = self.http.patch(
            f"{self.supabase.url}/rest/v1/webhook_events?order_id=eq.{order}&status=eq.pending",
            headers={"apikey": SUPABASE_KEY},
            json={"next_attempt_at": "2026-01-01T00:00:00+00:00"},
        )
        due.raise_for_status()

    def until_sent(self) -> None:
        """Until every webhook has been answered with 200."""
        self.until(lambda: all(delivery["state"] != "sending" for delivery in self.deliveries()) or None)


@pytest.fixture(scope="session")
def lite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSupabase]:
    folder = tmp_path_factory.mktemp("supabase")
    with running_supabase(folder, "sb_publishable_for_stories_0001", SUPABASE_KEY, with_postgres=True) as supabase:
        yield supabase


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """Gets the traces of all stories."""
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="session")
def world(lite: LocalSupabase, collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    yield from run_world(lite, tmp_path_factory.mktemp("processes"), more=collector.environment)


def run_world(
    lite: LocalSupabase,
    folder: Path,
    *,
    requests_per_minute: int = 0,
    minute_seconds: str = MINUTE_SECONDS,
    more: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[World]:
    """The emulator and the service in front of a project, until the end of a fixture."""
    port, toss_port = free_port(), free_port()
    service_url, toss_url = f"http://{LOOPBACK}:{port}", f"http://{LOOPBACK}:{toss_port}"
    emulator = Child(
        "the Toss emulator",
        [
            *(sys.executable, "-m", "scripts.toss_emulator", "--port", str(toss_port), "--seed", "1"),
            *("--secret-key", SECRET_KEY, "--security-key", SECURITY_KEY, "--security-key", OLDER_SECURITY_KEY),
            *("--webhook-url", f"{service_url}/webhooks/toss", "--minute-seconds", minute_seconds),
            *("--requests-per-minute", str(requests_per_minute)),
        ],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        log=folder / "emulator.log",
    )
    try:
        emulator.wait_until(lambda: is_taken(toss_port), READY_SECONDS)
        settings = {
            "SUPABASE_URL": lite.url,
            "SUPABASE_SECRET_KEY": SUPABASE_KEY,
            "TOSS_API_URL": toss_url,
            "TOSS_SECRET_KEY": SECRET_KEY,
            "TOSS_SECURITY_KEY": SECURITY_KEY,
            "TOSS_TIMEOUT_SECONDS": "1",
            "SIGNATURE_MAX_AGE_HOURS": str(ANY_AGE_HOURS),
            **more,
        }
        with (
            running_service(settings, folder / "service.log", port),
            httpx.Client(trust_env=False, timeout=20.0) as http,
        ):
            yield World(service_url, lite, toss_url, http)
    finally:
        emulator.stop()
