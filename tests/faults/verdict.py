"""Compares all tables with the oracle: what is lost, what is doubled, what is wrong."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tests.faults.oracle import Expected, Row

MAX_SHOWN = 12

_NAME = "coalesce(payload ->> 'faultId', event_type || ' of ' || order_id)"
"""What an event is stored as: mix.Sent.stored_as."""

_PAYMENTS = """
    select order_id, payment_key, payment_status, amount, balance_amount, approved_at, canceled_at, failure_code,
           jsonb_array_length(coalesce(cancels, '[]'::jsonb)) as cancels, settled_at
    from payments
"""
_SUBSCRIPTIONS = "select customer_key, billing_key, status, canceled_at from subscriptions"
_SETTLEMENTS = "select settlement_key, status, order_id, amount, pay_out_amount, settled_at from settlements"


@dataclass(slots=True)
class Verdict:
    """What differs, one line each. lost: acknowledged and not there; doubled: there twice; wrong: not as expected."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.wrong)

    def __str__(self) -> str:
        parts = [
            f"{len(lines)} {name}: {'; '.join(lines[:MAX_SHOWN])}"
            for name, lines in (("lost", self.lost), ("doubled", self.doubled), ("wrong", self.wrong))
            if lines
        ]
        return " | ".join(parts) or "all as expected"


def missing(dsn: str, names: Iterable[str]) -> list[str]:
    """Of these names under which events are stored, those that are not there now."""
    with psycopg.connect(dsn) as connection:
        stored = {name for (name,) in connection.execute(f"select {_NAME} from webhook_events")}
    return sorted(set(names) - stored)


def judge(dsn: str, expected: Expected, acknowledged: Mapping[str, int]) -> Verdict:
    """The verdict on the tables; `acknowledged`: how often each event was answered with 200."""
    with psycopg.connect(dsn, row_factory=dict_row, autocommit=True) as connection:
        return compare(connection, expected, acknowledged)


def compare(connection: psycopg.Connection[Row], expected: Expected, acknowledged: Mapping[str, int]) -> Verdict:
    """The verdict on the tables as one connection sees them."""
    verdict = Verdict()
    _judge_events(connection, expected, acknowledged, verdict)
    for table, query, keys, rows in (
        ("payments", _PAYMENTS, ("order_id",), expected.payments),
        ("subscriptions", _SUBSCRIPTIONS, ("customer_key", "billing_key"), expected.subscriptions),
        ("settlements", _SETTLEMENTS, ("settlement_key",), expected.settlements),
    ):
        _judge_rows(connection, verdict, table, query, keys, rows)
    _try_to_double(connection, verdict)
    return verdict


def _judge_events(
    connection: psycopg.Connection[Row], expected: Expected, acknowledged: Mapping[str, int], verdict: Verdict
) -> None:
    rows = connection.execute(
        f"select {_NAME} as name, status, reason, processed, delivery_count from webhook_events"
    ).fetchall()
    counts = Counter(row["name"] for row in rows)
    answered = Counter[str]()
    for name, times in acknowledged.items():
        answered[expected.stored_as.get(name, name)] += times
    verdict.doubled += [f"event {name} ({count} rows)" for name, count in counts.items() if count > 1]
    verdict.lost += [f"event {name}" for name in expected.events if answered[name] and name not in counts]
    for row in rows:
        name, found = row["name"], (row["status"], row["reason"])
        if found != expected.events.get(name) or row["processed"] != (row["status"] in ("processed", "ignored")):
            verdict.wrong.append(f"event {name} is {found}, not {expected.events.get(name)}")
        elif row["delivery_count"] < answered[name] and counts[name] == 1:
            verdict.lost.append(f"delivery of {name}: {answered[name]} answered, {row['delivery_count']} counted")


def _judge_rows(
    connection: psycopg.Connection[Row],
    verdict: Verdict,
    table: str,
    query: str,
    keys: tuple[str, ...],
    expected: Mapping[Any, Row],
) -> None:
    found: dict[Any, Row] = {}
    for row in connection.execute(query):
        values = tuple(row.pop(name) for name in keys)
        key = values if len(values) > 1 else values[0]
        if key in found:
            verdict.doubled.append(f"{table} {key}")
        found[key] = row
    for key in sorted(expected.keys() | found.keys()):
        if key not in found:
            verdict.lost.append(f"{table} {key}")
        elif key not in expected:
            verdict.wrong.append(f"{table} {key} should not be there")
        elif differing := {
            name: (found[key][name], value) for name, value in expected[key].items() if found[key][name] != value
        }:
            verdict.wrong.append(f"{table} {key}: {differing} (found, expected)")


def _try_to_double(connection: psycopg.Connection[Row], verdict: Verdict) -> None:
    """Another writer, who knows nothing of our locks, stores an event once more: the database itself has to refuse."""
    with connection.transaction(force_rollback=True):
        try:
            doubled = connection.execute(
                "insert into webhook_events (event_key, event_type, payload, status)"
                " select event_key, event_type, payload, status from webhook_events limit 1"
            )
        except (psycopg.errors.UniqueViolation, psycopg.errors.DiskFull):  # the latter while a fault says so
            return
        if doubled.rowcount:
            verdict.doubled.append("an event that is stored past the function")
