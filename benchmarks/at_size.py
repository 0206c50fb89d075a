"""How long each page, command and query takes on large tables: `python -m benchmarks queries`.

Every read of the operators' page and of `supatoss events`, every query of docs/sql-editor.md, and what the worker asks
between deliveries, with arguments from the data: new, old, rare, and not there.
"""

import asyncio
import datetime as dt
import re
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any, cast

import psycopg
from psycopg.rows import dict_row

from benchmarks.bulk import Size, fill, fill_other_tables
from benchmarks.explain import plans_of, scanned_tables
from benchmarks.stack import DURABLE
from scripts.local_stack import MIGRATIONS, ROOT, LocalPostgres
from supatoss.store import Store
from supatoss.store.client import Function
from supatoss.store.events import Cursor, EventFilter, Search
from supatoss.store.lists import ListCursor, ListFilter
from supatoss.store.reviews import FindingFilter

LIMIT_MS = 200.0
"""A page that takes longer feels slow, and a shared database has other work."""

ROUNDS = 5
LARGE = ("webhook_events", "payments", "settlements", "subscriptions")
COOKBOOK = ROOT / "docs" / "sql-editor.md"
PAGE = 50
CSV_PAGE = 500

Arguments = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """A statement as the service or a person sends it."""

    name: str
    statement: str
    parameters: tuple[Any, ...] = ()
    role: str = "service_role"


@dataclass(frozen=True, slots=True)
class Timing:
    """first_ms: before its pages were cached by itself. cpu_ms: of the server, which a busy machine leaves as it is.

    scans: large tables that it reads from beginning to end.
    """

    name: str
    first_ms: float
    median_ms: float
    cpu_ms: float
    rows: int
    scans: tuple[str, ...]


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
    def middle(self) -> dt.datetime:
        """When half of the events had been recorded."""
        return cast("dt.datetime", self.events[1]["created_at"])


def run(size: Size, dsn: str | None, only: str | None, log: Callable[[str], None]) -> int:
    """Fills a server of its own, or a database that is kept, and prints the table. Returns how many are too slow."""
    with _database(dsn) as found:
        with psycopg.connect(found) as connection:
            is_filled = bool(connection.execute("select to_regclass('public.webhook_events')").fetchone() != (None,))
        if not is_filled:
            migrate(found)
            log(f"filling: {size.events:,} events, {size.payments:,} payments")
            fill(found, size, log)
            fill_other_tables(found, size)
        with psycopg.connect(found, autocommit=True) as connection:
            chosen = [query for query in queries(connection) if not only or only in query.name]
            timings = []
            print("| query | first, ms | median, ms | CPU, ms | rows | reads whole |\n|---|---|---|---|---|---|", flush=True)
            for query in chosen:
                timings.append(measure(found, connection, query))
                print(row(timings[-1]), flush=True)
    slow = [timing for timing in timings if timing.median_ms > LIMIT_MS]
    print(f"\n{len(timings)} queries, {len(slow)} above {LIMIT_MS:.0f} ms")
    return len(slow)


def migrate(dsn: str) -> None:
    """Applies the migrations as the Supabase CLI does: one transaction a file."""
    with psycopg.connect(dsn) as connection:
        for migration in sorted(MIGRATIONS.glob("*.sql")):
            connection.execute(migration.read_text(encoding="utf-8"))
            connection.commit()


def measure(dsn: str, connection: psycopg.Connection, query: Query) -> Timing:
    """Its times, and what its plans read whole. Nothing that it changes is kept."""
    milliseconds, rows, cpu_before = [], 0, 0.0
    for number in range(ROUNDS + 1):
        if number == 1:
            cpu_before = _cpu_ms(connection)
        with connection.transaction(force_rollback=True):
            connection.execute(f"set local role {query.role}")
            began = time.perf_counter()
            answer = connection.execute(query.statement, query.parameters or None).fetchall()
            milliseconds.append((time.perf_counter() - began) * 1000)
        rows = _count(answer)
    cpu_ms = (_cpu_ms(connection) - cpu_before) / ROUNDS
    plans = plans_of(dsn, query.statement, query.parameters, query.role)
    scans = tuple(table for table in scanned_tables(plans) if table in LARGE)
    return Timing(query.name, milliseconds[0], statistics.median(milliseconds[1:]), cpu_ms, rows, scans)


def _cpu_ms(connection: psycopg.Connection) -> float:
    """Time that the connection's server process has been running; 0 where it is on another machine."""
    try:
        running, *_ = Path(f"/proc/{connection.info.backend_pid}/schedstat").read_text(encoding="ascii").split()
    except FileNotFoundError:
        return 0.0
    return int(running) / 1e6


def row(timing: Timing) -> str:
    """One line of the table in Markdown."""
    mark = " **" if timing.median_ms > LIMIT_MS else ""
    return (
        f"| {timing.name}{mark} | {timing.first_ms:.1f} | {timing.median_ms:.1f} | {timing.cpu_ms:.1f}"
        f" | {timing.rows:,} | {', '.join(timing.scans) or '-'} |"
    )


