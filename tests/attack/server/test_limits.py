"""Attacks on a real process through real sockets: each is bounded, and honest deliveries are answered meanwhile."""

import contextlib
import json
import re
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from scripts.local_stack import LOOPBACK, LocalSupabase
from supatoss.protocol import MAX_HEAD_BYTES, MAX_HEADER_LINES, MAX_LINE_BYTES, MAX_PIPELINED
from supatoss.receiving import MAX_UNSIGNED_BODY_BYTES
from tests.attack.conftest import SUPABASE_KEY
from tests.attack.server.floods import HEAD, MIB
from tests.attack.server.target import Target, running_target
from tests.support import signed_headers

FILES = 256
CONNECTIONS = FILES - 128
BODIES_BYTES = 2 * MIB
KIB = 1024


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("service") / "service.log"


@pytest.fixture(scope="module")
def target(supabase: LocalSupabase, log: Path) -> Iterator[Target]:
    settings = {"MAX_BODIES_BYTES": str(BODIES_BYTES), "LOG_LEVEL": "DEBUG"}
    with running_target(supabase.url, SUPABASE_KEY, log, settings, FILES) as running:
        yield running


@contextlib.contextmanager
def connected(target: Target, count: int) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection((LOOPBACK, target.port), timeout=20.0)) for _ in range(count)
        ]


