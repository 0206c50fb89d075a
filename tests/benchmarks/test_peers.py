"""The benchmark on real parts, in small: it measures, its oracle sees what the tables hold, it copies whole rows."""

import shutil
from collections.abc import Iterator

import pytest

from benchmarks.bulk import Size, fill
from benchmarks.comparison import Plan, run
from benchmarks.explain import explain, scanned_tables
from benchmarks.measure import Load
from benchmarks.oracle import verify
from benchmarks.peers.capture import RECORDING, capture_calls
from benchmarks.peers.pgbench import PgBench, Statement
from benchmarks.peers.supatoss import Supatoss, empty
from benchmarks.rows import ServerRows
from benchmarks.stack import Backend, Stack
from benchmarks.workload import OrderMix, orders_of, plan

SENDINGS = plan(60, 0.5, OrderMix.MIXED, seed=5)
INDEXES = (
    "select tablename, indexname, indexdef from pg_indexes"
    " where schemaname = 'public' order by tablename, indexname collate \"C\""
)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(warm_up_calls=10) as started:
        yield started


@pytest.fixture
def rows(stack: Stack) -> ServerRows:
    project = stack.project(Backend.POSTGRES)
    empty(project)
    assert isinstance(project.rows, ServerRows)
    return project.rows


@pytest.mark.slow
def test_a_run_measures_supatoss_and_finds_everything_right(stack: Stack) -> None:
    told: list[str] = []
    wanted = Plan([Supatoss(processes=2)], (4,), rounds=1, seconds=30.0, warm_up_seconds=30.0, deliveries=60)

    (cell,) = run(wanted, stack, SENDINGS, told.append)

    assert cell.measurement.problems == []
    assert cell.measurement.report.statuses == {"200": 60}
    assert set(cell.measurement.cores) == {"service", "api", "postgres", "driver"}
    assert cell.measurement.resident_mib["service"] > 50
    assert "4 connections" in told[0]


def test_the_oracle_sees_a_row_that_was_lost_and_one_that_was_changed(stack: Stack, rows: ServerRows) -> None:
    with Supatoss().start(stack, SENDINGS) as running:
        report = running.drive(Load(4, 30.0))
        assert running.verify(report) == []

        rows.execute("delete from webhook_events where id = (select id from webhook_events limit 1)")
        rows.execute("update payments set amount = amount + 1 where id = (select id from payments limit 1)")
        problems = running.verify(report)

    assert {problem.split(":")[0] for problem in problems} >= {"lost", "wrong"}


def test_a_captured_call_is_the_services_own(stack: Stack) -> None:
    first, second = capture_calls(stack, plan(2, seed=6, shuffle=False))

    assert RECORDING.fullmatch(first.path)
    assert {name.lower() for name in first.headers} >= {"apikey"}
    assert b"bench-000600000000" in first.body
    assert b"bench-000600000001" in second.body


@pytest.mark.skipif(shutil.which("pgbench") is None, reason="pgbench comes with a PostgreSQL installation")
def test_pgbench_records_one_event_a_transaction(stack: Stack, rows: ServerRows) -> None:
    with PgBench(Statement.RECORDING).start(stack, SENDINGS) as running:
        report = running.drive(Load(2, 30.0, count=5))
        assert running.verify(report) == []

    assert report.sent == 10
    (found,) = rows.query(
        "select count(distinct order_id) as orders, count(distinct event_key) as keys from webhook_events"
    )
    assert found == {"orders": 10, "keys": 10}


def test_copied_rows_are_whole_and_the_indexes_are_back(stack: Stack, rows: ServerRows) -> None:
    indexes = rows.query(INDEXES)

    fill(rows.dsn, Size(events=35, payments=10), lambda _line: None)

    assert rows.query(INDEXES) == indexes
    (found,) = rows.query(
        "select count(*) as events, count(distinct event_key) as keys, count(distinct order_id) as orders,"
        " count(*) filter (where payload #>> '{data,orderId}' = order_id or change ->> 'kind' = 'billing') as whole"
        " from webhook_events"
    )
    assert found == {"events": 35, "keys": 35, "orders": 10, "whole": 35}
    (paid,) = rows.query("select count(distinct payment_key) as keys, count(*) as payments from payments")
    assert paid == {"keys": 10, "payments": 10}
    with Supatoss().start(stack, SENDINGS) as running:
        report = running.drive(Load(4, 30.0))
        assert verify(rows, SENDINGS, report.unacknowledged, orders_of(5)) == []


def test_the_plans_of_a_call_are_shown_and_nothing_is_kept(stack: Stack, rows: ServerRows) -> None:
    (call,) = capture_calls(stack, plan(1, seed=6))

    plans = explain(rows.dsn, call)

    assert any("Insert on webhook_events" in text for text in plans)
    assert scanned_tables(plans) == []
    assert scanned_tables(["Seq Scan on payments p  (cost=…)", "Parallel Seq Scan on webhook_events"]) == [
        "payments",
        "webhook_events",
    ]
    assert rows.query("select id from webhook_events") == []
