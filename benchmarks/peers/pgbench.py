"""PostgreSQL alone, driven by pgbench with one transaction for each event: what the server can do without HTTP."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.explain import argument_types
from benchmarks.latency import Report, summarise
from benchmarks.measure import Load, Running
from benchmarks.peers.capture import Call, capture_calls
from benchmarks.rows import Rows, ServerRows
from benchmarks.stack import Backend, Schema, Stack
from benchmarks.workload import Sending
from scripts.local_stack import LOOPBACK, StackError

GRACE_SECONDS = 60.0
MARK_DIGITS = 10
_MICROSECONDS = 1_000_000

_COUNTER = "\\set n :n + 1\n\\set mark :client_id * 10000000 + :n\n"
_MARK = f"lpad((:mark)::text, {MARK_DIGITS}, '0')"
_EVENT_KEY = re.compile(r"\b[0-9a-f]{64}\b")
"""An event key anywhere in a call: 64 hexadecimal digits."""

MINIMAL = """\
with event as (
  insert into webhook_events (event_type, payment_key, payload)
  values ('PAYMENT_STATUS_CHANGED', {key}, {payload}::jsonb)
  returning payment_key, payload -> 'data' as payment
)
insert into payments (
  payment_key, order_id, order_name, amount, payment_method, payment_status, requested_at, approved_at)
select payment_key, payment ->> 'orderId', payment ->> 'orderName', (payment ->> 'totalAmount')::integer,
       payment ->> 'method', payment ->> 'status',
       (payment ->> 'requestedAt')::timestamp, (payment ->> 'approvedAt')::timestamp
from event
on conflict (payment_key) do update set payment_status = excluded.payment_status, approved_at = excluded.approved_at;
"""


class Statement(StrEnum):
    """What one transaction does."""

    RECORDING = "our recording function"
    MINIMAL = "insert event + upsert payment"


@dataclass(frozen=True, slots=True)
class PgBench:
    """One kind of transaction, in prepared statements."""

    statement: Statement

    @property
    def name(self) -> str:
        """Its row in the table."""
        return f"pgbench, {self.statement} (PostgreSQL 18)"

    @contextmanager
    def start(self, stack: Stack, sendings: Sequence[Sending]) -> Iterator[Running]:
        """Prepares the script; every load runs its own pgbench."""
        if shutil.which("pgbench") is None:
            raise StackError("pgbench is not on PATH (on Debian: postgresql-contrib)")
        script = stack.folder / f"pgbench-{self.statement.name.lower()}.sql"
        if self.statement is Statement.RECORDING:
            rows = stack.project(Backend.POSTGRES).rows
            (call,) = capture_calls(stack, sendings[:1])
            assert isinstance(rows, ServerRows)  # noqa: S101 - the backend is a server
            text = recording_script(call, sendings[0], rows.dsn)
        else:
            rows = stack.project(Backend.POSTGRES, Schema.GUIDE).rows
            assert isinstance(rows, ServerRows)  # noqa: S101 - the backend is a server
            text = minimal_script(sendings[0])
        script.write_text(text, encoding="utf-8")
        yield RunningPgBench(rows, script, stack)


@dataclass(frozen=True, slots=True)
class RunningPgBench:
    """A script and the database it runs against."""

    rows: ServerRows
    script: Path
    stack: Stack

    def reset(self) -> None:
        """Empties the tables."""
        self.rows.execute("truncate public.webhook_events, public.payments")

    def drive(self, load: Load) -> Report:
        """Runs pgbench for the load's time, or for its count of transactions per client."""
        folder = self.stack.folder / "pgbench"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        parts = psycopg.conninfo.conninfo_to_dict(self.rows.dsn)
        threads = min(load.connections, os.cpu_count() or 1)
        has_count = load.count < sys.maxsize
        bound = f"--transactions={load.count}" if has_count else f"--time={max(1, round(load.seconds))}"
        command = [
            *("pgbench", "--no-vacuum", "--protocol=prepared", f"--file={self.script}", "--define=n=0", "--log"),
            *(f"--client={load.connections}", f"--jobs={threads}", bound),
        ]
        if load.rate:
            command.append(f"--rate={load.rate}")
        environment = {
            **os.environ,
            "PGHOST": LOOPBACK,
            "PGPORT": str(parts["port"]),
            "PGUSER": str(parts["user"]),
            "PGDATABASE": str(parts["dbname"]),
            "PGPASSWORD": str(parts["password"]),
        }
        before = os.times()
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=load.seconds + GRACE_SECONDS,
        )
        after = os.times()
        if done.returncode:
            raise StackError(f"pgbench failed:\n{done.stderr}")
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        return read_logs(folder, cpu)

    def verify(self, report: Report) -> list[str]:
        """Right when each transaction has its event and its payment."""
        return verify_counts(self.rows, report)

    def groups(self) -> Mapping[str, Sequence[int]]:
        """The server alone."""
        return {"postgres": self.stack.postgres_processes}


