"""The actual plans of the recording path: auto_explain shows the statements inside our function."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from psycopg import sql

from benchmarks.peers.capture import Call
from scripts.local_stack import StackError

_SEQ_SCAN = re.compile(r"Seq Scan on (\w+)")
_SETTINGS = (
    "load 'auto_explain'",
    "set auto_explain.log_min_duration = 0",
    "set auto_explain.log_nested_statements = on",
    "set auto_explain.log_analyze = on",
    "set auto_explain.log_timing = off",
    "set client_min_messages = log",
)


def explain(dsn: str, call: Call) -> list[str]:
    """The plan of every statement of one recording call, in order. The call is rolled back."""
    with psycopg.connect(dsn) as connection:
        query = query_of(connection, call)
    return plans_of(dsn, query)


def plans_of(dsn: str, statement: str, parameters: Sequence[Any] = (), role: str = "postgres") -> list[str]:
    """The plans of a statement and of all statements inside its functions, in order. It is rolled back."""
    plans: list[str] = []
    with psycopg.connect(dsn) as connection:
        for setting in _SETTINGS:
            connection.execute(setting)
        connection.execute(f"set role {role}")
        connection.add_notice_handler(lambda notice: plans.append(notice.message_primary or ""))
        connection.execute(statement, parameters or None)
        connection.rollback()
    return plans


def scanned_tables(plans: Iterable[str]) -> list[str]:
    """The tables that a plan reads entirely; none if every access uses an index."""
    return sorted({table for plan in plans for table in _SEQ_SCAN.findall(plan)})


def query_of(connection: psycopg.Connection, call: Call) -> str:
    """The captured call as a query."""
    types = argument_types(connection, call.function)
    given = [f"{name} => {_argument(value, types[name])}" for name, value in json.loads(call.body).items()]
    return f"select public.{call.function}({', '.join(given)})"


def argument_types(connection: psycopg.Connection, function: str) -> dict[str, str]:
    """The type of each argument of a function in public. StackError if there is none."""
    row = connection.execute(
        "select proargnames, proargtypes::oid[]::regtype[]::text[] from pg_proc where proname = %s", [function]
    ).fetchone()
    if row is None:
        raise StackError(f"the database has no function {function}")
    return dict(zip(row[0], row[1], strict=False))


def _argument(value: object, kind: str) -> str:
    if kind == "jsonb[]" and isinstance(value, list):
        return f"array[{', '.join(_literal(json.dumps(item, ensure_ascii=False)) for item in value)}]::jsonb[]"
    return f"{_literal(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))}::{kind}"


def _literal(text: str) -> str:
    return sql.Literal(text).as_string()
