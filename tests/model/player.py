"""The service in this process on the real SQL, with the model's Toss behind its client. Nothing waits for real time."""

import asyncio
import contextlib
import datetime as dt
import hashlib
import hmac
import logging
import sys
import types
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx
import structlog

from supatoss.app import create_app
from supatoss.inbox.lookups import Lookups
from supatoss.inbox.worker import Worker
from supatoss.settings import Settings
from supatoss.toss.client import TossClient
from tests.database.support import Row
from tests.model.bench import Bench, SharedStore
from tests.model.shop import Shop
from tests.model.truth import Attempt, Clock, Kind, Payment, Toss, Webhook, json_bytes, seconds_of

TOSS_URL = "https://toss.test"
LIVE_KEY = "live_sk_made_up_for_the_model"
"""A live one: Toss limits the calls of test keys to 100 a minute, and so does the client."""

MAX_ROUNDS = 40
"""Looks of the worker at the end of a story; more than the tries of an event that Toss never bears out."""

MAX_DELIVERIES = 8
"""The first one and seven re-sends."""

_clock: list[Clock] = [Clock()]


class _Datetime(dt.datetime):
    """A datetime class whose now is the story's; a millisecond passes at each look."""

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:  # type: ignore[override]
        return _clock[0].advance(0.001).astimezone(tz)


@contextlib.contextmanager
def clock_of_the_story() -> Iterator[None]:
    """Lets every module of the service read the time of the story instead of the machine's."""
    shim = types.ModuleType("datetime")
    vars(shim).update(vars(dt), datetime=_Datetime)
    changed = [
        module for name, module in sys.modules.items() if name.startswith("supatoss") and vars(module).get("dt") is dt
    ]
    for module in changed:
        vars(module)["dt"] = shim
    try:
        yield
    finally:
        for module in changed:
            vars(module)["dt"] = dt


@dataclass(slots=True)
class LookUps:
    """Toss's API. changes_behind: how far answers lag; by_order: which attempt a look-up by order answers with."""

    toss: Toss
    by_order: int = 0
    changes_behind: int = 0
    is_away: bool = False
    holds: bool = False
    held: list[asyncio.Future[None]] = field(default_factory=list)
    approvals: list[str] = field(default_factory=list)

    async def answer(self, request: httpx.Request) -> httpx.Response:
        """The state of now, even if it is held back until later."""
        if self.is_away:
            return httpx.Response(503, content=b"away")
        status, body = self._response(request.method, request.url.path)
        if self.holds:
            future = asyncio.get_running_loop().create_future()
            self.held.append(future)
            await future
        return httpx.Response(status, content=json_bytes(body))

    def release(self) -> None:
        """Lets every answer go that was held back."""
        for future in self.held:
            if not future.done():
                future.set_result(None)
        self.held.clear()

    def of_order(self, order_id: str) -> Attempt | None:
        """The attempt that a look-up by order answers with. Where callbacks alone tell of accounts, it is the account:
        nobody could ever learn its key otherwise."""
        attempts = self.toss.of_order(order_id)
        if self.toss.of_accounts == ("DEPOSIT_CALLBACK",):
            attempts = [attempt for attempt in attempts if attempt.kind is Kind.ACCOUNT] or attempts
        return attempts[self.by_order % len(attempts)] if attempts else None

    def shows_another(self, webhook: Webhook) -> bool:
        """Whether a look-up for a webhook without a payment key answers with another attempt, whose secret differs."""
        shown = self.of_order(webhook.order_id)
        return webhook.event_type == "DEPOSIT_CALLBACK" and (shown is None or shown.payment_key != webhook.payment_key)

    def _response(self, method: str, path: str) -> tuple[int, Payment]:
        name = path.rsplit("/", 1)[-1]
        if method == "POST":
            self.approvals += [
                attempt.payment_key for attempt in self.toss.attempts.values() if attempt.status == "IN_PROGRESS"
            ]
            return 400, {"code": "ALREADY_PROCESSED_PAYMENT", "message": "이미 처리된 결제 입니다."}
        attempt = self.of_order(name) if "/orders/" in path else self.toss.attempts.get(name)
        if attempt is None:
            return 404, {"code": "NOT_FOUND_PAYMENT", "message": "존재하지 않는 결제 입니다."}
        return 200, self.toss.look_up(attempt, self.changes_behind)


@dataclass(slots=True)
class Answer:
    """What the service said to one delivery. is_excused: it may be refused, and comes again."""

    webhook: Webhook
    status: int
    is_excused: bool