def answer(connection: socket.socket) -> bytes:
    """All that comes until the other side ends the connection."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(65536):
            received += piece
    return received


def status_of(received: bytes) -> int:
    return int(received.split(b" ", 2)[1]) if received else 0


def exchange(target: Target, *pieces: bytes) -> bytes:
    """The answers to these bytes, on one connection."""
    with connected(target, 1) as (connection,):
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                connection.sendall(piece)
        return answer(connection)


def refused(target: Target, reason: str) -> float:
    found = re.search(rf'supatoss_refused_connections_total{{reason="{reason}"}} (\S+)', target.metrics())
    return float(found[1]) if found else 0.0


def is_honest_served(target: Target) -> bool:
    with httpx.Client(trust_env=False, timeout=10.0) as http:
        return [target.deliver(http) for _ in range(5)] == [200] * 5


def closed(connections: Sequence[socket.socket]) -> int:
    """How many of them the other side has ended."""
    for connection in connections:
        connection.setblocking(False)
    count = 0
    for connection in connections:
        with contextlib.suppress(BlockingIOError):
            connection.recv(1)
            count += 1
    return count


class TestConnections:
    def test_idle_ones_make_room_for_deliveries_and_files_are_left(self, target: Target, log: Path) -> None:
        before = refused(target, "displaced")
        with connected(target, 2 * CONNECTIONS) as idle:
            assert is_honest_served(target)
            assert target.open_files() < FILES - 64
            assert closed(idle) >= CONNECTIONS
        assert refused(target, "displaced") - before >= CONNECTIONS
        lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines() if "displaced" in line]
        assert 1 <= len([line for line in lines if line["event"] == "connection refused"]) < 5

    def test_unfinished_heads_and_bodies_make_room_too(self, target: Target) -> None:
        with connected(target, 2 * CONNECTIONS) as unfinished:
            for number, connection in enumerate(unfinished):
                with contextlib.suppress(ConnectionError):
                    connection.sendall(HEAD + (b"content-length: 9\r\n\r\n{" if number % 2 else b"x: "))
            assert is_honest_served(target)

    def test_bodies_share_a_budget(self, target: Target) -> None:
        before, at_rest = refused(target, "bodies_too_large"), target.memory_mib()
        head = HEAD + b"tosspayments-webhook-signature: 00\r\ncontent-length: 262144\r\n\r\n"
        with connected(target, CONNECTIONS // 2) as stalled:
            for connection in stalled:
                with contextlib.suppress(ConnectionError):
                    connection.sendall(head + b"[" * (200 * KIB))
            assert is_honest_served(target)
            assert closed(stalled) > len(stalled) / 2
        assert refused(target, "bodies_too_large") > before
        assert target.memory_mib() - at_rest < 32


class TestHeads:
    @pytest.mark.parametrize(
        ("head", "piece"),
        [
            (HEAD, b"x-more: 1\r\n" * 90),
            (HEAD + b"x-long: ", b"v" * KIB),
            (HEAD, b"x" * KIB),
            (b"GET /", b"v" * KIB),
            (b"GET / HTTP/1.1\r\nhost: x\r\nx-long: ", b"v" * KIB),
            (HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nx-long: ", b"v" * KIB),
            (HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", b"x-more: 1\r\n" * 90),
            (HEAD + b"transfer-encoding: chunked\r\n\r\n2;x=", b"v" * KIB),
            (HEAD + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n[\r\n" * 200),
            (b"", b"\r\n" * 512),
        ],
        ids=["lines", "value", "name", "target", "get", "trailer", "trailers", "extension", "tiny chunks", "line ends"],
    )
    def test_what_has_no_end_is_cut(self, target: Target, head: bytes, piece: bytes) -> None:
        before = refused(target, "head_too_large")
        with connected(target, 1) as (connection,), contextlib.suppress(ConnectionError):
            connection.sendall(head)
            for _ in range(32 * KIB):
                connection.sendall(piece)
            pytest.fail("32 MiB were taken")
        assert refused(target, "head_too_large") == before + 1
        assert is_honest_served(target)

    @pytest.mark.parametrize(
        ("head", "status"),
        [
            (b"x: 1\r\n" * (MAX_HEADER_LINES - 1), 200),
            (b"x: 1\r\n" * MAX_HEADER_LINES, 431),
            (b"x:" + b"v" * (MAX_LINE_BYTES - 1) + b"\r\n", 200),
            (b"x:" + b"v" * MAX_LINE_BYTES + b"\r\n", 431),
            ((b"x:" + b"v" * 4000 + b"\r\n") * 4, 200),
            ((b"x:" + b"v" * 4000 + b"\r\n") * 5, 431),
        ],
    )
    def test_a_head_within_the_limits_is_answered(self, target: Target, head: bytes, status: int) -> None:
        request = b"GET /healthz HTTP/1.1\r\nhost: x\r\n" + head.removesuffix(b"\r\n") + b"\r\n"
        request = request.replace(b"host: x\r\n", b"connection: close\r\n")
        assert status_of(exchange(target, request + b"\r\n")) == status

    def test_it_is_the_same_in_pieces(self, target: Target) -> None:
        pieces = [b"GET /healthz HTTP/1.1\r\nconnection: close\r\n", *[b"x: " + b"v" * 3000 + b"\r\n"] * 4, b"\r\n"]
        assert status_of(exchange(target, *pieces)) == 200
        assert status_of(exchange(target, *pieces[:-1], *pieces[1:])) == 431
        assert MAX_HEAD_BYTES < 8 * 3000

    def test_few_requests_may_be_pipelined(self, target: Target) -> None:
        request = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
        last = request.replace(b"host: x", b"connection: close")
        assert exchange(target, request * MAX_PIPELINED + last).count(b"HTTP/1.1 200 OK") == MAX_PIPELINED + 1
        before = refused(target, "pipelined")
        assert b"HTTP/1.1 400" in exchange(target, request * 4000)
        assert refused(target, "pipelined") == before + 1

    @pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"POST / HTTP/1.1\r\nx y\r\n\r\n"])
    def test_what_is_not_http_is_counted(self, target: Target, data: bytes) -> None:
        before = refused(target, "malformed")
        assert status_of(exchange(target, data)) == 400
        assert refused(target, "malformed") == before + 1


class TestWebSockets:
    def test_a_handshake_is_answered_as_any_request_and_its_cookies_are_not_logged(
        self, target: Target, log: Path
    ) -> None:
        handshake = (
            b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
            b"cookie: session=cookie-of-somebody\r\nsec-websocket-version: 13\r\n"
            b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        received = exchange(target, handshake + b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert received.startswith(b"HTTP/1.1 200 OK")
        assert (received.count(b"HTTP/1.1"), b"connection: close" in received) == (1, True)
        assert "cookie-of-somebody" not in log.read_text(encoding="utf-8")


class TestBodies:
    @pytest.mark.parametrize("path", ["/webhooks/toss", "/functions/v1/webhook/"])
    @pytest.mark.parametrize("is_chunked", [False, True])
    @pytest.mark.parametrize(("is_signed", "limit"), [(False, "65536"), (True, "262144")])
    def test_413_is_readable_while_the_client_sends(
        self, target: Target, path: str, is_chunked: bool, is_signed: bool, limit: str
    ) -> None:
        body = b"[" * (2 * MIB)
        head = HEAD.replace(b"/webhooks/toss", path.encode())
        head += b"tosspayments-webhook-signature: 00\r\n" if is_signed else b""
        head += b"transfer-encoding: chunked\r\n\r\n" if is_chunked else b"content-length: %d\r\n\r\n" % len(body)
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if is_chunked else body
        with connected(target, 1) as (connection,):
            connection.sendall(head)
            for start in range(0, len(body), 32 * KIB):
                connection.sendall(body[start : start + 32 * KIB])  # a client that is reset here sees no answer
            received = answer(connection)
        assert received.startswith(b"HTTP/1.1 413 ")
        assert b"connection: close" in received
        assert json.loads(received.partition(b"\r\n\r\n")[2])["message"] == f"The body is longer than {limit} bytes."

    def test_a_client_that_asks_first_is_told_before_it_sends(self, target: Target) -> None:
        head = HEAD + b"expect: 100-continue\r\ncontent-length: 2000000\r\n\r\n"
        assert exchange(target, head).startswith(b"HTTP/1.1 413 ")

    @pytest.mark.parametrize(("more", "status"), [(0, 200), (1, 413)])
    def test_unsigned_ones_are_shorter_than_signed_ones(self, target: Target, more: int, status: int) -> None:
        body = b'{"eventType":"X","d":""}'
        body = body.replace(b'""', b'"%s"' % (b"x" * (MAX_UNSIGNED_BODY_BYTES - len(body) + more)))
        url = f"{target.url}/webhooks/toss"
        assert httpx.post(url, content=body, trust_env=False).status_code == status
        headers = signed_headers(body, sent_at=time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()))
        assert httpx.post(url, content=body, headers=headers, trust_env=False).status_code == 200

    def test_a_body_that_nobody_wants_is_not_read_for_ever(self, target: Target) -> None:
        with connected(target, 1) as (connection,):
            connection.sendall(b"POST /nothing HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                for _ in range(64):
                    connection.sendall(b"v" * MIB)
                pytest.fail("64 MiB were taken")
            assert is_honest_served(target)

    def test_a_short_body_that_nobody_wants_costs_no_connection(self, target: Target) -> None:
        request = b"POST /nothing HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"
        last = b"GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n"
        received = exchange(target, request, last)
        assert (received[:12], b"HTTP/1.1 200 OK" in received) == (b"HTTP/1.1 404", True)
