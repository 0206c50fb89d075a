"""The processes of the canary test, and everything that they write."""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import httpx
import psycopg
from psycopg import sql

from scripts.local_stack import LOOPBACK, ROOT, Child, LocalPostgres, LocalSupabase, free_port, is_taken
from tests.canary.canaries import distinct
from tests.collector import Collector
from tests.processes import READY_SECONDS, running_service

PATIENCE_SECONDS = 30.0

SECRET_KEY = f"test_sk_{distinct('secret key')}"
OLDER_SECRET_KEY = f"test_sk_{distinct('older secret key')}"
SECURITY_KEY = distinct("security key").encode().hex()[:64]
SUPABASE_KEY = f"sb_secret_{distinct('service key')}"
OPS_PASSWORD = f"pass {distinct('password')}"
METRICS_TOKEN = distinct("metrics token")
ALERT_SECRET = f"whsec_{distinct('alert secret', 32)}"
ALERT_PATH = f"/services/{distinct('alert address')}"


def until(find: Callable[[], Any], what: str) -> Any:
    """What is found, as soon as it is true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := find()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return found


class Receiver:
    """Where alerts arrive. Keeps the bodies; headers hold a signature, which is no secret."""

    def __init__(self) -> None:
        self.bodies: list[str] = []
        bodies = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies.append(self.rfile.read(int(self.headers["content-length"])).decode())
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing is printed."""

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://{LOOPBACK}:{self._server.server_port}{ALERT_PATH}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@dataclass
class Stack:
    """A whole deployment, and what was written so far: by name, the text."""

    service_url: str
    toss_url: str
    supabase: LocalSupabase
    receiver: Receiver
    collector: Collector
    http: httpx.Client
    folder: Path
    dsn: str
    postgres_log: Path
    settings: Mapping[str, str]
    written: dict[str, str] = field(default_factory=dict)

    def keep(self, name: str, text: str) -> None:
        """Notes a text that somebody was shown."""
        self.written[name] = self.written.get(name, "") + text

    def play(self, path: str, **body: Any) -> dict[str, Any]:
        """One step at Toss."""
        response = self.http.post(f"{self.toss_url}/emulator/{path}", json=body)
        assert response.is_success, response.text
        return cast("dict[str, Any]", response.json())

    def pay(self, order: str, *, method: str = "카드", amount: int = 10_000) -> dict[str, Any]:
        """A buyer pays: Toss's Payment object."""
        made = self.play("payments", orderId=order, amount=amount, method=method)
        return self.play(f"payments/{made['paymentKey']}/approve")

    def deliver(self, raw: bytes, headers: Mapping[str, str]) -> httpx.Response:
        """One delivery; what the answer says is kept."""
        response = self.http.post(f"{self.service_url}/webhooks/toss", content=raw, headers=dict(headers))
        self.keep("answers", f"{response.headers}\n{response.text}\n")
        return response

    def query(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Rows, read behind the Data API's back."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            return connection.execute(statement.encode(), parameters or None).fetchall()

    def execute(self, statement: str, *parameters: Any) -> None:
        """What the project does in its own database."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(statement.encode(), parameters or None)

    def until_quiet(self) -> None:
        """Until every webhook was answered with 200."""

        def are_sent() -> bool:
            deliveries = self.http.get(f"{self.toss_url}/emulator/deliveries").json()["deliveries"]
            return all(delivery["state"] == "success" for delivery in deliveries)

        until(are_sent, "every webhook is answered with 200")

    def columns(self) -> Iterator[tuple[str, str]]:
        """Each column of each table of ours, `table.column`, with all its values as text."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            names = connection.execute(
                "select table_schema, table_name, column_name from information_schema.columns c"
                " join information_schema.tables t using (table_schema, table_name)"
                " where table_schema in ('public', 'supatoss') and table_type = 'BASE TABLE'"
            ).fetchall()
            for schema, table, column in names:
                values = connection.execute(
                    sql.SQL("select {}::text from {}").format(sql.Identifier(column), sql.Identifier(schema, table))
                ).fetchall()
                prefix = "" if schema == "public" else f"{schema}."
                yield f"{prefix}{table}.{column}", "\n".join(value for (value,) in values if value is not None)

    def logs(self) -> dict[str, str]:
        """What our processes and PostgreSQL have written. The local Data API prints its own keys when it starts."""
        files = (self.folder / "service.log", self.folder / "worker.log", self.postgres_log)
        return {file.name: file.read_text(encoding="utf-8", errors="replace") for file in files}


@contextmanager
def running_stack(folder: Path) -> Iterator[Stack]:
    """Everything, with canaries as its keys and all logs at DEBUG, until the end of the block."""
    with ExitStack() as stack:
        server = stack.enter_context(LocalPostgres())
        lite = LocalSupabase(folder, free_port(), f"sb_publishable_{distinct('open')}", SUPABASE_KEY, server.dsn())
        stack.enter_context(lite)
        lite.migrate()
        lite.start()
        lite.wait_ready()
        receiver = Receiver()
        stack.callback(receiver.close)
        collector = stack.enter_context(Collector())
        port, toss_port = free_port(), free_port()
        emulator = _emulator(toss_port, f"http://{LOOPBACK}:{port}/webhooks/toss", folder)
        stack.callback(emulator.stop)
        emulator.wait_until(lambda: is_taken(toss_port), READY_SECONDS)
        settings = {
            "SUPABASE_URL": lite.url,
            "SUPABASE_SECRET_KEY": SUPABASE_KEY,
            "TOSS_API_URL": f"http://{LOOPBACK}:{toss_port}",
            "TOSS_SECRET_KEY": f"{SECRET_KEY},{OLDER_SECRET_KEY}",
            "TOSS_SECURITY_KEY": SECURITY_KEY,
            "TOSS_TIMEOUT_SECONDS": "1",
            "OPS_PASSWORD": OPS_PASSWORD,
            "PUBLIC_URL": f"http://{LOOPBACK}:{port}",  # the session's cookie goes over plain http
            "METRICS_TOKEN": METRICS_TOKEN,
            "ALERT_WEBHOOK_URL": receiver.url,
            "ALERT_WEBHOOK_SECRET": ALERT_SECRET,
            "ALERT_INTERVAL_SECONDS": "5",
            "LOG_LEVEL": "DEBUG",
            **collector.environment,
        }
        url = stack.enter_context(running_service({**settings, "WORKER": "off"}, folder / "service.log", port))
        worker = Child(
            "the worker",
            [sys.executable, "-m", "supatoss", "worker"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **settings, "LOG_FORMAT": "console"},
            log=folder / "worker.log",
        )
        stack.callback(worker.stop)
        http = stack.enter_context(httpx.Client(trust_env=False, timeout=20.0))
        toss_url, dsn = settings["TOSS_API_URL"], server.dsn()
        yield Stack(url, toss_url, lite, receiver, collector, http, folder, dsn, server.log, settings)


def _emulator(port: int, webhook_url: str, folder: Path) -> Child:
    keys = ("--secret-key", SECRET_KEY, "--secret-key", OLDER_SECRET_KEY, "--security-key", SECURITY_KEY)
    return Child(
        "the Toss emulator",
        [
            *(sys.executable, "-m", "scripts.toss_emulator", "--port", str(port), "--webhook-url", webhook_url),
            *("--minute-seconds", "0.3", "--requests-per-minute", "0", *keys),
        ],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        log=folder / "emulator.log",
    )


def raw_json(body: object) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()
