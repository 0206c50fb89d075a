"""What recording costs PostgreSQL alone: in each situation, and in each function.

One session calls the recording function as the service does, as many events a call as its batches carry. The figures
are CPU time of that session, so that a busy machine changes them little, and medians over rounds. Two sets of
migrations are measured in turns, to compare them.
"""

import json
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.explain import explain
from benchmarks.peers.capture import Call, capture_calls
from benchmarks.stack import Stack
from benchmarks.workload import deposits, plan
from scripts.local_stack import MIGRATIONS

ROUNDS = 24
WARM_UP_ROUNDS = 3
BATCH = 32
LONE_CALLS = 6
"""Calls with one event in a round."""

GOALS_MS = {"new order": 0.10, "deposit paid": 0.15, "payment cancelled": 0.15, "lone": 0.40}
_NS_PER_MS = 1e6
_CALL = "select public.record_webhook_events_v1(%s)"
_SHOWN_FUNCTIONS = 24


@dataclass(frozen=True, slots=True)
class Step:
    """One call: its situation and the events it carries."""

    situation: str
    call: Call
    events: int


@dataclass(slots=True)
class Figures:
    """What the calls of one situation cost, a value for each call, in each case for one event."""

    cpu_ms: list[float] = field(default_factory=list)
    wal_bytes: list[float] = field(default_factory=list)
    buffers: list[float] = field(default_factory=list)
    statements: int = 0
    functions: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


def run(log: Callable[[str], None], rounds: int = ROUNDS, others: Sequence[Path] = ()) -> int:
    """Prints the tables, for our migrations and for those of other folders. Returns how many calls went wrong."""
    problems = 0
    sources = {f"{folder}": folder for folder in (*others, MIGRATIONS)}
    with Stack() as stack:
        log("captures the service's calls")
        steps = list(_steps(stack, WARM_UP_ROUNDS + rounds))
        dsns = {name: _database(stack, f"sql_{n}", folder) for n, (name, folder) in enumerate(sources.items())}
        sessions = {name: Session(dsn) for name, dsn in dsns.items()}
        for number, round_ in enumerate(steps):
            for session in sessions.values():
                problems += sum(session.run(step, number) for step in round_)
            log(f"round {number + 1} of {len(steps)}")
        for session in sessions.values():
            session.close()
    for name, session in sessions.items():
        print(f"\n{name if len(sessions) > 1 else 'Recording'}\n\n{to_markdown(session.figures)}")
    return problems


class Session:
    """A connection to one database, as one of the Data API's pool."""

    def __init__(self, dsn: str) -> None:
        self.figures: dict[str, Figures] = defaultdict(Figures)
        self._dsn = dsn
        self._connection = psycopg.connect(dsn, prepare_threshold=0, autocommit=True)
        self._cpu = Path(f"/proc/{self._connection.info.backend_pid}/schedstat")

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def run(self, step: Step, number: int) -> bool:
        """Makes one call, and whether it went wrong. Every second round looks into it, which costs time."""
        figures = self.figures[step.situation]
        if not figures.statements:
            figures.statements = len(explain(self._dsn, step.call))
        if number < WARM_UP_ROUNDS:
            return self._measure(step, Figures())
        if (number - WARM_UP_ROUNDS) % 2:
            self._look_inside(step, figures)
            return False
        return self._measure(step, figures)

    def _measure(self, step: Step, figures: Figures) -> bool:
        self._begin("none")
        before = self._cpu_ns()
        row = self._connection.execute(_CALL, [_text(step.call)]).fetchone()
        self._connection.execute("commit")
        figures.cpu_ms.append((self._cpu_ns() - before) / _NS_PER_MS / step.events)
        outcomes = row[0] if row else []
        wanted = "duplicate" if step.situation == "duplicate" else "created"
        return [(o["outcome"], o["status"]) for o in outcomes] != [(wanted, "processed")] * step.events

    def _look_inside(self, step: Step, figures: Figures) -> None:
        self._begin("all")
        before = self._own_times()
        row = self._connection.execute(
            f"explain (analyze, wal, buffers, timing off, format json) {_CALL}", [_text(step.call)]
        ).fetchone()
        after = self._own_times()
        self._connection.execute("commit")
        top: dict[str, Any] = row[0][0]["Plan"] if row else {}
        figures.wal_bytes.append(top["WAL Bytes"] / step.events)
        figures.buffers.append((top["Shared Hit Blocks"] + top["Shared Read Blocks"]) / step.events)
        for name, self_ms in after.items():
            figures.functions[name].append((self_ms - before.get(name, 0.0)) / step.events)

    def _begin(self, tracked: str) -> None:
        self._connection.execute("begin")
        self._connection.execute(f"set local track_functions = '{tracked}'")
        self._connection.execute("set local role service_role")

    def _own_times(self) -> dict[str, float]:
        """Milliseconds by function, since the session last handed its counters over."""
        return dict(
            self._connection.execute(
                "select schemaname || '.' || funcname, sum(self_time) from pg_stat_xact_user_functions group by 1"
            ).fetchall()
        )

    def _cpu_ns(self) -> int:
        return int(self._cpu.read_text().split()[0])


