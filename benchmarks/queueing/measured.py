"""Measures what a delivery costs in each part: calls of 1 to 100 events one after the other, then the service."""

import http.client
import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.measure import Load, usage
from benchmarks.peers.capture import Call, capture_calls
from benchmarks.peers.supatoss import Supatoss, empty
from benchmarks.queueing.costs import Costs, Line, Storage, fit
from benchmarks.rows import Rows
from benchmarks.stack import Backend, Project, Stack
from benchmarks.workload import OrderMix, plan
from scripts.local_stack import StackError

CALLS = {1: 300, 8: 120, 32: 60, 100: 30}
"""How many calls of how many events are timed."""

WARM_UP_CALLS = 30
WARM_UP_DELIVERIES = 3000
SEED = 4000
LONE = Load(connections=1, seconds=10.0, count=1500)
FULL = Load(connections=256, seconds=10.0, count=20_000)

RECEIVE_SHARE = 0.7
"""Of the service's CPU for an event, what comes before its call: an assumption, from profiles of the endpoint."""


@dataclass(frozen=True, slots=True)
class Timed:
    """Calls of one size: the seconds of each, and CPU seconds a call."""

    events: int
    walls: Sequence[float]
    api: float
    postgres: float
    client: float


def measure_costs(stack: Stack, log: Callable[[str], None]) -> tuple[Costs, Storage]:
    """On empty tables of PostgreSQL."""
    project = stack.project(Backend.POSTGRES)
    empty(project)
    timed, wal_bytes = _time_calls(stack, project)
    for one in timed:
        median = statistics.median(one.walls)
        log(
            f"calls of {one.events:>3}: {1000 * median:.1f} ms, of which CPU: Data API {1000 * one.api:.1f},"
            f" PostgreSQL {1000 * one.postgres:.1f} ms; p99 {1000 * statistics.quantiles(one.walls, n=100)[98]:.1f}"
        )
    lone, full, (tables, indexes, keys) = _measure_service(stack, project, log)
    call = max(0.0, (lone.cpu - full.cpu) / (lone.commits - full.commits))
    event = full.cpu - call * full.commits
    api = fit([(one.events, one.api) for one in timed])
    postgres = fit([(one.events, one.postgres) for one in timed])
    idle = [(one.events, statistics.median(one.walls) - one.api - one.postgres - one.client) for one in timed]
    wait = Line(max(0.0, statistics.median(seconds for _, seconds in idle)), 0.0)
    costs = Costs(
        receive=event * RECEIVE_SHARE,
        answer=event * (1 - RECEIVE_SHARE),
        call=call,
        api=api,
        postgres=postgres,
        wait=wait,
        residuals=sorted(
            round(wall - api.at(one.events) - postgres.at(one.events) - one.client - wait.base, 6)
            for one in timed
            for wall in one.walls
        ),
        driver=full.driver,
    )
    return costs, Storage(wal_bytes, tables, _payload_bytes(project.rows), indexes, keys, full.commits)


def _time_calls(stack: Stack, project: Project) -> tuple[list[Timed], float]:
    """The calls of each size, and bytes of write-ahead log an event."""
    needed = WARM_UP_CALLS + sum(events * calls for events, calls in CALLS.items())
    singles = iter(capture_calls(stack, plan(needed, 0.0, OrderMix.MIXED, SEED)))
    connection = http.client.HTTPConnection(*project.address, timeout=30)
    for _ in range(WARM_UP_CALLS):
        _send(connection, merge([next(singles)]))
    before = _wal(project.rows)
    timed = [_time(connection, stack, project, singles, events, calls) for events, calls in CALLS.items()]
    connection.close()
    return timed, (_wal(project.rows) - before) / sum(events * calls for events, calls in CALLS.items())


def _time(
    connection: http.client.HTTPConnection,
    stack: Stack,
    project: Project,
    singles: Iterator[Call],
    events: int,
    calls: int,
) -> Timed:
    requests = [merge(list(itertools.islice(singles, events))) for _ in range(calls)]
    api, postgres, own = usage(project.processes), usage(stack.postgres_processes), time.process_time()
    walls = []
    for request in requests:
        began = time.perf_counter()
        _send(connection, request)
        walls.append(time.perf_counter() - began)
    own = time.process_time() - own
    return Timed(
        events,
        walls,
        (usage(project.processes).cpu_seconds - api.cpu_seconds) / calls,
        (usage(stack.postgres_processes).cpu_seconds - postgres.cpu_seconds) / calls,
        own / calls,
    )


