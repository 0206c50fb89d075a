"""What is read from large tables: every page of the operators, `supatoss events`, the SQL cookbook, the background.

The service's own store makes the calls, so no function or argument is written twice. Their arguments come from the
data: new, old, rare, and not there.
"""

import asyncio
import datetime as dt
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import chain
from typing import Any, cast

import psycopg
from psycopg.rows import dict_row

from scripts.local_stack import ROOT
from supatoss.store import Store
from supatoss.store.client import Function
from supatoss.store.events import Cursor, EventFilter, Search
from supatoss.store.lists import ListCursor, ListFilter
from supatoss.store.reviews import FindingFilter

COOKBOOK = ROOT / "docs" / "sql-editor.md"
PAGE = 50
CSV_PAGE = 500
DAY = dt.timedelta(days=1)

Arguments = Mapping[str, Any]
Ask = Callable[[Store], Awaitable[Any]]
Asked = Iterator[tuple[str, Ask]]


@dataclass(frozen=True, slots=True)
class Query:
    """A statement as the service or a person sends it."""

    name: str
    statement: str
    parameters: tuple[Any, ...] = ()
    role: str = "service_role"


class Recorder(Store):
    """Keeps the calls that the service would make; none is answered."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Arguments]] = []

    async def call(
        self, function: Function, arguments: Arguments, _read: Callable[[Any], Any], *, tries: int = 2
    ) -> Any:
        """Every call of the store goes through here."""
        del tries
        self.calls.append((function, arguments))


@dataclass(frozen=True, slots=True)
class Known:
    """Rows that the questions are about, as (newest, in the middle, oldest)."""

    events: tuple[dict[str, Any], ...]
    payments: tuple[dict[str, Any], ...]
    failed: dict[str, Any]
    ids: list[str]

    @property
    def today(self) -> dt.date:
        """The day of the newest event."""
        return cast("dt.datetime", self.events[0]["created_at"]).date()

    @property
    def middle(self) -> dt.datetime:
        """When half of the events had been recorded."""
        return cast("dt.datetime", self.events[1]["created_at"])


def queries(connection: psycopg.Connection) -> list[Query]:
    """Everything that is measured."""
    known = _known(connection)
    asked = chain(_events(known), _searches(known), _pages(known), _lists(known), _background(known))
    calls = [Query(name, *_recorded(ask)) for name, ask in asked]
    return [*calls, *_reconciling(), *_cookbook(known)]


def _events(known: Known) -> Asked:
    """Lists of events: the command line's and the page's."""
    now = known.events[0]["created_at"]
    newest, middle, oldest = known.events
    everything = EventFilter()
    filters = {
        "all": everything,
        "type, common": EventFilter(types=("PAYMENT_STATUS_CHANGED",)),
        "type, 0.1 %": EventFilter(types=("BILLING_DELETED",)),
        "type, two old events": EventFilter(types=("seller.changed",)),
        "type, none": EventFilter(types=("payout.changed",)),
        "type, none, of a day": EventFilter(types=("payout.changed",), created_from=now - DAY),
        "types, two rare ones": EventFilter(types=("seller.changed", "payout.changed")),
        **{f"status {status}": EventFilter(statuses=(status,)) for status in ("processed", "failed", "pending")},
        "status ignored": EventFilter(statuses=("ignored",)),
        "status failed or pending": EventFilter(statuses=("failed", "pending")),
        "status failed, rare type": EventFilter(statuses=("failed",), types=("seller.changed",)),
        "status ignored, rare type": EventFilter(statuses=("ignored",), types=("seller.changed",)),
        "reason, of failed events": EventFilter(reasons=("double_charge",)),
        "reason, 0.001 %": EventFilter(reasons=("operator",)),
        "reason, none": EventFilter(reasons=("too_many_events",)),
        "reason and status": EventFilter(reasons=("operator",), statuses=("ignored",)),
        "order": EventFilter(order_id=middle["order_id"]),
        "order, not there": EventFilter(order_id="no-such-order"),
        "payment key": EventFilter(payment_key=middle["payment_key"]),
        "payment key, not there": EventFilter(payment_key="no-such-key"),
        "a day in the middle": EventFilter(created_from=known.middle, created_until=known.middle + DAY),
        "before the first event": EventFilter(created_until=oldest["created_at"] - DAY),
        "ids, 50": EventFilter(ids=tuple(known.ids)),
    }
    for name, wanted in filters.items():
        yield f"events list: {name}", _find(wanted)
    for name, event in (("newest", newest), ("middle", middle), ("oldest", oldest)):
        yield f"events list: short id, {name}", _find(EventFilter(id_part=event["id"][-8:]), limit=6)
        yield f"events list: after the {name}", _find(everything, after=Cursor(event["created_at"], event["id"]))
    yield "events list: first digits of an id", _find(EventFilter(id_part=middle["id"][:13].replace("-", "")), limit=6)
    yield "events list: short id, 4 digits", _find(EventFilter(id_part=newest["id"][-4:]), limit=6)
    yield "events list: short id, not there", _find(EventFilter(id_part="00000000"), limit=6)
    yield "events list: limit 500", _find(everything, limit=500)
    yield "events tail", _find(EventFilter(created_from=now - dt.timedelta(minutes=1)), limit=500, is_ascending=True)
    rare = EventFilter(types=("seller.changed",), created_from=known.events[2]["created_at"])
    yield "events tail: rare type since the beginning", _find(rare, limit=500, is_ascending=True)


def _searches(known: Known) -> Asked:
    """What an operator may type."""
    _, middle, oldest = known.events
    texts = {
        "order": middle["order_id"],
        "payment key": middle["payment_key"],
        "part of one order": middle["order_id"][-9:],
        "part of an old order": oldest["order_id"][-9:],
        "part of every order": "bench-",
        "customer": "customer-777",
        "short id": middle["id"][-8:],
        "4 hex digits": "beef",
        "8 digits of no id": "00000000",
        "nothing": "no-such-thing",
        "hangul": "없는주문",
        "event's id": middle["id"],
    }
    for name, text in texts.items():
        yield f"events page: search {name}", _find(EventFilter(search=Search(text)))
    for name, text, amount in (("amount", "30,000", "30000"), ("no amount", "31", "31"), ("name", "없는 이름", None)):
        yield f"events page: content {name}", _find(EventFilter(search=Search(text, "content", amount)))
    wanted = EventFilter(
        search=Search(middle["order_id"][-9:]),
        statuses=("processed",),
        created_from=known.events[0]["created_at"] - 30 * DAY,
    )
    yield "events page: search, status and month", _find(wanted)
    yield "events page: content, failed", _find(EventFilter(search=Search("31", "content", "31"), statuses=("failed",)))
    yield (
        "events page: content, rare type",
        _find(EventFilter(search=Search("31", "content", "31"), types=("seller.changed",))),
    )


def _find(wanted: EventFilter, *, limit: int = PAGE, **more: Any) -> Ask:
    return lambda store: store.find_events(wanted, limit=limit, **more)


def _pages(known: Known) -> Asked:
    """The operators' other pages."""
    yield "overview, a day", lambda store: store.read_overview(24)
    yield "overview, a week", lambda store: store.read_overview(168)
    yield "health", lambda store: store.read_health()
    yield "problems (failed events)", _find(EventFilter(statuses=("failed",)), with_payload=True)
    for name, event in (*zip(("newest", "middle", "oldest"), known.events, strict=True), ("failed", known.failed)):
        identity = event["id"]
        yield f"event's page, {name}", _find(EventFilter(ids=(identity,)), limit=1, with_payload=True)
        yield f"event's rows, {name}", _rows_of(identity)
    for name, payment in zip(("newest", "middle", "oldest"), known.payments, strict=True):
        yield f"order's page, {name}", _order(payment["order_id"])
    yield "order's page, not there", _order("no-such-order")
    yield "reconciliation", lambda store: store.read_reconciliations(None)
    yield "reconciliation, a day", lambda store: store.read_reconciliations(known.today - 3 * DAY)
    yield "refused deliveries", lambda store: store.read_refused(PAGE)
    yield "sessions", lambda store: store.list_sessions()


