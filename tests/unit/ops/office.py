"""The operators' page around a store in memory: real routes and templates, without sockets."""

import datetime as dt
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import httpx

from supatoss.app import create_app
from supatoss.inbox.lookups import Lookups
from supatoss.ops.throttle import Throttle
from supatoss.settings import Settings
from supatoss.store import Store
from supatoss.store.client import Function
from supatoss.store.events import Cursor, EventFilter, EventOutcome, EventPage, StoredEvent
from supatoss.store.schema import SCHEMA_VERSION
from supatoss.store.sessions import OpenSession, SignIn
from supatoss.toss.keys import ApiKey
from supatoss.toss.models import Transaction
from tests.support import SECRET_KEY
from tests.unit.fakes import SilentToss, SleepingWorker

if TYPE_CHECKING:
    from supatoss.errors import TossError

PASSWORD = "a phrase for tests"
ADDRESS = "203.0.113.7"
ORIGIN = "https://shop.example"
AT = dt.datetime(2026, 11, 25, 3, 30, tzinfo=dt.UTC)
EVENT_ID = "5e9f2d5a-0000-4000-8000-000000000001"
SECRET = "ps_a_secret_of_an_order"


def stored_event(**changes: Any) -> StoredEvent:
    """A failed event, as find_webhook_events_v1 gives it."""
    fields: dict[str, Any] = {
        "id": EVENT_ID,
        "event_key": "sha256:0001",
        "event_type": "PAYMENT_STATUS_CHANGED",
        "status": "failed",
        "reason": "amount_mismatch",
        "proof": "signature",
        "payment_key": "tpay0001",
        "order_id": "order-0001",
        "occurred_at": AT,
        "created_at": AT,
        "processed_at": None,
        "attempts": 0,
        "next_attempt_at": None,
        "lease_until": None,
        "last_error": "Toss reports 990 KRW, the application stored 9900 KRW for this order",
        "delivery_count": 3,
        "last_delivered_at": AT,
        "payload": f'{{"eventType": "PAYMENT_STATUS_CHANGED", "data": {{"secret": "{SECRET}"}}}}',
        "change": f'{{"kind": "payment", "status": "DONE", "amount": "990", "currency": "KRW", "secret": "{SECRET}"}}',
        **changes,
    }
    return StoredEvent(**fields)


class KeptSessions:
    """What the database holds of sessions. Two offices with one of these are two machines of one project."""

    def __init__(self) -> None:
        self.open: dict[str, OpenSession] = {}
        self.reads = 0
        self.trouble: Exception | None = None

    def age(self, seconds: float) -> None:
        """All of them were confirmed so long ago."""
        self.open = {identity: replace(held, confirmed_seconds=seconds) for identity, held in self.open.items()}


class PaperStore(Store):
    """Answers what it was given. `trouble` is raised instead."""

    def __init__(self) -> None:
        self.events: tuple[StoredEvent, ...] = (stored_event(),)
        self.next: Cursor | None = None
        self.as_of: dt.datetime | None = None
        self.looked_back_to: dt.datetime | None = None
        self.trouble: Exception | None = None
        self.searched: list[tuple[EventFilter, Cursor | None]] = []
        self.did: list[tuple[str, Any]] = []
        self.who: list[tuple[str, str | None]] = []
        self.sessions = KeptSessions()
        self.asked: list[tuple[Function, Mapping[str, Any]]] = []
        self.outcome = EventOutcome(EVENT_ID, "replayed", "processed", None)
        self.answers: dict[Function, Any] = {
            Function.OPS_OVERVIEW: {
                "now": "2026-11-25T03:30:00+00:00",
                "since": "2026-11-24T04:00:00+00:00",
                "hours": [],
                "types": [],
                "pending": {"events": 0, "oldest": None},
                "failed": {"events": 0, "oldest": None, "reasons": []},
                "reconciliation": None,
                "differences": {"open": 0, "needs_person": 0},
                "alerts": [],
            },
            Function.OPS_ROWS: {
                "transmission": {"id": None, "time": None, "retried_count": None},
                "deliveries": [{"at": "2026-11-25T03:30:00+00:00", "effect": "create"}],
                "payment": None,
                "settlements": [],
                "subscriptions": [],
            },
            Function.OPS_PAYMENT: {"payment": None, "settlements": [], "events": [], "has_more": False},
            Function.READ_REFUSED: [],
            Function.SCHEMA_VERSION: SCHEMA_VERSION,
            Function.OPS_HEALTH: {
                "now": "2026-11-25T03:30:00+00:00",
                "processes": [],
                **dict.fromkeys(("newest_event_at", "oldest_waiting_seconds", "reconciled_at")),
                **dict.fromkeys(("pending", "failed", "open_alerts", "untold_alerts"), 0),
            },
            Function.OPS_LIST: {"rows": [], "next": None, "searched_until": None},
            Function.OPS_RECONCILIATIONS: {
                "runs": [],
                "findings": [],
                "open": 0,
                "set_aside": [],
                "uncompared": {"total": 0, "days": []},
            },
        }

    async def _answer(self, function: Function, arguments: Mapping[str, Any], tries: int) -> Any:
        if self.trouble:
            raise self.trouble
        self.asked.append((function, arguments))
        return self.answers[function]

    async def find_events(
        self,
        wanted: EventFilter,
        *,
        limit: int,
        after: Cursor | None = None,
        is_ascending: bool = False,
        with_payload: bool = False,
    ) -> EventPage:
        if self.trouble:
            raise self.trouble
        self.searched.append((wanted, after))
        return EventPage(self.events, self.next, self.as_of, self.looked_back_to)

    async def replay_events(
        self, readings: Sequence[Mapping[str, Any]], *, actor: str, address: str | None = None, dry_run: bool
    ) -> list[EventOutcome]:
        self.did.append(("dry_run" if dry_run else "replay", actor))
        self.who.append((actor, address))
        return [self.outcome]

    async def ignore_events(
        self, ids: Sequence[str], reason: str, *, actor: str, address: str | None = None, dry_run: bool
    ) -> list[EventOutcome]:
        self.who.append((actor, address))
        self.did.append(("ignore", reason))
        return [EventOutcome(EVENT_ID, "ignored", "ignored", "operator")]

    async def open_session(self, session_id: str, operator: str, address: str, seconds: int) -> None:
        if self.sessions.trouble:
            raise self.sessions.trouble
        self.sessions.open[session_id] = OpenSession(operator, 0.0)

    async def read_session(self, session_id: str) -> OpenSession | None:
        if self.sessions.trouble:
            raise self.sessions.trouble
        self.sessions.reads += 1
        return self.sessions.open.get(session_id)

    async def confirm_session(self, session_id: str) -> None:
        self.sessions.open[session_id] = replace(self.sessions.open[session_id], confirmed_seconds=0.0)

    async def end_sessions(
        self, *, session_id: str | None = None, operator: str | None = None, ended_by: str | None = None
    ) -> int:
        ended = [
            identity
            for identity, session in self.sessions.open.items()
            if session_id in (None, identity) and operator in (None, session.operator)
        ]
        for identity in ended:
            del self.sessions.open[identity]
        return len(ended)

    async def list_sessions(self) -> list[SignIn]:
        return [SignIn(identity, session.operator, ADDRESS, AT) for identity, session in self.sessions.open.items()]


