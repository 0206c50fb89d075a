import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from benchmarks.driver import Driver, Load, is_complete
from benchmarks.requests import Requests, render, write_requests
from scripts.local_stack import LOOPBACK, ROOT, free_port

Answer = Callable[[BaseHTTPRequestHandler, bytes], None]


@contextmanager
def _server(answer: Answer) -> Iterator[tuple[str, int]]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # headers and body go in two pieces; the second would wait 40 ms

        def do_POST(self) -> None:
            answer(self, self.rfile.read(int(self.headers["content-length"])))

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
            pass

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield LOOPBACK, server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _say(handler: BaseHTTPRequestHandler, status: int, text: bytes = b"ok") -> None:
    handler.send_response(status)
    handler.send_header("content-length", str(len(text)))
    handler.end_headers()
    handler.wfile.write(text)


@pytest.fixture
def requests(tmp_path: Path) -> Requests:
    file = tmp_path / "requests"
    write_requests(file, (render("/", f"{number}".encode(), {}) for number in range(40)))
    return Requests(file)


def test_every_request_is_sent_once_and_answered(requests: Requests) -> None:
    seen: list[bytes] = []

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        seen.append(body)
        _say(handler, 200)

    with _server(answer) as target:
        report = Driver(Load([target], connections=4, count=100, seconds=30), requests).run()

    assert sorted(map(int, seen)) == list(range(40))
    assert (report.sent, report.statuses, report.unacknowledged) == (40, {"200": 40}, [])
    assert 0 < report.p50_ms <= report.p90_ms <= report.p99_ms <= report.max_ms


def test_a_part_can_be_sent_and_then_the_rest(requests: Requests) -> None:
    seen: list[bytes] = []

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        seen.append(body)
        _say(handler, 200)

    with _server(answer) as target:
        first = Driver(Load([target], connections=1, count=15, seconds=30), requests).run()
        rest = Driver(Load([target], connections=1, count=100, seconds=30, skip=first.sent), requests).run()

    assert (first.sent, rest.sent) == (15, 25)
    assert list(map(int, seen)) == list(range(40))


def test_refusals_are_counted_and_named(requests: Requests) -> None:
    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        _say(handler, 503 if int(body) % 10 == 3 else 200)

    with _server(answer) as target:
        report = Driver(Load([target], connections=2, count=100, seconds=30), requests).run()

    assert report.statuses == {"200": 36, "503": 4}
    assert report.unacknowledged == [3, 13, 23, 33]
    assert report.acknowledged == 36


def test_a_broken_connection_loses_one_answer_and_is_opened_again(requests: Requests) -> None:
    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        if int(body) == 5:
            handler.close_connection = True
        else:
            _say(handler, 200)

    with _server(answer) as target:
        report = Driver(Load([target], connections=1, count=100, seconds=30), requests).run()

    assert report.statuses == {"0": 1, "200": 39}
    assert report.unacknowledged == [5]


def test_an_idle_connection_that_is_closed_with_an_answer_is_no_answer_to_a_request(requests: Requests) -> None:
    def answer(handler: BaseHTTPRequestHandler, _body: bytes) -> None:
        _say(handler, 200)
        time.sleep(0.02)
        _say(handler, 408)
        handler.close_connection = True

    with _server(answer) as target:
        report = Driver(Load([target], connections=1, count=5, seconds=30, rate=10.0), requests).run()

    assert (report.sent, report.statuses) == (5, {"200": 5})
    assert report.max_ms < 30_000


def test_connections_are_shared_among_the_targets(requests: Requests) -> None:
    counts = {0: 0, 1: 0}

    def answering(place: int) -> Answer:
        def answer(handler: BaseHTTPRequestHandler, _body: bytes) -> None:
            counts[place] += 1
            _say(handler, 200)

        return answer

    with _server(answering(0)) as one, _server(answering(1)) as other:
        Driver(Load([one, other], connections=2, count=100, seconds=30), requests).run()

    assert counts[0]
    assert counts[1]
    assert sum(counts.values()) == 40


@pytest.mark.parametrize(("rate", "is_counted_from_due_time"), [(1000.0, True), (None, False)])
def test_at_a_fixed_rate_a_stall_shows_in_every_request_that_was_due(
    requests: Requests, rate: float | None, is_counted_from_due_time: bool
) -> None:
    # Every look at the clock takes a second: at 1000/s all are due at once, and the one connection is always late.
    seconds = itertools.count()
    load = Load([], connections=1, count=40, seconds=100_000, rate=rate)

    with _server(lambda handler, _body: _say(handler, 200)) as target:
        report = Driver(replace(load, targets=[target]), requests, lambda: float(next(seconds))).run()

    assert report.statuses == {"200": 40}
    assert (report.p99_ms > 100_000) is is_counted_from_due_time


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no", False),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\ncontent-le", False),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n", False),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", True),
    ],
)
def test_an_answer_ends_where_it_says(data: bytes, expected: bool) -> None:
    assert is_complete(data) is expected


def test_as_a_process_it_prints_its_report(tmp_path: Path) -> None:
    file = tmp_path / "requests"
    write_requests(file, [render("/", b"{}", {})] * 3)

    with _server(lambda handler, _body: _say(handler, 200)) as (host, port):
        report = _run(file, f"{host}:{port}", "--connections", "2", "--seconds", "20")

    assert report["statuses"] == {"200": 3}


def test_as_a_process_it_fails_when_nobody_listens(tmp_path: Path) -> None:
    file = tmp_path / "requests"
    write_requests(file, [render("/", b"{}", {})])

    with pytest.raises(subprocess.CalledProcessError):
        _run(file, f"{LOOPBACK}:{free_port()}")


def _run(file: Path, target: str, *options: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.driver", str(file), "--target", target, *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)  # noqa: S603 - our own
    report: dict[str, Any] = json.loads(done.stdout)
    return report
