"""As in production, on this machine: PostgreSQL, the Data API before it, a proxy, the service, its workers."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

from scripts.local_stack import LOOPBACK, LocalPostgres, LocalSupabase, StackError, free_port
from tests.faults.programs import SERVE, WORKER, Program, Service
from tests.faults.proxy import Proxy
from tests.support import SECURITY_KEY

PUBLISHABLE_KEY = "sb_publishable_for_faults_0001"
SUPABASE_KEY = "sb_secret_for_faults_0001"
LIVE_KEY = "live_sk_made_up_for_faults_0001"
"""Toss limits test keys only; the limit is not what is tried here."""

WATCH_SECONDS = 0.1
SETTLE_SECONDS = 60.0
TABLES = "payments, subscriptions, settlements, webhook_events"


class Supervisor:
    """Starts the Data API again whenever it ends: it ends when its database goes away, and faults kill it."""

    def __init__(self, lite: LocalSupabase) -> None:
        self._lite = lite
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor")
        self.restarts = 0

    def kill(self) -> None:
        """Ends the Data API as a crash would."""
        with contextlib.suppress(ProcessLookupError, StackError):
            os.killpg(self._lite.server.pid, signal.SIGKILL)

    def __enter__(self) -> Self:
        self._start()
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()
        self._lite.stop()

    def _watch(self) -> None:
        is_ready = True
        while not self._is_over.wait(WATCH_SECONDS):
            with contextlib.suppress(StackError):
                if not is_ready or self._lite.server.exit_code() is not None:
                    self.restarts += 1
                    is_ready = False  # One that began while the database was away may never answer.
                    self._lite.kill()
                    self._start()
                    is_ready = True

    def _start(self) -> None:
        self._lite.start()
        # One request alone: the first ones after a start fail when they come together.
        self._lite.wait_ready()


@dataclass
class World:
    """The parts that outlive a fault. `data_api` is what the service is told to be the Supabase project."""

    postgres: LocalPostgres
    lite: LocalSupabase
    supervisor: Supervisor
    data_api: Proxy
    folder: Path

    @property
    def dsn(self) -> str:
        return self.postgres.dsn()

    def settings(self, toss_url: str | None = None, **more: str) -> dict[str, str]:
        """Settings of the service, with waits for machines that are near; workers are processes of their own."""
        return {
            "SUPABASE_URL": self.data_api.url,
            "SUPABASE_SECRET_KEY": SUPABASE_KEY,
            "TOSS_SECRET_KEY": LIVE_KEY,
            "TOSS_SECURITY_KEY": SECURITY_KEY,
            "TOSS_API_URL": toss_url or f"http://{LOOPBACK}:{free_port()}",
            "SUPABASE_TIMEOUT_SECONDS": "1.5",
            "TOSS_TIMEOUT_SECONDS": "1",
            "WORKER": "off",
            "LOG_LEVEL": "WARNING",
            **more,
        }

    def service(self, settings: Mapping[str, str], name: str = "service", command: Sequence[str] = SERVE) -> Service:
        return Service(settings, self.folder / f"{name}.log", command)

    def worker(self, settings: Mapping[str, str], name: str = "worker", command: Sequence[str] = WORKER) -> Program:
        return Program(f"the {name}", ("-m", *command), settings, self.folder / f"{name}.log")

    def execute(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """One statement, past the Data API."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(query, parameters)
            return cursor.fetchall() if cursor.description else []

    def clear(self) -> None:
        """Empties all tables."""
        self.execute(f"truncate {TABLES} restart identity")

    def store_orders(self, amounts: Mapping[str, int]) -> None:
        """What the application does before its customers pay."""
        with psycopg.connect(self.dsn) as connection, connection.cursor() as cursor:
            cursor.executemany(
                "insert into payments (payment_key, order_id, order_name, amount, payment_status)"
                " values ('placeholder-' || %(order)s, %(order)s, %(order)s, %(amount)s, 'PENDING')",
                [{"order": order, "amount": amount} for order, amount in amounts.items()],
            )

    def finish_pending(self) -> None:
        """Until no event waits for Toss. What would be tried again minutes later is tried now, as in time."""
        over = threading.Event()
        timer = threading.Timer(SETTLE_SECONDS, over.set)
        timer.start()
        try:
            while self.execute("select 1 from webhook_events where status = 'pending' limit 1"):
                self.execute("update webhook_events set next_attempt_at = now() where next_attempt_at > now()")
                assert not over.wait(WATCH_SECONDS), "events are pending still"
        finally:
            timer.cancel()

    def expire_leases(self) -> None:
        """As time would: what a dead worker had in hand is free again."""
        self.execute("update webhook_events set lease_until = now() where status = 'pending' and lease_until > now()")


@contextlib.contextmanager
def running_world(folder: Path) -> Iterator[World]:
    """A migrated project on a real PostgreSQL server, until the end of the block."""
    with LocalPostgres() as postgres:
        lite = LocalSupabase(folder, free_port(), PUBLISHABLE_KEY, SUPABASE_KEY, postgres.dsn())
        lite.migrate()
        with Supervisor(lite) as supervisor, Proxy(lite.port) as data_api:
            yield World(postgres, lite, supervisor, data_api, folder)
