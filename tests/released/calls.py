"""The calls of a release: recorded with their answers when it is cut, and played against the schema of later ones.

Ids and times of a database differ each time. Where an answer has one, the later calls that repeat it get the new one.
"""

import asyncio
import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from supatoss.cli.doctor.access import ARGUMENTS
from supatoss.store import Store
from supatoss.store.client import Function
from tests.database.support import Database
from tests.released.story import tell

OF_THIS_DATABASE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*")
"""Ids and times, which another database has its own of."""

CLOSED = ("outcome", "status", "reason", "kind", "phase", "rule")
"""Fields with a closed set of values, by which callers decide."""

Call = dict[str, Any]


class Recorder(Store):
    """A store over psycopg that keeps every call: function, arguments as the Data API gets them, and answer."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.calls: list[Call] = []

    async def _answer(self, function: Function, arguments: Mapping[str, Any], tries: int) -> Any:
        answer = answer_of(self.database, function, arguments)
        self.calls.append({"function": function.value, "arguments": dict(arguments), "answer": answer})
        return answer


def answer_of(database: Database, function: str, arguments: Mapping[str, Any]) -> Any:
    """What a call answers; {"sqlstate": …} if the database refuses it."""
    marks = ", ".join(f"{name} => %s" for name in arguments)
    values = [
        [Jsonb(item) if isinstance(item, dict) else item for item in value] if isinstance(value, list) else value
        for value in arguments.values()
    ]
    try:
        answer = database.call(f"select public.{function}({marks})", *values)
        return _in_one_order(json.loads(json.dumps(answer, default=str)))
    except psycopg.Error as error:
        return {"sqlstate": error.sqlstate}


def _in_one_order(value: Any) -> Any:
    """Alerts that begin or end together come in any order: here by rule and subject."""
    if isinstance(value, list):
        items = [_in_one_order(item) for item in value]
        are_alerts = all(isinstance(item, dict) and {"rule", "subject"} <= item.keys() for item in items)
        return sorted(items, key=lambda item: (item["rule"], item["subject"] or "")) if are_alerts else items
    if isinstance(value, dict):
        return {name: _in_one_order(item) for name, item in value.items()}
    return value


def play(database: Database, calls: list[Call]) -> list[str]:
    """Makes recorded calls in their order. What an answer lacks or has otherwise, a line each."""
    found: list[str] = []
    replaced: dict[str, str] = {}
    for number, call in enumerate(calls, 1):
        arguments = json.loads(_replace(json.dumps(call["arguments"]), replaced))
        answer = answer_of(database, call["function"], arguments)
        found += [f"call {number}, {call['function']}: {line}" for line in differences(call["answer"], answer)]
        replaced |= dict(_pairs(call["answer"], answer))
    return found


def differences(recorded: Any, answer: Any, where: str = "the answer") -> Iterator[str]:
    """How an answer differs for its caller, which leaves out fields that it doesn't know (`read_row` of the store)."""
    if isinstance(recorded, dict) and isinstance(answer, dict):
        if missing := recorded.keys() - answer.keys():
            yield f"{where} lacks {sorted(missing)}"
        for name in recorded.keys() & answer.keys():
            yield from differences(recorded[name], answer[name], f"{where}.{name}")
            if name in CLOSED and isinstance(recorded[name], str) and answer[name] != recorded[name]:
                yield f"{where}.{name} is {answer[name]!r}, not {recorded[name]!r}"
    elif isinstance(recorded, list) and isinstance(answer, list):
        if len(recorded) != len(answer):
            yield f"{where} has {len(answer)} elements, not {len(recorded)}"
        for number, (before, after) in enumerate(zip(recorded, answer, strict=False)):
            yield from differences(before, after, f"{where}[{number}]")
    elif recorded is not None and _kind(recorded) != _kind(answer):
        yield f"{where} is {_kind(answer)}, not {_kind(recorded)}"


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "an object"


def _pairs(recorded: Any, answer: Any) -> Iterator[tuple[str, str]]:
    """Ids and times of the recorded answer, and what stands in their place in the new one."""
    if isinstance(recorded, dict) and isinstance(answer, dict):
        for name in recorded.keys() & answer.keys():
            yield from _pairs(recorded[name], answer[name])
    elif isinstance(recorded, list) and isinstance(answer, list):
        for before, after in zip(recorded, answer, strict=False):
            yield from _pairs(before, after)
    elif isinstance(recorded, str) and isinstance(answer, str) and OF_THIS_DATABASE.fullmatch(recorded):
        yield recorded, answer
        if (as_written := _as_python_writes(recorded)) != recorded:
            yield as_written, answer


def _as_python_writes(text: str) -> str:
    try:
        return dt.datetime.fromisoformat(text).isoformat()
    except ValueError:
        return text


def _replace(text: str, replaced: Mapping[str, str]) -> str:
    for before, after in replaced.items():
        text = text.replace(before, after)
    return text


def record(database: Database) -> list[Call]:
    """Plays the story of tests/released/story.py; then every function that it leaves out, with harmless arguments."""
    recorder = Recorder(database)
    asyncio.run(tell(recorder))
    told = {call["function"] for call in recorder.calls}
    for function in Function:
        if function.value not in told:
            asyncio.run(recorder._answer(function, ARGUMENTS[function], 1))
    return recorder.calls
