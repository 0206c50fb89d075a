"""SIGTERM: what is in flight is finished, the rest is refused with 503, and the process ends with status 0."""

import http.client
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from scripts.local_stack import LOOPBACK, free_port
from tests.faults.programs import Service
from tests.faults.proxy import Mode, Proxy
from tests.faults.world import SUPABASE_KEY, World
from tests.support import ANY_AGE_HOURS, GUIDE_PAYMENT, SECRET_KEY, raw_body, signed_headers

GRACE_SECONDS = 18.0
"""All of it: 10 s for answers, 2 s for closing, 5 s for the worker. Fly.io waits 35 s."""

IN_FLIGHT = 6


@pytest.fixture
def data_api(world: World) -> Iterator[Proxy]:
    with Proxy(world.lite.port) as proxy:
        yield proxy


@pytest.fixture
def service(data_api: Proxy, tmp_path: Path) -> Iterator[Service]:
    settings = {
        "SUPABASE_URL": data_api.url,
        "SUPABASE_SECRET_KEY": SUPABASE_KEY,
        "TOSS_SECRET_KEY": SECRET_KEY,
        "SIGNATURE_MAX_AGE_HOURS": str(ANY_AGE_HOURS),
        "TOSS_API_URL": f"http://{LOOPBACK}:{free_port()}",
        "ANSWER_DEADLINE_SECONDS": "5",
    }
    with Service(settings, tmp_path / "service.log") as running:
        running.wait_ready()
        yield running


class Connection:
    """One connection of a sender that keeps it."""

    def __init__(self, service: Service) -> None:
        self._connection = http.client.HTTPConnection(LOOPBACK, service.port, timeout=15.0)

    def ask(self, method: str, path: str, raw: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
        self._connection.request(method, path, raw, signed_headers(raw) if raw else {})
        response = self._connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()

    def deliver(self, name: str) -> tuple[int, dict[str, str], bytes]:
        return self.ask("POST", "/webhooks/toss", raw_body({**GUIDE_PAYMENT, "name": name}))

    def close(self) -> None:
        self._connection.close()


@contextmanager
def connections(service: Service, count: int) -> Iterator[list[Connection]]:
    made = [Connection(service) for _ in range(count)]
    try:
        yield made
    finally:
        for connection in made:
            connection.close()


def wait_until(happened: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = threading.Event()
    timer = threading.Timer(seconds, deadline.set)
    timer.start()
    try:
        while not happened():
            assert not deadline.wait(0.02), "did not happen"
    finally:
        timer.cancel()


def logged(service: Service, event: str) -> dict[str, Any] | None:
    """The line of an event, once it is there."""
    lines = map(json.loads, service.log.read_text().splitlines())
    return next((line for line in lines if line["event"] == event), None)


def test_what_is_in_flight_is_finished_and_the_rest_is_refused(service: Service, data_api: Proxy) -> None:
    with connections(service, IN_FLIGHT + 1) as (kept, *busy), ThreadPoolExecutor(IN_FLIGHT) as pool:
        assert kept.ask("GET", "/healthz")[0] == 200
        # Answers are held back long enough for what follows, and shorter than a call may take.
        data_api.delay_seconds = 2.0
        waiting = [pool.submit(connection.deliver, f"busy-{number}") for number, connection in enumerate(busy)]
        wait_until(lambda: data_api.held >= 1)
        time.sleep(0.5)  # The others wait in the service for the next call, where nothing shows them.
        service.signal(signal.SIGTERM)
        wait_until(lambda: logged(service, "stopping") is not None)
        status, headers, answer = kept.deliver("too-late")
        assert (status, headers["connection"]) == (503, "close")
        assert int(headers["retry-after"]) > 0
        assert json.loads(answer)["error"] == "unavailable"
        with connections(service, 1) as (new,):
            assert new.deliver("too-late-as-well")[0] == 503
        for future in waiting:
            status, headers, answer = future.result()
            assert (status, headers["connection"]) == (200, "close")
            assert json.loads(answer)["status"] == "created"
    assert service.child.wait(GRACE_SECONDS) == 0
    stopped = logged(service, "stopped")
    assert stopped
    assert stopped["refused"] == 2
    assert "Traceback" not in service.log.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_service_ends_at_once_with_status_0(service: Service, number: signal.Signals) -> None:
    with connections(service, 2) as (kept, _):
        assert kept.ask("GET", "/readyz")[0] == 200
        service.signal(number)
        assert service.child.wait(GRACE_SECONDS) == 0
    assert logged(service, "stopped")
    assert "Traceback" not in service.log.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_answers_what_is_in_flight_and_ends(
    service: Service, data_api: Proxy, number: signal.Signals
) -> None:
    with connections(service, IN_FLIGHT) as busy, ThreadPoolExecutor(IN_FLIGHT) as pool:
        data_api.mode = Mode.SWALLOW
        data_api.cut()
        waiting = [pool.submit(connection.deliver, f"stuck-{number}") for connection in busy]
        wait_until(lambda: data_api.held >= 1)
        service.signal(number)
        wait_until(lambda: logged(service, "stopping") is not None)
        service.signal(number)
        assert service.child.wait(GRACE_SECONDS) == 0
        for future in waiting:
            status, headers, _ = future.result()
            assert (status, headers["connection"]) == (503, "close")
            assert int(headers["retry-after"]) > 0
    assert "Traceback" not in service.log.read_text()


def test_a_database_that_hangs_does_not_keep_the_process(service: Service, data_api: Proxy) -> None:
    with connections(service, IN_FLIGHT) as busy, ThreadPoolExecutor(IN_FLIGHT) as pool:
        data_api.mode = Mode.TRICKLE
        data_api.cut()
        waiting = [pool.submit(connection.deliver, f"hanging-{number}") for number, connection in enumerate(busy)]
        wait_until(lambda: data_api.held >= 1)
        service.signal(signal.SIGTERM)
        assert [future.result()[0] for future in waiting] == [503] * IN_FLIGHT
        assert service.child.wait(GRACE_SECONDS) == 0
    assert "Traceback" not in service.log.read_text()


def test_a_sender_that_never_finishes_its_request_does_not_keep_the_process(service: Service) -> None:
    with connections(service, 1) as (kept,):
        assert kept.ask("GET", "/healthz")[0] == 200  # accepted: what comes after the signal on a new one gets 503
        connection = kept._connection
        connection.putrequest("POST", "/webhooks/toss")
        connection.putheader("content-length", "100")
        connection.endheaders(b"{")
        service.signal(signal.SIGTERM)
        assert connection.getresponse().status == 408
    assert service.child.wait(GRACE_SECONDS) == 0