def to_markdown(figures: dict[str, Figures]) -> str:
    """The situations, then the functions with their own time in each."""
    lines = ["| an event | CPU ms | goal | WAL bytes | buffers | statements a call |", "|---|---|---|---|---|---|"]
    for situation, found in figures.items():
        goal = next((f"{ms:.2f}" for start, ms in GOALS_MS.items() if situation.startswith(start)), "–")
        lines.append(
            f"| {situation} | {statistics.median(found.cpu_ms):.3f} | {goal}"
            f" | {statistics.median(found.wal_bytes):,.0f} | {statistics.median(found.buffers):.0f}"
            f" | {found.statements} |"
        )
    names = sorted(
        {name for found in figures.values() for name in found.functions},
        key=lambda name: -sum(_self_ms(found, name) for found in figures.values()),
    )
    lines += ["", f"| own time, µs an event | {' | '.join(figures)} |", "|---|" + "---|" * len(figures)]
    for name in names[:_SHOWN_FUNCTIONS]:
        cells = (f"{_self_ms(found, name) * 1000:.1f}" for found in figures.values())
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _self_ms(found: Figures, name: str) -> float:
    values = found.functions.get(name)
    return statistics.median(values) if values else 0.0


def _steps(stack: Stack, rounds: int) -> Iterator[list[Step]]:
    """The calls of each round. Every round has orders of its own."""
    new = capture_calls(stack, plan(rounds * (BATCH + LONE_CALLS), seed=11, shuffle=False))
    stories = [capture_calls(stack, sendings) for sendings in deposits(rounds * BATCH, seed=12)]
    for number in range(rounds):
        first = number * (BATCH + LONE_CALLS)
        batch, lone = new[first : first + BATCH], new[first + BATCH : first + BATCH + LONE_CALLS]
        issued, paid, canceled = (calls[number * BATCH : (number + 1) * BATCH] for calls in stories)
        yield [
            Step("new order, paid", _joined(batch), BATCH),
            Step("new order, account issued", _joined(issued), BATCH),
            Step("deposit paid", _joined(paid), BATCH),
            Step("payment cancelled", _joined(canceled), BATCH),
            Step("duplicate", _joined(canceled), BATCH),
            *(Step("lone new order", call, 1) for call in lone),
        ]


def _joined(calls: Sequence[Call]) -> Call:
    """One call with the events of these."""
    events = [event for call in calls for event in json.loads(_text(call))]
    body = json.dumps({"events": json.dumps(events, ensure_ascii=False)}, ensure_ascii=False)
    return Call(calls[0].path, calls[0].headers, body.encode())


def _text(call: Call) -> str:
    return str(json.loads(call.body)["events"])


def _database(stack: Stack, name: str, migrations: Path) -> str:
    dsn = stack.postgres.create_database(name)
    with psycopg.connect(dsn) as connection:
        for migration in sorted(migrations.glob("*.sql")):
            connection.execute(migration.read_text())
            connection.commit()
    return dsn
