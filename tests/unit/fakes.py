"""A store in memory, and the service around it: real routes and endpoint, without sockets."""

import asyncio
import io
import json
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from typing import Any

import httpx
from prometheus_client import REGISTRY

from supatoss.app import create_app
from supatoss.errors import TossUnavailable
from supatoss.inbox.lookups import Lookups
from supatoss.inbox.refused import RefusedLog
from supatoss.inbox.worker import Worker
from supatoss.settings import Settings
from supatoss.store import Store
from supatoss.store.recording import KnownKeys, RecordedEvent
from supatoss.store.refused import RefusedDelivery
from supatoss.store.schema import SCHEMA_VERSION
from supatoss.telemetry import configure_logging
from supatoss.toss.client import TossClient
from supatoss.toss.keys import ApiKey
from supatoss.toss.models import PaymentAnswer
from tests.support import ANY_AGE_HOURS, NEWER_KEY, OLDER_SECURITY_KEY, SECRET_KEY, SECURITY_KEY, signed_headers


class LogLines:
    """Configures logging and reads back what has been logged since the last time."""

    def __init__(self) -> None:
        self._output = io.StringIO()
        with redirect_stdout(self._output):
            configure_logging("INFO", "json")

    def text(self) -> str:
        text = self._output.getvalue()
        self._output.seek(0)
        self._output.truncate()
        return text

    def __call__(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text().splitlines()]


class SilentToss(TossClient):
    """A Toss that cannot be asked."""

    keys: tuple[ApiKey, ...] = ()

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def payment(self, payment_key: str, **_options: Any) -> PaymentAnswer:
        self.asked.append(payment_key)
        raise TossUnavailable("payment", "no answer")

    async def payment_by_order(self, order_id: str, **_options: Any) -> PaymentAnswer:
        self.asked.append(order_id)
        raise TossUnavailable("payment by order", "no answer")


class MemoryStore(Store):
    """Remembers records by event key. `trouble` is raised instead of an answer; `hangs` never answers."""

    def __init__(self) -> None:
        self.known = KnownKeys((), frozenset(), None, holds_billing_key=False, cancel_payment_key=None)
        self.orders: frozenset[str] = frozenset()
        self.asked_for_orders = 0
        self.records: dict[str, Mapping[str, Any]] = {}
        self.noted: list[RefusedDelivery] = []
        self.calls = 0
        self.trouble: Exception | None = None
        self.hangs = False
        self.version = SCHEMA_VERSION
        self.asked_for_version = 0
        self.oldest_waiting: float | None = None
        self.asked_for_backlog = 0
        self.written = 0
        self.write_trouble: Exception | None = None

    async def record_webhook_events(self, records: Sequence[Mapping[str, Any]]) -> list[RecordedEvent]:
        await self._misbehave()
        return [self._record(record) for record in records]

    async def read_known_keys(self, **subjects: str | None) -> KnownKeys:
        await self._misbehave()
        return self.known

    async def known_orders(self, order_ids: Sequence[str]) -> frozenset[str]:
        self.asked_for_orders += 1
        await self._misbehave()
        return self.orders & frozenset(order_ids)

    async def note_refused(self, deliveries: Sequence[RefusedDelivery]) -> int:
        await self._misbehave()
        self.noted += deliveries
        return len(deliveries)

    async def schema_version(self) -> int:
        self.asked_for_version += 1
        await self._misbehave()
        return self.version

    async def check_write(self) -> None:
        self.written += 1
        await self._misbehave()
        if self.write_trouble:
            raise self.write_trouble

    async def oldest_waiting_seconds(self) -> float | None:
        self.asked_for_backlog += 1
        await self._misbehave()
        return self.oldest_waiting

    async def _misbehave(self) -> None:
        self.calls += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.trouble:
            raise self.trouble

    def _record(self, record: Mapping[str, Any]) -> RecordedEvent:
        key = record["event_key"]
        outcome = "duplicate" if key in self.records else "created"
        self.records.setdefault(key, record)
        return RecordedEvent(f"id-of-{key[:8]}", key, outcome, record["status"], record["reason"])


class SleepingWorker(Worker):
    """Counts how often it is woken."""

    woken = 0

    def wake(self) -> None:
        self.woken += 1


class Service:
    """The application with a store in memory. It refuses unsigned deliveries unless it is given a Toss to ask.

    more: further settings.
    """

    def __init__(self, toss: TossClient | None = None, **more: Any) -> None:
        self.store = MemoryStore()
        toss_or_silence = toss or SilentToss()
        self.refused = RefusedLog(self.store)
        self.worker = SleepingWorker(self.store, toss_or_silence, Lookups(toss_or_silence))
        self.app = create_app(
            Settings.load(
                supabase_url="http://127.0.0.1:1",
                SUPABASE_SECRET_KEY="sb_secret_hidden_for_tests",
                toss_secret_key=f"{NEWER_KEY},{SECRET_KEY}",
                toss_security_key=f"{SECURITY_KEY},{OLDER_SECURITY_KEY}",
                toss_unsigned="verify" if toss else "reject",
                **{
                    "signature_max_age_hours": ANY_AGE_HOURS,
                    "answer_deadline_seconds": 5.0,
                    "max_body_bytes": 256 * 1024,
                    **more,
                },
            ),
            store=self.store,
            toss=toss_or_silence,
            worker=self.worker,
            refused=self.refused,
        )

    @property
    def woken(self) -> int:
        """How often the worker was told that something became due."""
        return self.worker.woken

    @staticmethod
    def log_output() -> LogLines:
        """What is logged from now on; making a service has configured logging for the process."""
        return LogLines()

    async def send(
        self,
        content: Any = b"",
        headers: Mapping[str, str] | Sequence[tuple[bytes, bytes]] = (),
        path: str = "/webhooks/toss",
        method: str = "POST",
    ) -> httpx.Response:
        """One request. An exception that leaves the application is raised here."""
        made = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        request = httpx.Request(method, f"http://service{path}", content=content, headers=httpx.Headers(made))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app)) as client:
            return await client.send(request)


def signed(raw: bytes, *more: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """Headers of a delivery in the guide's form, as bytes, and more behind them."""
    return [*((name.encode(), value.encode()) for name, value in signed_headers(raw).items()), *more]


def deliveries_counted(outcome: str, reason: str = "") -> float:
    labels = {"outcome": outcome, "reason": reason}
    return REGISTRY.get_sample_value("supatoss_deliveries_total", labels) or 0


def deliveries_timed() -> float:
    return REGISTRY.get_sample_value("supatoss_delivery_seconds_count") or 0
