"""Servers that stand where a Data API should: one that answers, and those that fail in a way each."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

EVENT: dict[str, Any] = {
    "id": "01a21679-8852-7456-a5ce-fa92c86f4e8d",
    "event_key": "a" * 64,
    "event_type": "PAYMENT_STATUS_CHANGED",
    "status": "failed",
    "reason": "amount_mismatch",
    "proof": "signature",
    "payment_key": "tgen_20260314_0001",
    "order_id": "order-1",
    "order_name": "토스 티셔츠 외 2건",
    "amount": "9900",
    "currency": "KRW",
    "payment_status": "DONE",
    "occurred_at": "2026-03-14T01:00:00+00:00",
    "created_at": "2026-03-14T01:00:01+00:00",
    "processed_at": None,
    "attempts": 0,
    "next_attempt_at": None,
    "lease_until": None,
    "last_error": None,
    "delivery_count": 1,
    "last_delivered_at": "2026-03-14T01:00:01+00:00",
    "payload": "{}",
    "change": None,
    "actions": [],
}
ANSWERS: dict[str, Any] = {
    "supatoss_schema_version": 4,
    "find_webhook_events_v1": {
        "events": [EVENT],
        "has_more": False,
        "now": "2026-03-14T02:00:00+00:00",
        "looked_back_to": None,
    },
    "replay_webhook_events_v1": [],
    "ignore_webhook_events_v1": [
        {"event": EVENT["id"], "outcome": "ignored", "status": "ignored", "reason": "operator"}
    ],
    "supatoss_read_refused_v1": [],
    "supatoss_ignore_findings_v1": {"findings": [], "has_more": False},
    "supatoss_end_sessions_v1": 0,
    "supatoss_harden_v1": [],
    "supatoss_old_times_v1": {"columns": [], "tables": []},
}
HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>cloudflare</h1></body></html>"


@contextmanager
def serving(status: int, content: bytes | None = None, content_type: str = "application/json") -> Iterator[str]:
    """Its address. content: for every call; None: what each function answers."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            answer = ANSWERS.get(self.path.rpartition("/")[2])
            body = json.dumps(answer).encode() if content is None else content
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST  # noqa: N815 - the name that http.server wants

        def log_message(self, *_arguments: object) -> None: ...

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_arguments: object) -> None:
            """A client that has gone is none of ours."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def silence() -> Iterator[str]:
    """The address of something that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@contextmanager
def nobody() -> Iterator[str]:
    """An address where nothing listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
