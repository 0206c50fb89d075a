"""Whatever hangs behind the service, every delivery is answered in time, and the service recovers without a restart."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from scripts.local_stack import LOOPBACK, free_port
from tests.faults.programs import Service
from tests.faults.proxy import Mode, Proxy
from tests.faults.world import SUPABASE_KEY, World
from tests.support import ANY_AGE_HOURS, GUIDE_PAYMENT, SECRET_KEY, raw_body, signed_headers

TOSS_SECONDS = 10.0
"""Toss gives up after it; with the default settings the answer has to come within 8 s."""

IMPATIENT = {"ANSWER_DEADLINE_SECONDS": "2", "SUPABASE_TIMEOUT_SECONDS": "0.7", "TOSS_TIMEOUT_SECONDS": "0.7"}
MORE_THAN_CALLS_AT_ONCE = 8
"""Deliveries that hang at the same time: more than the service has calls of the Data API in flight."""

RE_SENDS = 7

HANGING = (Mode.REFUSE, Mode.SWALLOW, Mode.HEADERS, Mode.TRICKLE)


@pytest.fixture(scope="module")
def data_api(world: World) -> Iterator[Proxy]:
    with Proxy(world.lite.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def toss() -> Iterator[Proxy]:
    with Proxy(free_port()) as proxy:  # nobody listens behind it
        yield proxy


def settings(data_api_url: str, toss_url: str) -> dict[str, str]:
    return {
        "SUPABASE_URL": data_api_url,
        "SUPABASE_SECRET_KEY": SUPABASE_KEY,
        "TOSS_SECRET_KEY": SECRET_KEY,
        "SIGNATURE_MAX_AGE_HOURS": str(ANY_AGE_HOURS),
        "TOSS_API_URL": toss_url,
        "WORKER": "off",
        **IMPATIENT,
    }


@pytest.fixture(scope="module")
def service(data_api: Proxy, toss: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(settings(data_api.url, toss.url), tmp_path_factory.mktemp("service") / "service.log") as running:
        yield running


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=TOSS_SECONDS) as client:
        yield client


def body(name: str) -> bytes:
    return raw_body({**GUIDE_PAYMENT, "name": name})


def deliver(http: httpx.Client, service: Service, name: str, *, signed: bool = True) -> httpx.Response:
    raw = body(name)
    return http.post(f"{service.url}/webhooks/toss", content=raw, headers=signed_headers(raw) if signed else {})


def deliver_at_once(http: httpx.Client, service: Service, name: str, *, signed: bool = True) -> list[httpx.Response]:
    """Several deliveries at the same time: all have to be answered before Toss gives up."""
    with ThreadPoolExecutor(MORE_THAN_CALLS_AT_ONCE) as pool:
        waiting = [
            pool.submit(deliver, http, service, f"{name}-{number}", signed=signed)
            for number in range(MORE_THAN_CALLS_AT_ONCE)
        ]
        return [future.result() for future in waiting]


def assert_gets_through(http: httpx.Client, service: Service, name: str) -> None:
    """Stored by one of its re-sends: a database that has just started, or a busy machine, may need a moment."""
    assert 200 in (deliver(http, service, name).status_code for _ in range(RE_SENDS))


def assert_come_again(response: httpx.Response) -> None:
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0


@pytest.mark.parametrize("mode", HANGING)
def test_a_hanging_data_api_and_its_recovery(service: Service, data_api: Proxy, http: httpx.Client, mode: Mode) -> None:
    assert_gets_through(http, service, f"before-{mode}")
    data_api.mode = mode
    data_api.cut()
    for response in deliver_at_once(http, service, mode):
        assert_come_again(response)
    assert http.get(f"{service.url}/readyz").status_code == 503
    assert http.get(f"{service.url}/healthz").status_code == 200
    data_api.mode = Mode.PASS
    for number in range(MORE_THAN_CALLS_AT_ONCE):
        assert_gets_through(http, service, f"{mode}-{number}")


@pytest.mark.parametrize("mode", HANGING)
def test_a_hanging_toss(service: Service, toss: Proxy, http: httpx.Client, mode: Mode) -> None:
    toss.mode = mode
    try:
        for response in deliver_at_once(http, service, f"unsigned-{mode}", signed=False):
            assert_come_again(response)
        assert_gets_through(http, service, f"signed-{mode}")
    finally:
        toss.mode = Mode.PASS
        toss.cut()


def test_a_hanging_toss_and_a_hanging_data_api(
    service: Service, toss: Proxy, data_api: Proxy, http: httpx.Client
) -> None:
    toss.mode = data_api.mode = Mode.TRICKLE
    data_api.cut()
    try:
        for signed in (True, False):
            for response in deliver_at_once(http, service, "both", signed=signed):
                assert_come_again(response)
    finally:
        toss.mode = data_api.mode = Mode.PASS
        toss.cut()
    assert_gets_through(http, service, "both-0")


@contextlib.contextmanager
def deaf_port() -> Iterator[int]:
    """A port whose queue of connections is full: a connection to it is neither made nor refused."""
    with socket.socket() as listener, contextlib.ExitStack() as queue:
        listener.bind((LOOPBACK, 0))
        listener.listen(0)
        port: int = listener.getsockname()[1]
        for _ in range(4):
            waiting = queue.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex((LOOPBACK, port))
        yield port


def test_connections_that_are_never_made(http: httpx.Client, tmp_path: Path) -> None:
    with deaf_port() as port:
        url = f"http://{LOOPBACK}:{port}"
        with Service(settings(url, url), tmp_path / "service.log") as service:
            for signed in (True, False):
                for response in deliver_at_once(http, service, "deaf", signed=signed):
                    assert_come_again(response)


def test_a_body_that_trickles_in_is_answered_in_time(service: Service) -> None:
    with socket.create_connection((LOOPBACK, service.port), timeout=TOSS_SECONDS) as sender:
        sender.sendall(b"POST /webhooks/toss HTTP/1.1\r\nhost: x\r\ncontent-length: 60000\r\n\r\n{")
        answered = threading.Event()

        def trickle() -> None:
            with contextlib.suppress(OSError):
                while not answered.wait(0.05):
                    sender.sendall(b" ")

        trickling = threading.Thread(target=trickle)
        trickling.start()
        try:
            assert sender.recv(1000).startswith(b"HTTP/1.1 408 ")
        finally:
            answered.set()
            trickling.join()