def merge(calls: Sequence[Call]) -> Call:
    """One call with the events of several: its only argument is a JSON array, as text or not."""
    bodies: list[Mapping[str, str | list[object]]] = [json.loads(call.body) for call in calls]
    ((name, first),) = bodies[0].items()
    values = [body[name] for body in bodies]
    if isinstance(first, str):
        merged: str | list[object] = "[" + ",".join(str(value).strip()[1:-1] for value in values) + "]"
    else:
        merged = [event for value in values for event in value]
    body = json.dumps({name: merged}, ensure_ascii=False, separators=(",", ":")).encode()
    return Call(calls[0].path, calls[0].headers, body)


def _send(connection: http.client.HTTPConnection, call: Call) -> None:
    headers = {**call.headers, "content-type": "application/json", "accept-encoding": "identity"}
    connection.request("POST", call.path, call.body, headers)
    response = connection.getresponse()
    text = response.read()
    if response.status != 200:
        raise StackError(f"a recording call was answered {response.status}: {text.decode(errors='replace')[:200]}")


@dataclass(frozen=True, slots=True)
class _Driven:
    """The service under one load: CPU seconds a delivery of it and of the load generator, and commits a delivery."""

    cpu: float
    driver: float
    commits: float


def _measure_service(
    stack: Stack, project: Project, log: Callable[[str], None]
) -> tuple[_Driven, _Driven, Sequence[float]]:
    """Under LONE, under FULL, and what an event under FULL adds to tables, indexes and the index of event keys."""
    sendings = plan(WARM_UP_DELIVERIES + LONE.count + FULL.count, 0.0, OrderMix.MIXED, SEED + 1)
    with Supatoss().start(stack, sendings) as running:
        sent = running.drive(Load(32, 20.0, WARM_UP_DELIVERIES)).sent

        def drive(load: Load) -> tuple[_Driven, int]:
            commits, used = _commits(project.rows), usage(running.groups()["service"]).cpu_seconds
            report = running.drive(replace(load, skip=sent))
            used = usage(running.groups()["service"]).cpu_seconds - used
            time.sleep(1.1)  # PostgreSQL's processes publish their statistics once a second
            commits = _commits(project.rows) - commits
            log(
                f"service, {load.connections} connections: {1e6 * used / report.sent:.0f} µs a delivery,"
                f" {report.sent / commits:.1f} deliveries a commit"
            )
            return _Driven(used / report.sent, report.cpu_seconds / report.sent, commits / report.sent), report.sent

        lone, number = drive(LONE)
        sent += number
        before = _sizes(project.rows)
        full, number = drive(FULL)
        grown = [(after - size) / number for size, after in zip(before, _sizes(project.rows), strict=True)]
        return lone, full, grown


def _wal(rows: Rows) -> int:
    return int(rows.query("select pg_current_wal_insert_lsn() - '0/0' as bytes")[0]["bytes"])


def _commits(rows: Rows) -> int:
    return int(
        rows.query("select xact_commit from pg_stat_database where datname = current_database()")[0]["xact_commit"]
    )


def _payload_bytes(rows: Rows) -> float:
    """Mean size of a payload on disk."""
    return float(rows.query("select avg(pg_column_size(payload)) as bytes from public.webhook_events")[0]["bytes"])


def _sizes(rows: Rows) -> tuple[int, int, int]:
    """Bytes of both tables, of their indexes, and of the index of event keys."""
    (found,) = rows.query(
        "select sum(pg_table_size(oid)) as tables, sum(pg_indexes_size(oid)) as indexes,"
        " pg_relation_size('public.webhook_events_event_key_key') as keys"
        " from pg_class where oid in ('public.webhook_events'::regclass, 'public.payments'::regclass)"
    )
    return int(found["tables"]), int(found["indexes"]), int(found["keys"])