class Player:
    """Delivers webhooks and runs the worker. Everything is done when a call returns, but what waits for the story."""

    def __init__(self, bench: Bench, clock: Clock, look_ups: LookUps, shop: Shop, *, is_signed: bool) -> None:
        _clock[0] = clock
        self.clock = clock
        self._is_signed = is_signed
        self._named: set[str] = set()
        self.look_ups = look_ups
        self.answers: list[Answer] = []
        self._bench = bench
        self._shop = shop
        self._store = SharedStore(bench, shop)
        self._api = TossClient(TOSS_URL, (LIVE_KEY,), transport=httpx.MockTransport(look_ups.answer))
        lookups = Lookups(self._api)
        self._worker = Worker(self._store, self._api, lookups)
        app = create_app(_settings(), store=self._store, toss=self._api, worker=self._worker)
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://service.test")
        self._tasks: list[asyncio.Task[Any]] = []
        self._work: asyncio.Task[int] | None = None

    async def deliver(self, webhooks: Sequence[Webhook]) -> None:
        """Posts webhooks at once, so that they can share look-ups and the call that records them."""
        for webhook in webhooks:
            self._start(self._post(webhook))
        if len(webhooks) > 1:
            self._store.gather()
            await self.settle()
            self._start(self._store.record_gathered())
        await self.settle()

    async def work(self, hours: int = 1) -> bool:
        """One look of the worker at the events that wait, all of them due by now. Whether there were any."""
        if self._work is None:
            self.clock.advance(3600 * hours)
            self._bench.database.connection.execute(
                "update public.webhook_events set next_attempt_at = now() - interval '1 s', lease_until = null,"
                " waiting_since = waiting_since - %s, created_at = created_at - %s"
                " where id in (select id from public.webhook_events where status = 'pending' for update skip locked)",
                [dt.timedelta(hours=hours)] * 2,
            )
            self._work = asyncio.create_task(self._worker.work_once())
        await self.settle()
        if not self._work.done():
            return True
        worked, self._work = await self._work, None
        return worked > 0

    async def sweep(self) -> None:
        """The worker's look at accounts whose deposit is overdue; it may wait for the application's transaction."""
        task = asyncio.create_task(self._worker.sweep())
        await self.settle()
        if not task.done():
            self.look_ups.release()
            await self.settle()
        self._tasks.append(task)

    async def settle(self) -> None:
        """Runs everything that can run, until only the story can go on."""
        ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
        while ready or self._store.is_at_work():  # noqa: ASYNC110 - there is nothing to be woken by
            await asyncio.sleep(0)

    async def finish(self, webhooks: Sequence[Webhook]) -> None:
        """Whatever was not acknowledged is sent again, and the worker works until nothing waits."""
        await self.settle()
        for _ in range(MAX_DELIVERIES):
            acknowledged = {answer.webhook for answer in self.answers if answer.status == 200}
            missing = [webhook for webhook in webhooks if webhook not in acknowledged]
            for webhook in missing:
                await self.deliver([webhook])
            if not missing:
                break
            self.clock.advance(60)
        for looks in range(MAX_ROUNDS):
            # Growing pauses: whatever is asked again for a day has had its day after a few of them.
            if not await self.work(min(2**looks, 12)):
                break
        await asyncio.gather(*self._tasks)
        await self._client.aclose()
        await self._api.aclose()

    def has_row(self, order_id: str) -> bool:
        """Whether an order has a row that is committed."""
        return bool(self._bench.database.rows("select from public.payments where order_id = %s", order_id))

    def rows(self, query: str) -> list[Row]:
        """Rows as an administrator sees them."""
        return self._bench.database.rows(query)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.append(task)

    async def _post(self, webhook: Webhook) -> None:
        headers = {
            "content-type": "application/json",
            "tosspayments-webhook-transmission-time": seconds_of(self.clock.now),
            "tosspayments-webhook-transmission-id": f"whtrans_a{webhook.number:026}",
            "tosspayments-webhook-transmission-retried-count": "0",
        }
        if self._is_signed:
            headers["tosspayments-webhook-signature"] = _signature(webhook.body, seconds_of(self.clock.now))
        # Until a webhook has named its key, it cannot be told from a made-up one that another attempt is asked about.
        is_named = webhook.payment_key in self._named
        is_away, is_hidden = self.look_ups.is_away, not is_named and self.look_ups.shows_another(webhook)
        # A delivery waits in real time for the application's open transaction, and may be told to come again.
        is_locked = self._shop.has_open_transaction
        response = await self._client.post("/webhooks/toss", content=webhook.body, headers=headers)
        # By now another attempt may have begun, and a look-up that had to wait for its turn was answered with that.
        is_hidden |= not is_named and self.look_ups.shows_another(webhook)
        is_excused = is_away or self.look_ups.is_away or is_hidden or is_locked
        self.answers.append(Answer(webhook, response.status_code, is_excused))
        if response.status_code == 200 and webhook.event_type == "PAYMENT_STATUS_CHANGED":
            self._named.add(webhook.payment_key)


def _signature(body: bytes, sent_at: str) -> str:
    """The merchant's guide: HMAC-SHA256 with the secret key over `{raw body}:{transmission time}`, as hex."""
    return hmac.new(LIVE_KEY.encode(), body + b":" + sent_at.encode(), hashlib.sha256).hexdigest()


@cache
def _settings() -> Settings:
    """The longest waits that are allowed: a look-up that a story holds back must not run out on a busy machine."""
    return Settings.load(
        supabase_url="http://127.0.0.1:1",
        SUPABASE_SECRET_KEY="sb_secret_for_the_model",
        toss_secret_key=LIVE_KEY,
        signature_max_age_hours=1_000_000,  # stories have days of their own
        worker="off",
        toss_timeout_seconds=9.0,
        answer_deadline_seconds=9.5,
        log_level="ERROR",
    )
