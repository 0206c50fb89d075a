"""The same loads on empty and on large tables: the cost of a delivery must not grow with them."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import product

from benchmarks.bulk import Size, fill
from benchmarks.explain import explain, scanned_tables
from benchmarks.measure import Load, Measurement
from benchmarks.peers.capture import capture_calls
from benchmarks.peers.supatoss import empty
from benchmarks.report import FOLDER, keep
from benchmarks.rows import Rows, ServerRows
from benchmarks.stack import Backend, Stack
from benchmarks.steady import HEADER, Steady, SteadyRun, count_problems, row
from benchmarks.workload import plan

PROCESSES = (1, 2, 4)
DUPLICATE_SHARES = (0.0, 0.5, 0.9)
CLOSED = Load(connections=64, seconds=6.0, count=30_000)
OPEN = Load(connections=256, seconds=30.0, count=30_000, rate=1000.0)


def loads(seconds: float) -> list[Steady]:
    """Every number of processes with every share of duplicates, and a fixed rate."""
    closed = Load(CLOSED.connections, seconds, CLOSED.count)
    steadies = [Steady(processes, share, closed) for processes, share in product(PROCESSES, DUPLICATE_SHARES)]
    return [*steadies, Steady(1, 0.0, OPEN), Steady(2, 0.0, OPEN)]


def run(size: Size, seconds: float, log: Callable[[str], None]) -> int:
    """Measures on empty tables, fills them, measures again, prints a table. Returns the number of problems."""
    with Stack() as stack:
        project = stack.project(Backend.POSTGRES)
        assert isinstance(project.rows, ServerRows)  # noqa: S101 - the backend is a server
        steadies = loads(seconds)
        steady_run = SteadyRun(stack)
        empty(project)
        before = _measure(steady_run, steadies, log)
        empty(project)
        log(f"filling: {size.events:,} events, {size.payments:,} payments")
        fill(project.rows.dsn, size, log)
        sizes = _sizes(project.rows)
        after = _measure(steady_run, steadies, log)
        (call,) = capture_calls(stack, plan(1, seed=9998))
        plans = explain(project.rows.dsn, call)
    print(f"\nempty tables\n\n{_table(steadies, before)}")
    print(f"\n{size.events:,} webhook_events, {size.payments:,} payments ({sizes})\n\n{_table(steadies, after)}\n")
    for steady, (small, _), (large, _) in zip(steadies, before, after, strict=True):
        print(f"{steady.name}: {large.report.rate / small.report.rate:.0%} of the rate on empty tables")
    scans = scanned_tables(plans)
    plans_file = FOLDER / "growth-plans.txt"
    plans_file.parent.mkdir(parents=True, exist_ok=True)
    plans_file.write_text("\n\n".join(plans) + "\n", encoding="utf-8")
    print(f"\na recording call reads whole tables: {', '.join(scans) or 'none'}; its plans: {plans_file}")
    phases = {"empty": before, "grown": after}
    file = keep(
        "growth",
        [
            {"phase": phase, "load": steady.name, "ready_seconds": ready, **asdict(measurement)}
            for phase, measured in phases.items()
            for steady, (measurement, ready) in zip(steadies, measured, strict=True)
        ],
    )
    print(f"\nfigures: {file}")
    return len(scans) + count_problems([measurement for measured in phases.values() for measurement, _ in measured])


def _measure(
    steady_run: SteadyRun, steadies: Sequence[Steady], log: Callable[[str], None]
) -> list[tuple[Measurement, float]]:
    measured = []
    for steady in steadies:
        found = steady_run.measure(steady)
        log("\n".join([row(steady, *found), *(f"  WRONG: {problem}" for problem in found[0].problems)]))
        measured.append(found)
    return measured


def _table(steadies: Sequence[Steady], measured: Sequence[tuple[Measurement, float]]) -> str:
    return "\n".join([HEADER, *(row(steady, *found) for steady, found in zip(steadies, measured, strict=True))])


def _sizes(rows: Rows) -> str:
    found = rows.query(
        "select relname, pg_size_pretty(pg_total_relation_size(oid)) as size from pg_class"
        " where relnamespace = 'public'::regnamespace and relname in ('webhook_events', 'payments')"
        " order by relname desc"
    )
    return ", ".join(f"{one['relname']} {one['size']} with indexes" for one in found)