def queries(connection: psycopg.Connection) -> list[Query]:
    """Everything that is measured."""
    known = _known(connection)
    asked = chain(_events(known), _pages(known), _lists(known), _background(known, connection))
    calls = [Query(name, *_recorded(ask)) for name, ask in asked]
    return [*calls, *_cookbook(known)]


Asked = Iterator[tuple[str, Callable[[Store], Awaitable[Any]]]]


def _events(known: Known) -> Asked:
    """Lists of events: the command line's and the page's."""
    day, now = dt.timedelta(days=1), known.events[0]["created_at"]
    newest, middle, oldest = known.events
    everything = EventFilter()
    filters = {
        "all": everything,
        "type, common": EventFilter(types=("PAYMENT_STATUS_CHANGED",)),
        "type, 0.1 %": EventFilter(types=("BILLING_DELETED",)),
        "type, two old events": EventFilter(types=("seller.changed",)),
        "type, none": EventFilter(types=("payout.changed",)),
        "type, none, of a day": EventFilter(types=("payout.changed",), created_from=now - day),
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
        "a day in the middle": EventFilter(created_from=known.middle, created_until=known.middle + day),
        "before the first event": EventFilter(created_until=oldest["created_at"] - day),
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
    wanted = EventFilter(search=Search(middle["order_id"][-9:]), statuses=("processed",), created_from=now - 30 * day)
    yield "events page: search, status and month", _find(wanted)
    yield "events page: content, failed", _find(EventFilter(search=Search("31", "content", "31"), statuses=("failed",)))
    yield "events page: content, rare type", _find(
        EventFilter(search=Search("31", "content", "31"), types=("seller.changed",))
    )


def _find(wanted: EventFilter, *, limit: int = PAGE, **more: Any) -> Callable[[Store], Awaitable[Any]]:
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
    yield "reconciliation, a day", lambda store: store.read_reconciliations(dt.date.today() - dt.timedelta(days=3))
    yield "refused deliveries", lambda store: store.read_refused(PAGE)
    yield "sessions", lambda store: store.list_sessions()


def _rows_of(identity: str) -> Callable[[Store], Awaitable[Any]]:
    return lambda store: store.read_event_rows(identity)


def _order(order_id: str) -> Callable[[Store], Awaitable[Any]]:
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


def _list(
    name: str, wanted: ListFilter, *, limit: int = PAGE, after: ListCursor | None = None
) -> Callable[[Store], Awaitable[Any]]:
    return lambda store: store.read_list(name, wanted, limit=limit, after=after)


def _background(known: Known, connection: psycopg.Connection) -> Asked:
    """What the worker, the alerts and reconciliation ask."""
    payment = known.payments[1]
    yield "alerts: facts", lambda store: store.read_alert_facts(100)
    yield "alerts: oldest waiting", lambda store: store.oldest_waiting_seconds()
    yield "worker: claim", lambda store: store.claim_events(10, 60)
    yield "worker: overdue accounts", lambda store: store.overdue_accounts(20)
    yield "receiver: known keys", lambda store: store.read_known_keys(
        order_id=payment["order_id"], billing_key="bk-1", cancel_key="x", cancel_request="y"
    )
    yield "receiver: known orders", lambda store: store.known_orders([payment["order_id"], "no-such-order"])
    yield "reconcile: uncompared days", lambda store: store.uncompared_days(dt.date.today(), 10)
    yield "reconcile: standing", lambda store: store.read_standing(payment["payment_key"], payment["order_id"])
    yield "reconcile: open findings", lambda store: store.find_open_findings(FindingFilter(), 100)
    yield "retention: nothing due", lambda store: store.empty_payloads(3000, 500)
    yield "retention: a batch", lambda store: store.empty_payloads(30, 500)


def _cookbook(known: Known) -> Iterator[Query]:
    """The queries of docs/sql-editor.md, as its reader runs them, and the query of docs' views."""
    text = COOKBOOK.read_text(encoding="utf-8").replace("order-0001", known.events[1]["order_id"])
    for what, statement in re.findall(r"\n([^\n]+)\n\n```sql\n(.*?)```", text, re.DOTALL):
        yield Query(f"cookbook: {what.strip('#: ')[:50]}", statement, role="postgres")


def _recorded(ask: Callable[[Store], Awaitable[Any]]) -> tuple[str, tuple[Any, ...]]:
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
    ids = rows("select id::text as id from public.webhook_events tablesample system (0.01) limit 50")
    return Known(three("webhook_events", has_keys), three("payments", has_keys), failed, [one["id"] for one in ids])


def _count(answer: list[Any]) -> int:
    """Rows of a select, or of the list that a function answers with."""
    if len(answer) != 1 or len(answer[0]) != 1:
        return len(answer)
    value = answer[0][0]
    if isinstance(value, dict):
        return max((len(item) for item in value.values() if isinstance(item, list)), default=1)
    return len(value) if isinstance(value, list) else 1


@contextmanager
def _database(dsn: str | None) -> Iterator[str]:
    if dsn:
        yield Path(dsn).read_text(encoding="utf-8").strip() if Path(dsn).is_file() else dsn
        return
    with LocalPostgres(settings=DURABLE) as server:
        yield server.dsn()
