"""Sends webhooks as Toss does: every event to every registered URL, with its headers and seven retries.

Source: docs.tosspayments.com, webhook guide and webhook event reference.
"""

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx

from scripts.emulator.errors import NotPossible
from scripts.emulator.events import Event
from scripts.emulator.formats import Names, now, with_offset
from scripts.emulator.options import Options


@dataclass(frozen=True)
class Target:
    """A registered URL; empty `event_types` means all, like ticking every box in the developer centre."""

    url: str
    event_types: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Attempt:
    """One request. `status` is None if there was no answer in time; `error` says why."""

    sent_at: str
    headers: dict[str, str]
    status: int | None
    error: str | None
    seconds: float


@dataclass
class Delivery:
    """One event on its way to one URL. `state`: sending, success, failed, suppressed."""

    id: str
    target: Target
    event: Event
    state: str = "sending"
    attempts: list[Attempt] = field(default_factory=list)
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the first attempt has ended, whatever its answer."""

    def to_json(self) -> dict[str, Any]:
        """The delivery with every attempt, for the control API."""
        return {
            "id": self.id,
            "url": self.target.url,
            "eventType": self.event.event_type,
            "state": self.state,
            "body": self.event.body.decode(),
            "attempts": [
                {
                    "attempt": number,
                    "sentAt": attempt.sent_at,
                    "headers": attempt.headers,
                    "status": attempt.status,
                    "error": attempt.error,
                    "seconds": attempt.seconds,
                }
                for number, attempt in enumerate(self.attempts)
            ],
        }


RESEND_MINUTES = (1, 4, 16, 64, 256, 1024, 4096)
"""Waits before the seven retries."""

MAX_IN_FLIGHT = 50
"""More at once make httpx's connection pool slow."""

_HEADER = "tosspayments-webhook"


class Webhooks:
    """The registered URLs and everything sent to them."""

    def __init__(self, options: Options, names: Names, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._options = options
        self._names = names
        self._client = httpx.AsyncClient(
            transport=transport,
            follow_redirects=False,
            trust_env=False,
            timeout=None,  # noqa: S113  asyncio.timeout bounds the whole attempt; httpx only its parts
            limits=httpx.Limits(max_connections=None),
        )
        self._in_flight = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._sending: dict[str, asyncio.Task[None]] = {}
        self.targets: list[Target] = []
        self.deliveries: dict[str, Delivery] = {}
        self.suppressed_next = 0
        self.reset()

    @property
    def sending_count(self) -> int:
        """How many deliveries are in progress or wait for a retry."""
        return len(self._sending)

    def register(self, target: Target) -> None:
        """Adds a URL, or changes its event types."""
        self.targets = [*(known for known in self.targets if known.url != target.url), target]

    def send(self, events: Iterable[Event]) -> None:
        """Begins to send events; the answers are awaited in the background."""
        for event in events:
            if event.is_signed and not self._options.security_keys:
                raise NotPossible(f"{event.event_type} is always signed: start with --security-key")
            for target in self.targets:
                if not target.event_types or event.event_type in target.event_types:
                    self._begin(Delivery(self._names.transmission_id(), target, event))

    async def resend(self, delivery_id: str) -> Delivery:
        """The developer centre's Resend button: cancels the scheduled retries and tries once more."""
        delivery = self.deliveries.get(delivery_id)
        if delivery is None:
            raise NotPossible(f"there is no delivery {delivery_id}")
        await self._stop(self._sending.pop(delivery_id, None))
        delivery.state = "success" if await self._attempt(delivery) else "failed"
        return delivery

    def reset(self) -> None:
        """Forgets everything sent and registered; the command line's URLs are registered again."""
        for task in self._sending.values():
            task.cancel()
        self._sending.clear()
        self.deliveries.clear()
        self.suppressed_next = 0
        self.targets = [Target(url) for url in self._options.webhook_urls]

    async def close(self) -> None:
        """Stops sending."""
        tasks = list(self._sending.values())
        await asyncio.gather(*(self._stop(task) for task in tasks))
        await self._client.aclose()

    def _begin(self, delivery: Delivery) -> None:
        self.deliveries[delivery.id] = delivery
        if self.suppressed_next:
            self.suppressed_next -= 1
            delivery.state = "suppressed"
            delivery.answered.set()
            return
        task = asyncio.create_task(self._send(delivery))
        self._sending[delivery.id] = task
        task.add_done_callback(lambda _: self._sending.pop(delivery.id, None))

    async def _send(self, delivery: Delivery) -> None:
        for minutes in (0, *RESEND_MINUTES):
            if minutes:
                await asyncio.sleep(minutes * self._options.minute_seconds)
            if await self._attempt(delivery):
                delivery.state = "success"
                return
        delivery.state = "failed"

    async def _attempt(self, delivery: Delivery) -> bool:
        async with self._in_flight:  # waiting here does not count towards the ten seconds
            return await self._post(delivery)

    async def _post(self, delivery: Delivery) -> bool:
        headers = self._headers(delivery)
        started = time.monotonic()
        status: int | None = None
        error: str | None = "interrupted by a manual resend or by shutdown"
        try:
            async with asyncio.timeout(self._options.answer_seconds):
                response = await self._client.post(delivery.target.url, content=delivery.event.body, headers=headers)
            status, error = response.status_code, None
        except TimeoutError:
            error = f"no answer within {self._options.answer_seconds:g} s"
        except (httpx.HTTPError, httpx.InvalidURL) as problem:
            error = f"{type(problem).__name__}: {problem}"
        finally:
            seconds = round(time.monotonic() - started, 3)
            sent_at = headers[f"{_HEADER}-transmission-time"]
            delivery.attempts.append(Attempt(sent_at, headers, status, error, seconds))
            delivery.answered.set()
        return status == httpx.codes.OK

    def _headers(self, delivery: Delivery) -> dict[str, str]:
        sent_at = with_offset(now()) or ""
        headers = {
            "content-type": "application/json",
            f"{_HEADER}-transmission-time": sent_at,
            f"{_HEADER}-transmission-retried-count": str(len(delivery.attempts)),
            f"{_HEADER}-transmission-id": delivery.id,
        }
        if delivery.event.is_signed:
            headers[f"{_HEADER}-signature"] = self._signature(delivery.event.body, sent_at)
        return headers

    def _signature(self, body: bytes, sent_at: str) -> str:
        """One `v1:` value for each active security key."""
        values = []
        for key in self._options.security_keys:
            secret = bytes.fromhex(key) if self._options.decode_security_key else key.encode()
            mac = hmac.digest(secret, body + b":" + sent_at.encode(), hashlib.sha256)
            values.append(f"v1:{base64.b64encode(mac).decode()}")
        return ",".join(values)

    @staticmethod
    async def _stop(task: asyncio.Task[None] | None) -> None:
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
