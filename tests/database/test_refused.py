"""The log of deliveries that were not believed: the newest 1,000, whatever is in them."""

import json
from typing import Any

import psycopg
import pytest

from tests.database.support import Database, Row


@pytest.fixture
def empty(database: Database) -> Database:
    database.connection.execute("delete from supatoss.refused_deliveries")
    return database


def refused(number: int = 1, **fields: Any) -> Row:
    return {
        "received_at": "2026-03-14T09:00:00+09:00",
        "event_type": "PAYMENT_STATUS_CHANGED",
        "reason": "unknown_to_toss",
        "http_status": 401,
        "source_address": "203.0.113.9",
        "body": f'{{"n": {number}}}',
        **fields,
    }


def note(database: Database, *deliveries: Row) -> int:
    return int(database.call("select supatoss_note_refused_v1(%s)", json.dumps(deliveries)))


def read(database: Database, most: int = 10, before: int | None = None) -> list[Row]:
    return list(database.call("select supatoss_read_refused_v1(%s, %s)", most, before))


def test_refused_deliveries_are_read_newest_first_and_page_by_page(empty: Database) -> None:
    assert note(empty, *(refused(number) for number in range(5))) == 5
    first = read(empty, 2)
    assert [row["body"] for row in first] == ['{"n": 4}', '{"n": 3}']
    assert [row["body"] for row in read(empty, 2, first[-1]["id"])] == ['{"n": 2}', '{"n": 1}']
    assert first[0].keys() == refused().keys() | {"id"}
    assert (first[0]["http_status"], first[0]["reason"]) == (401, "unknown_to_toss")


def test_the_newest_thousand_stay(empty: Database) -> None:
    for start in range(0, 1200, 400):
        note(empty, *(refused(number) for number in range(start, start + 400)))
    rows = read(empty, 5000)
    assert (len(rows), rows[0]["body"], rows[-1]["body"]) == (1000, '{"n": 1199}', '{"n": 200}')


@pytest.mark.parametrize("text", ["\x00", "\ud800", "\udc00x", "a\ud83d", "\\u0000"])
def test_what_is_no_text_to_postgresql_is_kept_without_it(empty: Database, text: str) -> None:
    assert note(empty, refused(1), refused(2, body=f"<{text}>", event_type=text), refused(3)) == 3
    assert [row["body"] for row in read(empty)][::2] == ['{"n": 3}', '{"n": 1}']
    assert read(empty)[1]["body"].startswith("<")


@pytest.mark.parametrize("fields", [{"reason": None}, {"http_status": "many"}, {"received_at": "soon"}])
def test_a_note_that_cannot_be_kept_costs_no_neighbour(empty: Database, fields: Row) -> None:
    assert note(empty, refused(1), refused(2, **fields), refused(3)) == 2
    assert len(read(empty)) == 2


def test_long_fields_are_cut(empty: Database) -> None:
    note(empty, refused(body="가" * 10000, event_type="x" * 999, source_address="y" * 999, reason="z" * 999))
    (row,) = read(empty)
    assert (len(row["body"]), len(row["event_type"])) == (8192, 200)


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_nobody_else_reads_them(empty: Database, role: str) -> None:
    with empty.connection.transaction(force_rollback=True):
        empty.connection.execute(f"set local role {role}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            empty.connection.execute("select 1 from supatoss.refused_deliveries")