def read_logs(folder: Path, cpu_seconds: float) -> Report:
    """From pgbench's logs: client, transaction, time in µs, script, epoch seconds and µs."""
    lines = [line.split() for file in folder.glob("pgbench_log.*") for line in file.read_text().splitlines()]
    latencies = [int(line[2]) / _MICROSECONDS for line in lines]
    ends = [int(line[4]) + int(line[5]) / _MICROSECONDS for line in lines]
    began = min(end - latency for end, latency in zip(ends, latencies, strict=True))
    return summarise([200] * len(lines), latencies, max(ends) - began, cpu_seconds)


def verify_counts(rows: Rows, report: Report) -> list[str]:
    """Compares the tables' lengths with the number of transactions."""
    (found,) = rows.query(
        "select (select count(*) from public.webhook_events) as events,"
        " (select count(*) from public.payments where payment_status = 'DONE') as payments"
    )
    stored = (found["events"], found["payments"])
    return [] if stored == (report.sent, report.sent) else [f"{stored} events and payments of {report.sent}"]


def minimal_script(sending: Sending) -> str:
    """The least that stores the same: the event as it came, and the payment."""
    data = json.loads(sending.body)["data"]
    text = sending.body.decode()
    payload = _marked(text, data["paymentKey"], data["orderId"])
    return (
        _COUNTER
        + MINIMAL.format(key=_marked(data["paymentKey"], data["paymentKey"]), payload=payload)
        .replace("\n", " ")
        .strip()
        + "\n"
    )


def recording_script(call: Call, sending: Sending, dsn: str) -> str:
    """The service's own call as a query: every event's keys end in a number of their own."""
    data = json.loads(sending.body)["data"]
    arguments: dict[str, Any] = json.loads(call.body)
    with psycopg.connect(dsn) as connection:
        types = argument_types(connection, call.function)
    keys = {data["paymentKey"], data["orderId"], data["secret"], *_EVENT_KEY.findall(call.body.decode())}
    given = [f"{name} => {_argument(value, types[name], keys)}" for name, value in arguments.items()]
    return f"{_COUNTER}select public.{call.function}({', '.join(given)});\n"


def _argument(value: Any, type_name: str, keys: set[str]) -> str:
    if type_name == "jsonb[]":
        return f"array[{', '.join(f'{_marked(_json(item), *keys)}::jsonb' for item in value)}]"
    text = value if isinstance(value, str) else _json(value)
    return f"{_marked(text, *keys)}::{type_name}"


def _marked(text: str, *keys: str) -> str:
    """An SQL expression for a text in which the last digits of each of these keys are the transaction's own number."""
    for key in keys:
        text = text.replace(key, f"{key[:-MARK_DIGITS]}\x1f")
    return "(" + f" || {_MARK} || ".join(map(_literal, text.split("\x1f"))) + ")"


def _literal(text: str) -> str:
    """A literal without a colon: pgbench takes one with a letter behind it for a variable, even inside quotes."""
    escaped = text.replace("\\", "\\\\").replace("'", "''").replace(":", "\\003A")
    return f"U&'{escaped}'"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