def _rows_of(identity: str) -> Ask:
    return lambda store: store.read_event_rows(identity)


def _order(order_id: str) -> Ask:
    return lambda store: store.read_payment(order_id)


def _lists(known: Known) -> Asked:
    """The operators' lists, a page and the first page of the CSV file."""
    payment = known.payments[1]
    statuses = {
        "payments": ("DONE", "CANCELED", "WAITING_FOR_DEPOSIT", "READY"),
        "subscriptions": ("ACTIVE", "PAUSED"),
        "settlements": ("COMPLETED", "FAILED", "REQUESTED"),
        "alerts": ("open", "ended"),
        "refused": ("invalid_signature", "too_large"),
    }
    texts = {
        "key": {"payments": payment["order_id"], "settlements": "settlement:777", "subscriptions": "customer-777"},
        "payment key": {"payments": payment["payment_key"], "settlements": payment["payment_key"]},
        "part": dict.fromkeys(statuses, "777"),
        "nothing": dict.fromkeys(statuses, "no-such-thing"),
    }
    middle = ListCursor(payment["created_at"].isoformat(), payment["id"])
    month = ListFilter(since=known.middle, until=known.middle + dt.timedelta(days=30))
    for name, of_list in statuses.items():
        yield f"{name}", _list(name, ListFilter())
        yield f"{name}: CSV page", _list(name, ListFilter(), limit=CSV_PAGE)
        yield f"{name}: a month in the middle", _list(name, month)
        for status in of_list:
            yield f"{name}: {status}", _list(name, ListFilter(status=status))
        for kind, searched in texts.items():
            if name in searched:
                yield f"{name}: search {kind}", _list(name, ListFilter(search=searched[name]))
        yield f"{name}: rare status in a month", _list(name, replace(month, status=of_list[-1]))
        yield f"{name}: amount", _list(name, ListFilter(search="9,900", amount=Decimal(9900)))
    yield "payments: after one in the middle", _list("payments", ListFilter(), after=middle)
    yield "payments: DONE after one in the middle", _list("payments", ListFilter(status="DONE"), after=middle)


