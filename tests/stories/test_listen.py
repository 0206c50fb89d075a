"""`supatoss listen`: what arrives at an inbox arrives elsewhere as a delivery, oldest first, signed with its key."""

import json
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from scripts.local_stack import LOOPBACK, ROOT, Child, free_port
from supatoss.cli import app
from supatoss.toss.delivery import SIGNATURE_HEADER, TIME_HEADER, Delivery
from supatoss.toss.signature import Keys, check_signature
from tests.stories.conftest import SUPABASE_KEY, World
from tests.support import SECRET_KEY

LOCAL_KEY = "test_sk_of_the_local_service"


def environment(world: World) -> dict[str, str]:
    return {
        "SUPABASE_URL": world.supabase.url,
        "SUPABASE_SECRET_KEY": SUPABASE_KEY,
        "TOSS_SECRET_KEY": SECRET_KEY,
        "LOCAL_KEY": LOCAL_KEY,
    }


def forward(world: World, *arguments: str) -> Result:
    """Forwards what is stored, and stops."""
    return CliRunner().invoke(
        app, ["listen", "--once", *arguments], env={"TOSS_SECURITY_KEY": None, **environment(world)}
    )


class Receiver(HTTPServer):
    """A local webhook that keeps what comes. `answer` is its HTTP status."""

    def __init__(self, port: int = 0) -> None:
        super().__init__((LOOPBACK, port), _Handler)
        self.url = f"http://{LOOPBACK}:{self.server_port}/hook"
        self.deliveries: list[Delivery] = []
        self.answer = 200
        self.arrived = threading.Semaphore(0)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(delivery.body) for delivery in self.deliveries]


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self.server.deliveries.append(
            Delivery(
                self.rfile.read(int(self.headers["content-length"])),
                (self.headers.get(SIGNATURE_HEADER) or "").encode(),
                (self.headers.get(TIME_HEADER) or "").encode(),
            )
        )
        self.send_response(self.server.answer)
        self.end_headers()
        self.server.arrived.release()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def receiving(port: int = 0) -> Iterator[Receiver]:
    with Receiver(port) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def pay(world: World, order: str, amount: object = 9900) -> None:
    data = {
        "paymentKey": f"key-{order}",
        "orderId": order,
        "status": "DONE",
        "totalAmount": amount,
        "orderName": "커피",
    }
    assert world.deliver({"eventType": "PAYMENT_STATUS_CHANGED", "data": data}, signed=True).status_code == 200


def test_stored_deliveries_arrive_oldest_first_and_signed_with_the_local_key(world: World) -> None:
    for status in ("READY", "DONE", "CANCELED"):
        data = {"paymentKey": "key-forward", "orderId": "forward-1", "status": status, "totalAmount": 9900}
        world.deliver({"eventType": "PAYMENT_STATUS_CHANGED", "data": data}, signed=True)
    with receiving() as receiver:
        given = ("--to", receiver.url, "--since", "1h", "--order", "forward-1", "--key-env", "LOCAL_KEY")
        result = forward(world, *given)
    assert result.exit_code == 0
    assert [body["data"]["status"] for body in receiver.bodies] == ["READY", "DONE", "CANCELED"]
    assert all(check_signature(delivery, Keys((LOCAL_KEY,))).is_valid for delivery in receiver.deliveries)
    assert result.stdout.splitlines()[-1] == "3 delivered"


def test_the_same_service_knows_them_again(world: World) -> None:
    assert (
        CliRunner()
        .invoke(app, ["trigger", "payout.changed", "METHOD_UPDATED", "--to", hook(world)], env=environment(world))
        .exit_code
        == 0
    )
    result = forward(
        world,
        "--to",
        hook(world),
        "--since",
        "1h",
        "--type",
        "payout.changed",
        "--type",
        "METHOD_UPDATED",
        "--json",
        "--key-env",
        "TOSS_SECRET_KEY",
        "--signed",
        "hex",
    )
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert {answer["event_type"] for answer in answers} == {"payout.changed", "METHOD_UPDATED"}
    assert {answer["answer"]["status"] for answer in answers} == {"duplicate"}
    assert all(answer["answer"]["event"] == answer["event"] for answer in answers)


def hook(world: World) -> str:
    return f"{world.service_url}/webhooks/toss"


def test_a_refusal_is_counted_and_the_next_one_is_sent(world: World) -> None:
    pay(world, "forward-refused")
    pay(world, "forward-refused", 100)
    with receiving() as receiver:
        receiver.answer = 500
        result = forward(world, "--to", receiver.url, "--since", "1h", "--order", "forward-refused")
    assert (result.exit_code, len(receiver.deliveries)) == (1, 2)
    assert result.stdout.splitlines()[-1] == "2 refused"


def test_nobody_there_ends_with_3_and_says_how_to_go_on(world: World) -> None:
    pay(world, "forward-away")
    result = forward(world, "--to", f"http://{LOOPBACK}:{free_port()}/", "--since", "1h", "--order", "forward-away")
    assert result.exit_code == 3
    since = result.stderr.rsplit("to resume: --since ", 1)[1].strip()
    with receiving() as receiver:
        assert forward(world, "--to", receiver.url, "--since", since, "--order", "forward-away").exit_code == 0
    assert len(receiver.deliveries) == 1


