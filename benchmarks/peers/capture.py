"""The service's calls for single deliveries, as bytes: what a bare call must send to do the same work.

The service itself makes them against a Data API that records and refuses each call, so that no name, argument or header
is written twice.
"""

import json
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from benchmarks.measure import Load, drive
from benchmarks.peers.base import python, servers
from benchmarks.peers.supatoss import settings
from benchmarks.requests import render, toss_request, write_requests
from benchmarks.stack import Stack
from benchmarks.workload import Sending
from scripts.local_stack import LOOPBACK, StackError

RECORDING = re.compile(r"/rest/v1/rpc/record_webhook_events_v\d+")
"""The path of the call that records."""

_NOT_COPIED = ("host", "content-length", "content-type", "connection")


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the Data API."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def function(self) -> str:
        """Name of the function it calls."""
        return self.path.rpartition("/")[2]

    @property
    def request(self) -> bytes:
        """As an HTTP request over keep-alive."""
        return render(self.path, self.body, self.headers)


def capture_calls(stack: Stack, sendings: Sequence[Sending]) -> list[Call]:
    """One recording call for each delivery, in order. StackError if the service makes any other number of calls."""
    requests = stack.folder / "capture.requests"
    write_requests(requests, map(toss_request, sendings))
    with _recording_server() as (calls, port):
        environment = {**settings(f"http://{LOOPBACK}:{port}"), "WORKER": "off", "LOG_LEVEL": "ERROR"}
        with servers([python("supatoss", "serve")], environment, stack, "/healthz", "capture") as (server,):
            drive("benchmarks.driver", requests, [server.address], Load(connections=1, seconds=120.0))
    if len(calls) != len(sendings):
        raise StackError(f"the service made {len(calls)} recording calls for {len(sendings)} single deliveries")
    return calls


@contextmanager
def _recording_server() -> Iterator[tuple[list[Call], int]]:
    calls: list[Call] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            """Records a call and refuses it permanently, so that the service does not retry."""
            body = self.rfile.read(int(self.headers["content-length"]))
            if RECORDING.fullmatch(self.path):
                kept = {name: value for name, value in self.headers.items() if name.lower() not in _NOT_COPIED}
                calls.append(Call(self.path, kept, body))
            answer = json.dumps({"code": "22000", "message": "recorded", "details": None, "hint": None}).encode()
            self.send_response(400)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
            """Logs nothing."""

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield calls, server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