class OfficeToss(SilentToss):
    """A Toss that says of each key what it was told to: troubles by the key's name."""

    def __init__(self) -> None:
        super().__init__()
        self.keys = (ApiKey.of(1, "test_sk_of_the_first_shop_1111"), ApiKey.of(2, "live_sk_of_the_second_shop_2222"))
        self.merchant_ids: dict[str, str] = {}
        self.troubles: dict[str, TossError] = {}

    async def check_key(self, key: ApiKey, **_options: Any) -> None:
        self.asked.append(key.name)
        if trouble := self.troubles.get(key.name):
            raise trouble

    def merchant_id_of(self, key: ApiKey) -> str | None:
        return self.merchant_ids.get(key.name)

    async def transactions(self, key: ApiKey, *_days: Any, **_options: Any) -> AsyncIterator[list[Transaction]]:
        self.merchant_ids[key.name] = f"mid-of-{key.name[4]}"
        yield []


class Office:
    """The application with the page, and one browser in front of it."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.store = PaperStore()
        self.toss = OfficeToss()
        self.throttle = Throttle()
        self.worker = SleepingWorker(self.store, SilentToss(), Lookups(SilentToss()))
        loaded = Settings.load(
            **{
                "supabase_url": "http://127.0.0.1:1",
                "SUPABASE_SECRET_KEY": "sb_secret_hidden_for_tests",
                "toss_secret_key": SECRET_KEY,
                "ops_password": PASSWORD,
                **settings,
            }
        )
        with patch("supatoss.ops.routes.Throttle", lambda: self.throttle):
            self.app = create_app(loaded, store=self.store, toss=self.toss, worker=self.worker)
        self.cookies = httpx.Cookies()

    @property
    def woken(self) -> int:
        """How often the worker was told that something became due."""
        return self.worker.woken

    async def ask(
        self, method: str, path: str, origin: str = ORIGIN, *, address: str = ADDRESS, **options: Any
    ) -> httpx.Response:
        """One request with the cookies of the browser."""
        transport = httpx.ASGITransport(self.app, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url=origin, cookies=self.cookies) as client:
            response = await client.request(method, path, **options)
            self.cookies = client.cookies
        return response

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.ask("GET", path, **options)

    async def post(self, path: str, **fields: str) -> httpx.Response:
        """Sends a form with the token that the pages of this browser carry."""
        if "csrf" not in fields:
            fields["csrf"] = token_of(await self.get("/ops/sign-in" if not self.is_signed_in else "/ops/events"))
        return await self.ask("POST", path, data=fields)

    def copied(self, *, on_another_machine: bool = False) -> "Office":
        """Another browser with the cookies of this one, before the same database."""
        other = Office(**self.settings) if on_another_machine else copy(self)
        other.store.sessions = self.store.sessions
        other.cookies = httpx.Cookies(self.cookies)
        return other

    @contextmanager
    def full_queue(self) -> Iterator[None]:
        """So many strangers queue that none of them gets a turn."""

        async def wait_for_turn(_address: str) -> bool:
            return False

        with patch.object(self.throttle, "_wait_for_turn", wait_for_turn):
            yield

    def guessed(self, address: str) -> int:
        """Wrong passwords from an address."""
        return self.throttle._addresses.count(address)

    @property
    def is_signed_in(self) -> bool:
        return "supatoss_ops" in self.cookies

    async def sign_in(self, password: str = PASSWORD, **fields: str) -> httpx.Response:
        return await self.post("/ops/sign-in", password=password, **fields)


def token_of(page: httpx.Response) -> str:
    """The token in the forms of a page."""
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', page.text)
    assert found, page.text
    return found[1]
