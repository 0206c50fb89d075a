"""A Toss that knows what the pages ask about: the payments of a reconciliation, and that its keys are good."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from scripts.local_stack import LOOPBACK
from tests.browser.scene import DIFFERS

MISSING = {"code": "NOT_FOUND_PAYMENT", "message": "존재하지 않는 결제 입니다."}
AWAY = {"code": "FAILED_INTERNAL_SYSTEM_PROCESSING", "message": "내부 시스템 처리 작업이 실패했습니다."}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, answer = _answer(urlsplit(self.path).path)
        body = json.dumps(answer, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """Nobody reads it."""


def _answer(path: str) -> tuple[int, Any]:
    _, _, name = path.removeprefix("/v1/").partition("/")
    if path == "/v1/transactions":
        return 200, [{"mId": "tdestiny01", "transactionKey": "t1", "paymentKey": "p1", "status": "DONE"}]
    if name.startswith("orders/") or name == f"{DIFFERS}2":
        return 404, MISSING
    if name.startswith(DIFFERS):
        return 200, {
            "mId": "tdestiny01",
            "paymentKey": name,
            "orderId": f"order-differs-000{name[-1]}",
            "orderName": "무선 이어폰",
            "status": "DONE",
            "method": "카드",
            "currency": "KRW",
            "totalAmount": 37_400,
            "balanceAmount": 37_400,
            "approvedAt": "2026-11-25T10:00:00+09:00",
        }
    return 503, AWAY  # so that what waits keeps waiting


@contextmanager
def running_toss() -> Iterator[str]:
    """Its address, until the end of the block."""
    with ThreadingHTTPServer((LOOPBACK, 0), _Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://{LOOPBACK}:{server.server_address[1]}"
        finally:
            server.shutdown()
