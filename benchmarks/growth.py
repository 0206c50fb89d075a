"""The same loads on small and on large tables: the cost of a delivery must not grow with them."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
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
ROUNDS = 3
CLOSED = Load(connections=64, seconds=6.0, count=30_000)
OPEN = Load(connections=256, seconds=30.0, count=30_000, rate=1000.0)


def loads(seconds: float) -> list[Steady]:
    """Every number of processes with every share of duplicates, and a fixed rate."""
    closed = Load(CLOSED.connections, seconds, CLOSED.count)
    steadies = [Steady(processes, share, closed) for processes, share in product(PROCESSES, DUPLICATE_SHARES)]
    return [*steadies, Steady(1, 0.0, OPEN), Steady(2, 0.0, OPEN)]


def run(size: Size, seconds: float, rounds: int, log: Callable[[str], None]) -> int:
    """Measures on small and large tables in turns, prints a table. Returns the number of problems.

    In turns, since a machine's speed drifts by more than what is looked for.
    """
    with Stack() as small, Stack() as large:
        project = large.project(Backend.POSTGRES)
        assert isinstance(project.rows, ServerRows)  # noqa: S101 - the backend is a server
        empty(project)
        log(f"filling: {size.events:,} events, {size.payments:,} payments")
        fill(project.rows.dsn, size, log)
        sizes = _sizes(project.rows)
        steadies = loads(seconds)
        runs = {"small": SteadyRun(small), "large": SteadyRun(large)}
        turns = []
        for number in range(1, rounds + 1):
            empty(small.project(Backend.POSTGRES))
            for steady, (tables, steady_run) in product(steadies, runs.items()):
                turn = Turn(number, tables, steady, *steady_run.measure(steady))
                log("\n".join([f"{tables}: {turn.row}", *(f"  WRONG: {one}" for one in turn.measurement.problems)]))
                turns.append(turn)
        (call,) = capture_calls(large, plan(1, seed=9998))
        plans = explain(project.rows.dsn, call)
    large_tables = f"{size.events:,} webhook_events, {size.payments:,} payments ({sizes})"
    for tables, title in (("small", "tables emptied before each round"), ("large", large_tables)):
        print("\n".join(["", title, "", HEADER, *(_median(turns, tables, steady).row for steady in steadies)]))
    print()
    for steady in steadies:
        small_rate, large_rate = (_median(turns, tables, steady).measurement.report.rate for tables in runs)
        print(f"{steady.name}: {large_rate / small_rate:.0%} of the rate on small tables")
    scans = scanned_tables(plans)
    plans_file = FOLDER / "growth-plans.txt"
    plans_file.parent.mkdir(parents=True, exist_ok=True)
    plans_file.write_text("\n\n".join(plans) + "\n", encoding="utf-8")
    print(f"\na recording call reads whole tables: {', '.join(scans) or 'none'}; its plans: {plans_file}")
    print(f"\nfigures: {keep('growth', [asdict(turn) for turn in turns])}")
    return len(scans) + count_problems([turn.measurement for turn in turns])


@dataclass(frozen=True, slots=True)
class Turn:
    """One measurement on the small or the large tables."""

    number: int
    tables: str
    steady: Steady
    measurement: Measurement
    ready_seconds: float

    @property
    def row(self) -> str:
        """Its line of a table."""
        return row(self.steady, self.measurement, self.ready_seconds)


def _median(turns: Sequence[Turn], tables: str, steady: Steady) -> Turn:
    """The turn with the median rate."""
    of_load = [turn for turn in turns if (turn.tables, turn.steady) == (tables, steady)]
    return sorted(of_load, key=lambda turn: turn.measurement.report.rate)[len(of_load) // 2]


def _sizes(rows: Rows) -> str:
    found = rows.query(
        "select relname, pg_size_pretty(pg_total_relation_size(oid)) as size from pg_class"
        " where relnamespace = 'public'::regnamespace and relname in ('webhook_events', 'payments')"
        " order by relname desc"
    )
    return ", ".join(f"{one['relname']} {one['size']} with indexes" for one in found)
