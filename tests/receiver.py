"""Where alerts are sent, instead of Slack: an HTTP server that keeps what it was told."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import TracebackType
from typing import Any, Self

from scripts.local_stack import LOOPBACK


@dataclass(frozen=True)
class Message:
    """One request that was answered 200."""

    body: dict[str, Any]
    raw: bytes
    headers: dict[str, str]

    @property
    def phase(self) -> str:
        return str(self.body["type"]).rsplit(".", maxsplit=1)[-1]

    @property
    def rule(self) -> str:
        return str(self.body["data"].get("rule", ""))

    @property
    def subject(self) -> str:
        return str(self.body["data"].get("subject", ""))


class Receiver:
    """`statuses` answer the next requests, `status` all after them; only what is answered 200 is kept."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.statuses: list[int] = []
        self.status = 200
        self._came = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["content-length"]))
                status = receiver.statuses.pop(0) if receiver.statuses else receiver.status
                if status == 200:
                    receiver._keep(Message(json.loads(raw), raw, {**self.headers}))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                pass

        self._server = HTTPServer((LOOPBACK, 0), Handler)
        self.url = f"http://{LOOPBACK}:{self._server.server_port}/services/hidden"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def texts(self) -> list[str]:
        """What people read, and the command below it."""
        return [f"{message.body['text']}\n{message.body['data']['command']}" for message in self.messages]

    def wait_for(self, is_it: Callable[[Message], bool], seconds: float) -> Message | None:
        """The first message that is what is waited for; None if none comes in time."""

        def find() -> Message | None:
            return next((message for message in self.messages if is_it(message)), None)

        with self._came:
            return self._came.wait_for(find, seconds)

    def _keep(self, message: Message) -> None:
        with self._came:
            self.messages.append(message)
            self._came.notify_all()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(20)