def _list(name: str, wanted: ListFilter, *, limit: int = PAGE, after: ListCursor | None = None) -> Ask:
    return lambda store: store.read_list(name, wanted, limit=limit, after=after)


def _background(known: Known) -> Asked:
    """What the worker, the alerts and reconciliation ask."""
    payment = known.payments[1]
    yield "alerts: facts", lambda store: store.read_alert_facts(100)
    yield "alerts: oldest waiting", lambda store: store.oldest_waiting_seconds()
    yield "worker: claim", lambda store: store.claim_events(10, 60)
    yield "worker: overdue accounts", lambda store: store.overdue_accounts(20)
    yield (
        "receiver: known keys",
        lambda store: store.read_known_keys(
            order_id=payment["order_id"], billing_key="bk-1", cancel_key="x", cancel_request="y"
        ),
    )
    yield "receiver: known orders", lambda store: store.known_orders([payment["order_id"], "no-such-order"])
    yield "reconcile: uncompared days", lambda store: store.uncompared_days(known.today, 10)
    yield "reconcile: standing", lambda store: store.read_standing(payment["payment_key"], payment["order_id"])
    yield "reconcile: open findings", lambda store: store.find_open_findings(FindingFilter(), 100)
    yield "retention: nothing due", lambda store: store.empty_payloads(3000, 500)
    yield "retention: a batch", lambda store: store.empty_payloads(30, 500)


def _reconciling() -> Iterator[Query]:
    """The pages of the run that is in progress."""
    for function in ("supatoss_read_reconciliation_page_v1", "supatoss_read_open_orders_v1"):
        yield Query(
            f"reconcile: {function}",
            f"select public.{function}(r.id::text, (r.day::timestamp at time zone 'Asia/Seoul')::text,"
            " ((r.day + 1)::timestamp at time zone 'Asia/Seoul')::text, null, 500)"
            " from supatoss.reconciliations r where r.status = 'running'",
        )


def _cookbook(known: Known) -> Iterator[Query]:
    """The queries of docs/sql-editor.md, as its reader runs them."""
    text = COOKBOOK.read_text(encoding="utf-8").replace("order-0001", known.events[1]["order_id"])
    for what, statement in re.findall(r"\n([^\n]+)\n\n```sql\n(.*?)```", text, re.DOTALL):
        yield Query(f"cookbook: {what.strip('#: ')[:50]}", statement, role="postgres")


def _recorded(ask: Ask) -> tuple[str, tuple[Any, ...]]:
    store = Recorder()
    asyncio.run(cast("Any", ask(store)))
    ((function, arguments),) = store.calls
    marks = ", ".join(f"{name} => %s" for name in arguments)
    return f"select public.{function}({marks})", tuple(arguments.values())


def _known(connection: psycopg.Connection) -> Known:
    def rows(query: str) -> list[dict[str, Any]]:
        with connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query).fetchall()

    def three(table: str, condition: str) -> tuple[dict[str, Any], ...]:
        chosen = f"select *, id::text as id from public.{table} where {condition}"
        bounds = rows(f"select max(created_at) as last, min(created_at) as first from public.{table}")[0]
        middle = bounds["first"] + (bounds["last"] - bounds["first"]) / 2
        found = [
            rows(f"{chosen} order by created_at desc limit 1"),
            rows(f"{chosen} and created_at >= '{middle}' order by created_at limit 1"),
            rows(f"{chosen} order by created_at limit 1"),
        ]
        return tuple(one for (one,) in found)

    has_keys = "order_id is not null and payment_key is not null"
    (failed,) = rows("select id::text as id from public.webhook_events where status = 'failed' limit 1")
    ids = rows("select id::text as id from public.webhook_events order by created_at desc offset 1000 limit 50")
    return Known(three("webhook_events", has_keys), three("payments", has_keys), failed, [one["id"] for one in ids])
