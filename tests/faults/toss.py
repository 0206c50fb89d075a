"""A Toss that answers, wrongly at times, and the unsigned deliveries that only it can vouch for."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import httpx

from scripts.local_stack import LOOPBACK, ROOT, Child, free_port, is_taken
from tests.faults.mix import Mix
from tests.faults.programs import READY_SECONDS
from tests.faults.world import LIVE_KEY
from tests.support import SECURITY_KEY

ALL = 10**9


class Toss:
    """The emulator, as a process."""

    def __init__(self, port: int, http: httpx.Client) -> None:
        self.port = port
        self.url = f"http://{LOOPBACK}:{port}"
        self._http = http

    def play(self, path: str, **body: Any) -> dict[str, Any]:
        """One step of its control API."""
        response = self._http.post(f"{self.url}/emulator/{path}", json=body)
        assert response.is_success, response.text
        return cast("dict[str, Any]", response.json())

    def fault(self, count: int, **what: Any) -> None:
        """What the next calls get."""
        self.play("faults", count=count, **what)

    def be_well(self) -> None:
        """No faults any more."""
        self._http.delete(f"{self.url}/emulator/faults")

    def unregister(self) -> None:
        """Sends nothing any more to anybody."""
        self._http.delete(f"{self.url}/emulator/webhooks")

    def deliveries(self) -> list[dict[str, Any]]:
        """Every webhook with its attempts, oldest first."""
        return cast("list[dict[str, Any]]", self._http.get(f"{self.url}/emulator/deliveries").json()["deliveries"])

    def payment(self, key: str) -> dict[str, Any]:
        """A payment, as its API shows it."""
        response = self._http.get(f"{self.url}/v1/payments/{key}", auth=(LIVE_KEY, ""))
        assert response.is_success, response.text
        return cast("dict[str, Any]", response.json())

    def mix(self, least_events: int) -> Mix:
        """What it would send about payments by card and by virtual account, unsigned, and deposits of the guide."""
        mix = Mix()
        self.play("webhooks/suppress", count=ALL)
        number = 0
        while 2.75 * number < least_events:
            self._pay(f"toss-{number:06d}", number % 4)
            number += 1
        for delivery in self.deliveries():
            body = httpx.Response(200, content=delivery["body"].encode()).json()
            mix.add(body, None)
            data = body.get("data") or {}
            if data.get("method") == "가상계좌" and data.get("status") == "DONE":
                mix.add(deposit(data))
        return mix

    def _pay(self, order: str, kind: int) -> None:
        method = "가상계좌" if kind > 1 else "카드"
        key = self.play("payments", orderId=order, amount=10_000, method=method)["paymentKey"]
        self.play(f"payments/{key}/approve")
        if kind > 1:
            self.play(f"payments/{key}/deposit")
        if kind % 2:
            self.play(f"payments/{key}/cancel", amount=3_000)


def deposit(payment: dict[str, Any]) -> dict[str, Any]:
    """The guide's body about a deposit."""
    return {
        "eventType": "VIRTUAL_ACCOUNT_DEPOSIT",
        "data": {
            "paymentKey": payment["paymentKey"],
            "orderId": payment["orderId"],
            "secret": payment["secret"],
            "depositedAt": payment["approvedAt"],
        },
    }


@contextmanager
def running_toss(folder: Path, *options: str) -> Iterator[Toss]:
    """The emulator, until the end of the block. Without options, what it would send is sent by the suite."""
    port = free_port()
    options = options or ("--webhook-url", f"http://{LOOPBACK}:{free_port()}/")
    emulator = Child(
        "the Toss emulator",
        [
            *(sys.executable, "-m", "scripts.toss_emulator", "--port", str(port), "--seed", "1"),
            *("--secret-key", LIVE_KEY, "--security-key", SECURITY_KEY, "--requests-per-minute", "0", *options),
        ],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        log=folder / "emulator.log",
    )
    try:
        emulator.wait_until(lambda: is_taken(port), READY_SECONDS)
        with httpx.Client(trust_env=False, timeout=20.0) as http:
            yield Toss(port, http)
    finally:
        emulator.stop()
