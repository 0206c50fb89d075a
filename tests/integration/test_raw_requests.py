"""Requests that no client library would send, byte by byte over a socket: smuggling, traversal, hosts of others."""

import contextlib
import socket
from urllib.parse import urlsplit

import pytest

from scripts.local_stack import LOOPBACK
from supatoss.toss.delivery import SIGNATURE_HEADER, TIME_HEADER
from tests.fuzz.targets import statuses
from tests.integration.conftest import Stack
from tests.support import signed_headers

POST = b"POST /webhooks/toss HTTP/1.1\r\nhost: service\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\nhost: service\r\n"
HIDDEN = HEALTH + b"connection: close\r\n\r\n"
"""Answered with 200, and the connection closed, where a parser takes it for a request of its own."""

LENGTH = str(len(HIDDEN)).encode()
SILENCE_SECONDS = 1.0
"""After this the server is taken to wait for more of a body, and it won't get any."""


def ask(stack: Stack, raw: bytes) -> bytes:
    """Sends bytes and reads until the server closes, or has nothing more to say."""
    heard = b""
    with contextlib.closing(socket.create_connection((LOOPBACK, urlsplit(stack.service_url).port or 0))) as connection:
        connection.settimeout(SILENCE_SECONDS)
        with contextlib.suppress(ConnectionError, TimeoutError):
            connection.sendall(raw)
            while part := connection.recv(65536):
                heard += part
    return heard


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"content-length: 6\r\ntransfer-encoding: chunked\r\n", b"0\r\n\r\n" + HIDDEN),
        (b"transfer-encoding: chunked\r\ncontent-length: 5\r\n", b"0\r\n\r\n" + HIDDEN),
        (b"content-length: 0\r\ncontent-length: " + LENGTH + b"\r\n", HIDDEN),
        (b"content-length: " + LENGTH + b"\r\ncontent-length: 0\r\n", HIDDEN),
        (b"content-length: 0, " + LENGTH + b"\r\n", HIDDEN),
        (b"content-length: +0\r\n", HIDDEN),
        (b"content-length: 0x0\r\n", HIDDEN),
        (b"content-length : 0\r\n", HIDDEN),
        (b"content-length: 0\r\n 5\r\n", HIDDEN),
        (b"transfer-encoding: xchunked\r\n", b"0\r\n\r\n" + HIDDEN),
        (b"transfer-encoding: chunked, identity\r\n", b"0\r\n\r\n" + HIDDEN),
        (b"transfer-encoding: identity, chunked, identity\r\n", b"0\r\n\r\n" + HIDDEN),
        (b"transfer-encoding : chunked\r\n", b"0\r\n\r\n" + HIDDEN),
        (b"transfer-encoding: \x0bchunked\r\n", b"0\r\n\r\n" + HIDDEN),
        (b"transfer-encoding: chunked\r\n", b"0x0\r\n\r\n" + HIDDEN),
        (b"transfer-encoding: chunked\r\n", b"-0\r\n\r\n" + HIDDEN),
        (b"transfer-encoding: chunked\r\n", b"10000000000000000\r\n\r\n" + HIDDEN),
        (b"transfer-encoding: chunked\r\n", b"1\nx\n0\n\n" + HIDDEN),
        (b"x: y\x00\r\ncontent-length: 0\r\n", HIDDEN),
        (b"x: y\rcontent-length: 0\r\n", HIDDEN),
    ],
)
def test_no_request_is_hidden_in_another(stack: Stack, head: bytes, body: bytes) -> None:
    heard = ask(stack, POST + head + b"\r\n" + body)
    assert 200 not in statuses(heard), heard


def test_the_body_of_a_get_is_no_request(stack: Stack) -> None:
    """Here the hidden one is really a body, so that the one before it counts alone."""
    first = HEALTH + b"content-length: " + LENGTH + b"\r\n\r\n"
    assert statuses(ask(stack, first + HIDDEN)) == [200]


def test_requests_one_after_the_other_are_answered_in_order(stack: Stack) -> None:
    """Without this, the tests above would pass for a server that answers nothing."""
    refused = POST + b"content-length: 2\r\n\r\n{}"
    assert statuses(ask(stack, HEALTH + b"\r\n" + refused + HIDDEN)) == [200, 401, 200]


@pytest.mark.parametrize("form", ["two lines", "folded"])
def test_a_signature_counts_as_it_is_written(stack: Stack, form: str) -> None:
    """A second time header or a folded one can't give a signed body another meaning."""
    raw = b'{"eventType":"RAW","data":{}}'
    made = signed_headers(raw)
    time, signature = made[TIME_HEADER], made[SIGNATURE_HEADER]
    times = [f"{TIME_HEADER}: 2020-01-01\r\n{TIME_HEADER}: {time}\r\n", f"{TIME_HEADER}: 2020-01-01\r\n {time}\r\n"]
    chosen = times[form == "folded"]
    head = f"{chosen}{SIGNATURE_HEADER}: {signature}\r\ncontent-length: {len(raw)}\r\nconnection: close\r\n\r\n"
    assert statuses(ask(stack, POST + head.encode() + raw))[0] in (400, 401)


@pytest.mark.parametrize(
    "path",
    [
        *("/ops/static/../app.py", "/ops/static/..%2f..%2fapp.py", "/ops/static/%2e%2e/%2e%2e/app.py"),
        *("/ops/static/..%5c..%5capp.py", "/ops/static//etc/passwd", "/ops/static/%2fetc%2fpasswd"),
        *("/../../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/healthz/../metrics", "//evil.example/ops"),
        *("http://evil.example/metrics", "/healthz%00.html", "/healthz%0d%0aset-cookie:%20a=b"),
    ],
)
def test_a_path_leads_to_nothing_else(stack: Stack, path: str) -> None:
    heard = ask(stack, f"GET {path} HTTP/1.1\r\nhost: service\r\nconnection: close\r\n\r\n".encode())
    assert statuses(heard)[0] in (400, 404), heard
    assert b"root:" not in heard
    assert b"set-cookie" not in heard.lower()


@pytest.mark.parametrize("path", ["/ops", "/ops/", "/ops//evil.example", "/webhooks/toss/", "//evil.example/%2e%2e"])
def test_no_answer_leads_to_the_host_of_a_request(stack: Stack, path: str) -> None:
    heard = ask(stack, f"GET {path} HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n".encode())
    assert b"evil.example" not in heard
    locations = [line for line in heard.lower().split(b"\r\n") if line.startswith(b"location:")]
    assert all(line.startswith(b"location: /ops") for line in locations)