def test_what_is_no_delivery_is_skipped(world: World) -> None:
    pay(world, "forward-emptied")
    url = f"{world.supabase.url}/rest/v1/webhook_events?order_id=eq.forward-emptied"
    world.http.patch(url, headers={"apikey": SUPABASE_KEY}, json={"payload": {}}).raise_for_status()
    with receiving() as receiver:
        result = forward(world, "--to", receiver.url, "--since", "1h", "--order", "forward-emptied")
    assert (result.exit_code, receiver.deliveries) == (0, [])
    assert "retention has removed its payload" in result.stdout
    assert result.stdout.splitlines()[-1] == "1 skipped"


def test_nothing_found_is_said(world: World) -> None:
    with receiving() as receiver:
        result = forward(world, "--to", receiver.url, "--since", "1h", "--order", "no-such-order")
    assert (result.exit_code, result.stdout) == (0, "no events match\n")


def test_new_ones_are_followed_across_a_restart_of_the_local_service_until_ctrl_c(world: World, tmp_path: Path) -> None:
    port = free_port()
    log = tmp_path / "listen.log"
    child = Child(
        "listen",
        [
            *(sys.executable, "-m", "supatoss", "listen"),
            *("--to", f"http://{LOOPBACK}:{port}/hook", "--since", "1m", "--order", "forward-follow"),
        ],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment(world)},
        log=log,
    )
    try:
        pay(world, "forward-follow", 100)
        world.until(lambda: "; waiting" in log.read_text())
        with receiving(port) as receiver:
            assert receiver.arrived.acquire(timeout=20)
            pay(world, "forward-follow", 200)
            assert receiver.arrived.acquire(timeout=20)
        assert [body["data"]["totalAmount"] for body in receiver.bodies] == [100, 200]
        (printed,) = re.findall(r"TOSS_SECRET_KEY=(\S+)", log.read_text())
        assert all(check_signature(delivery, Keys((printed,))).is_valid for delivery in receiver.deliveries)
        world.until(lambda: re.search(r"forward-follow +₩200  DONE → 200", log.read_text()))
        os.kill(child.pid, signal.SIGINT)
        assert child.wait(15) == 130
        assert "Traceback" not in log.read_text()
    finally:
        child.stop()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--to", "http://127.0.0.1:1/"), "such as --since 1h"),
        (("--to", "http://example.com/", "--since", "1h"), "--to should begin with https://"),
        (("--to", "local", "--since", "1h"), "--to should be a URL such as http://127.0.0.1:8080"),
        (("--to", "http://127.0.0.1:1/", "--since", "someday"), "is not a time: 30m, 2h"),
        (("--to", "http://127.0.0.1:1/", "--since", "1h", "--status", "done"), "processed, ignored, pending, failed"),
        (("--to", "http://127.0.0.1:1/", "--since", "1h", "--key-env", "NO_KEY"), "NO_KEY is missing"),
        (("--since", "1h"), "Missing option '--to'"),
    ],
)
def test_wrong_use_names_what_was_expected(world: World, arguments: tuple[str, ...], expected: str) -> None:
    result = forward(world, *arguments)
    assert result.exit_code == 2
    assert expected in " ".join(result.stderr.replace("│", " ").split())


def test_without_an_inbox_what_arrives_is_passed_on_and_answered(tmp_path: Path) -> None:
    port = free_port()
    log = tmp_path / "listen.log"
    with receiving() as receiver:
        child = Child(
            "listen",
            [sys.executable, "-m", "supatoss", "listen", "--to", receiver.url, "--port", str(port)],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "SUPABASE_URL": ""},
            log=log,
        )
        try:
            child.wait_until(lambda: "Ctrl-C stops." in log.read_text(), 30)
            sent = CliRunner().invoke(
                app,
                ["trigger", "PAYMENT_STATUS_CHANGED", "--signed", "none", "--to", f"http://{LOOPBACK}:{port}/"],
                env={"TOSS_SECRET_KEY": "", "TOSS_API_URL": ""},
            )
            assert sent.exit_code == 0, sent.output
            (printed,) = re.findall(r"TOSS_SECRET_KEY=(\S+)", log.read_text())
            (delivery,) = receiver.deliveries
            assert check_signature(delivery, Keys((printed,))).is_valid
            receiver.answer = 500
            refused = httpx.post(f"http://{LOOPBACK}:{port}/", content=b"\xff\x00", trust_env=False)
            assert (refused.status_code, receiver.deliveries[-1].body) == (500, b"\xff\x00")
            receiver.shutdown()
            receiver.server_close()
            away = httpx.post(f"http://{LOOPBACK}:{port}/", content=b"{}", trust_env=False)
            assert (away.status_code, "nothing listens at" in away.text) == (502, True)
            os.kill(child.pid, signal.SIGINT)
            assert child.wait(15) == 130
            assert "1 delivered, 2 refused" in log.read_text()
            assert "Traceback" not in log.read_text()
        finally:
            child.stop()


def test_filters_need_an_inbox(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SUPABASE_URL", "SUPABASE_SECRET_KEY"):
        monkeypatch.setenv(name, "")
    result = CliRunner().invoke(app, ["listen", "--to", "localhost:3000/api/toss", "--since", "1h"])
    assert (result.exit_code, "need an inbox" in result.stderr) == (2, True)
