"""The emulator as its own process, with a real receiver."""

import contextlib
import http.server
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from scripts.local.npm import ROOT
from supatoss.toss.delivery import RETRIED_COUNT_HEADER, SIGNATURE_HEADER, TIME_HEADER, Delivery
from supatoss.toss.signature import Keys, SignatureCheck, check_signature
from tests.support import SECRET_KEY, SECURITY_KEY

PATIENCE_SECONDS = 15.0


class Shop(http.server.ThreadingHTTPServer):
    """A webhook URL: keeps what comes, answers 500 to the first request and 200 to the others."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Receiving)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/webhooks/toss"
        self.received: queue.Queue[tuple[dict[str, str], bytes]] = queue.Queue()
        self.answers = [500]


class Receiving(http.server.BaseHTTPRequestHandler):
    server: Shop

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(self.server.answers.pop() if self.server.answers else 200)
        self.send_header("content-length", "0")
        self.end_headers()
        self.server.received.put(({name.lower(): value for name, value in self.headers.items()}, body))

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class Running:
    process: subprocess.Popen[str]
    url: str
    http: httpx.Client

    def do(self, path: str, body: object = None) -> Any:
        response = self.http.post(f"{self.url}/emulator/{path}", json=body or {})
        response.raise_for_status()
        return response.json()


@contextmanager
def emulator(*arguments: str, module: bool = False) -> Iterator[Running]:
    command = ["-m", "scripts.toss_emulator"] if module else ["scripts/toss_emulator.py"]
    environment = {"PATH": os.environ["PATH"], "TOSS_SECRET_KEY": SECRET_KEY, "TOSS_SECURITY_KEY": SECURITY_KEY}
    with subprocess.Popen(  # noqa: S603  our own program
        [sys.executable, "-W", "error", *command, "--port", "0", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found, process.communicate()
            with httpx.Client(trust_env=False, timeout=PATIENCE_SECONDS) as client:
                yield Running(process, found[0], client)
        finally:
            process.kill()


@pytest.fixture
def shop() -> Iterator[Shop]:
    with Shop() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_story_over_real_connections(shop: Shop) -> None:
    with emulator("--webhook-url", shop.url, "--minute-seconds", "0.01") as toss:
        made = toss.do("payments", {"orderId": "ord-000001", "amount": 37400})
        body = {"paymentKey": made["paymentKey"], "orderId": made["orderId"], "amount": 37400}
        auth = (SECRET_KEY, "")
        toss.do("faults", {"drop": True})
        with pytest.raises(httpx.RemoteProtocolError):
            toss.http.post(f"{toss.url}/v1/payments/confirm", json=body, auth=auth)
        confirmed = toss.http.post(f"{toss.url}/v1/payments/confirm", json=body, auth=auth)
        assert confirmed.json()["status"] == "DONE"

        first, again = (shop.received.get(timeout=PATIENCE_SECONDS) for _ in range(2))
        assert [headers[RETRIED_COUNT_HEADER] for headers, _ in (first, again)] == ["0", "1"]
        assert first[1] == again[1]
        assert json.loads(first[1])["data"] == confirmed.json()

        toss.do("payouts", {"amount": 5000, "destination": "seller-77"})
        headers, raw = shop.received.get(timeout=PATIENCE_SECONDS)
        delivery = Delivery(raw, headers[SIGNATURE_HEADER].encode(), headers[TIME_HEADER].encode())
        assert check_signature(delivery, Keys([], [SECURITY_KEY])) is SignatureCheck.V1_TEXT_KEY


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once_even_in_the_middle_of_things(number: signal.Signals) -> None:
    with emulator("--webhook-url", "http://127.0.0.1:9/", module=True) as toss:
        toss.do("faults", {"delay_seconds": 600, "path_prefix": "/v1/settlements"})
        slow = threading.Thread(target=call_slowly, args=(toss,))
        slow.start()
        made = toss.do("payments", {"orderId": "ord-000001", "amount": 1})
        toss.do(f"payments/{made['paymentKey']}/approve")
        toss.process.send_signal(number)
        assert toss.process.wait(PATIENCE_SECONDS) == 0
        slow.join(PATIENCE_SECONDS)
        assert not slow.is_alive()


def call_slowly(toss: Running) -> None:
    with contextlib.suppress(httpx.TransportError):  # or a 500, whichever is quicker
        httpx.get(f"{toss.url}/v1/settlements", auth=(SECRET_KEY, ""), trust_env=False, timeout=PATIENCE_SECONDS)


def test_a_port_that_is_taken_is_said(shop: Shop) -> None:
    ended = subprocess.run(  # noqa: S603  our own program
        [sys.executable, "scripts/toss_emulator.py", "--port", str(shop.server_address[1])],
        cwd=ROOT,
        env={"TOSS_SECRET_KEY": SECRET_KEY},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert ended.returncode == 1
    assert "cannot listen" in ended.stderr
