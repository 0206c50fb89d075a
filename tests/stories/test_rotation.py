"""A secret key is replaced while payments flow: the old key, both, the new key, a restart each, and nothing is lost."""

import datetime as dt
import sys
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.local_stack import LOOPBACK, ROOT, Child, LocalSupabase, free_port, is_taken
from tests.processes import READY_SECONDS, running_service
from tests.stories.conftest import SUPABASE_KEY, World
from tests.support import raw_body, signed_headers

OLD = "live_sk_made_up_rotation_old_0001"
NEW = "live_sk_made_up_rotation_new_0002"
BETWEEN_PAYMENTS_SECONDS = 0.02
BETWEEN_TRIES_SECONDS = 0.3
MINUTE_SECONDS = 0.1
"""The emulator sends again after 1, 4, 16, 64 of them: a restart takes a few seconds."""

MAX_TRIES = 60
ORDERS_A_PHASE = 10
"""So many are paid with each set of keys, and whatever is paid during the restarts."""


@dataclass
class Flow:
    """A buyer every few milliseconds. Every second payment's delivery is signed, the others come from the emulator.

    signs_with: the key that Toss signs with now. tries: the statuses that each signed delivery was answered with.
    """

    world: World
    signs_with: str
    orders: list[str] = field(default_factory=list)
    tries: dict[str, list[int]] = field(default_factory=dict)
    signed: dict[str, list[Future[None]]] = field(default_factory=lambda: {OLD: [], NEW: []})
    stopped: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[None]:
        with ThreadPoolExecutor(4) as self._senders, ThreadPoolExecutor(1) as buyers:
            done = buyers.submit(self._run)
            try:
                yield
            finally:
                self.stopped.set()
                done.result()

    def pay_on(self) -> None:
        """Until so many more have been paid."""
        wanted = len(self.orders) + ORDERS_A_PHASE
        self.world.until(lambda: len(self.orders) >= wanted or None, 60)

    def all_answered(self, key: str) -> bool:
        """Whether every delivery that was signed with a key has been answered with 200."""
        return all(future.done() for future in self.signed[key])

    def _run(self) -> None:
        while not self.stopped.wait(BETWEEN_PAYMENTS_SECONDS):
            order = f"rotation-{len(self.orders)}"
            made = self.world.play("payments", orderId=order, amount=10_000)
            is_signed = len(self.orders) % 2 == 1
            if is_signed:
                self.world.play("webhooks/suppress", count=1)
            payment = self.world.play(f"payments/{made['paymentKey']}/approve", force=True)
            self.orders.append(order)
            if is_signed:
                self.signed[self.signs_with].append(self._senders.submit(self._send, order, payment, self.signs_with))

    def _send(self, order: str, payment: dict[str, Any], key: str) -> None:
        body = {"eventType": "PAYMENT_STATUS_CHANGED", "createdAt": "2026-11-26T10:00:00.000000", "data": payment}
        raw = raw_body(body)
        statuses = self.tries[order] = []
        for _ in range(MAX_TRIES):
            try:
                answer = httpx.post(
                    f"{self.world.service_url}/webhooks/toss",
                    content=raw,
                    headers=signed_headers(raw, key, dt.datetime.now(dt.UTC).isoformat()),  # Toss signs each attempt
                    trust_env=False,
                    timeout=10,
                )
                statuses.append(answer.status_code)
            except httpx.TransportError:
                statuses.append(0)
            if statuses[-1] == httpx.codes.OK:
                return
            time.sleep(BETWEEN_TRIES_SECONDS)


@pytest.fixture
def toss_url(tmp_path: Path) -> Iterator[str]:
    """A Toss that accepts both keys, and sends its webhooks to a port that is known before the service runs."""
    port = free_port()
    emulator = Child(
        "the Toss emulator",
        [
            *(sys.executable, "-m", "scripts.toss_emulator", "--port", str(port), "--seed", "7"),
            *("--secret-key", OLD, "--secret-key", NEW, "--minute-seconds", str(MINUTE_SECONDS)),
        ],
        cwd=ROOT,
        env={},
        log=tmp_path / "emulator.log",
    )
    try:
        emulator.wait_until(lambda: is_taken(port), READY_SECONDS)
        yield f"http://{LOOPBACK}:{port}"
    finally:
        emulator.stop()


def truth(world: World, order: str) -> dict[str, Any]:
    """The payment as Toss has it."""
    answer = world.http.get(
        f"{world.emulator_url}/v1/payments/orders/{order}",
        headers={"authorization": f"Basic {b64encode(f'{NEW}:'.encode()).decode()}"},
    )
    payment = answer.json()
    return {
        "order_id": order,
        "payment_key": payment["paymentKey"],
        "payment_status": payment["status"],
        "amount": payment["totalAmount"],
        "merchant_id": payment["mId"],
    }


@pytest.mark.slow  # each part of it has quick tests: signatures by several keys, look-ups by several keys, restarts
def test_a_key_is_replaced_under_load(lite: LocalSupabase, toss_url: str, tmp_path: Path) -> None:
    port = free_port()
    settings = {
        "SUPABASE_URL": lite.url,
        "SUPABASE_SECRET_KEY": SUPABASE_KEY,
        "TOSS_API_URL": toss_url,
        "TOSS_TIMEOUT_SECONDS": "2",
    }
    with httpx.Client(trust_env=False, timeout=20.0) as http:
        world = World(f"http://{LOOPBACK}:{port}", lite, toss_url, http)
        world.play("webhooks", url=f"{world.service_url}/webhooks/toss")
        flow = Flow(world, OLD)
        with flow.running():
            with running_service({**settings, "TOSS_SECRET_KEY": OLD}, tmp_path / "old.log", port):
                flow.pay_on()
            with running_service({**settings, "TOSS_SECRET_KEY": f"{NEW},{OLD}"}, tmp_path / "both.log", port):
                flow.pay_on()
                flow.signs_with = NEW
                world.play("secret-keys/revoke", secretKey=OLD)
                flow.pay_on()
                # The old key stays until what it signed has arrived: up to four days at Toss.
                world.until(lambda: flow.all_answered(OLD) or None, 60)
            with running_service({**settings, "TOSS_SECRET_KEY": NEW}, tmp_path / "new.log", port):
                flow.pay_on()
                flow.stopped.set()
                world.until(lambda: (flow.all_answered(NEW) and flow.all_answered(OLD)) or None, 60)
                world.until(lambda: all(sent["state"] != "sending" for sent in world.deliveries()) or None, 60)
        sent = world.deliveries()
        rows = world.rows(
            "payments?order_id=like.rotation-*&select=order_id,payment_key,payment_status,amount,merchant_id"
        )
        events = world.rows("webhook_events?order_id=like.rotation-*&select=order_id,status,proof")
        answered = Counter(status for tries in flow.tries.values() for status in tries)
        sys.stdout.write(f"\n{len(flow.orders)} orders; signed: {dict(answered)}; unsigned: {attempts(sent)}\n")
        assert [tries for tries in flow.tries.values() if tries[-1] != httpx.codes.OK] == []
        assert {delivery["state"] for delivery in sent} == {"success", "suppressed"}
        assert sorted(rows, key=by_order) == sorted((truth(world, order) for order in flow.orders), key=by_order)
        assert Counter(event["order_id"] for event in events) == Counter(flow.orders)
        assert {(event["status"], event["proof"]) for event in events} == {
            ("processed", "signature"),
            ("processed", "toss_api"),
        }


def by_order(row: dict[str, Any]) -> str:
    return str(row["order_id"])


def attempts(sent: list[dict[str, Any]]) -> dict[Any, int]:
    """How often the emulator's deliveries were answered how."""
    return dict(Counter(attempt["status"] for delivery in sent for attempt in delivery["attempts"]))
