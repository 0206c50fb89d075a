"""An event is found by the beginning of its id, or by its end, which lists show."""

import asyncio

import pytest

from supatoss.errors import NotAllowed
from supatoss.store.events import shorten_ids
from tests.database.store import DatabaseStore
from tests.database.support import Database, payment_event

FIRST = "a1b2c3d4-0000-4000-8000-000000000001"
SECOND = "a1b2c3d4-0000-4000-8000-00000000000f"
THIRD = "a1b2ffff-ffff-4fff-bfff-ffffffffffff"


@pytest.fixture
def store(database: Database) -> DatabaseStore:
    for number, identity in enumerate((FIRST, SECOND, THIRD), 1):
        database.record(payment_event("DONE", number, order=f"order-{number}", key=f"key-{number}"))
        database.connection.execute(
            "update webhook_events set id = %s, created_at = created_at + %s * interval '1 second' where order_id = %s",
            (identity, number, f"order-{number}"),
        )
    return DatabaseStore(database)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a1b2f", [THIRD]),
        (" A1B2FFFF-FF ", [THIRD]),
        ("a1b2ffffffff", [THIRD]),
        ("a1b2", [THIRD, SECOND, FIRST]),
        ("a1b2c3d4-0000-4000-8000-00000000000", [SECOND, FIRST]),
        (FIRST, [FIRST]),
        ("0000000f", [SECOND]),
        ("ffff", [THIRD]),
        ("-00000000000F", [SECOND]),
        ("400080000000000f", []),
        ("4000-8000-00000000000f", [SECOND]),
        ("a1b3", []),
        ("a1b", []),
        ("a1-b2", []),
        ("00-0f", []),
        ("order-1", []),
        ("%' or true --", []),
        ("", []),
    ],
)
def test_ids_that_begin_so_are_found_the_newest_first(store: DatabaseStore, text: str, found: list[str]) -> None:
    assert asyncio.run(store.find_event_ids(text)) == found


def test_one_that_begins_so_is_meant(store: DatabaseStore) -> None:
    assert asyncio.run(store.resolve_event_id("a1b2ff")) == THIRD


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a1b2c", f"a1b2c is a part of several events' ids: {SECOND}, {FIRST}"),
        ("eeee", "no event's id begins or ends with eeee"),
        ("a1b", "'a1b' is not an event's id, nor 4 or more characters of its end"),
        ("order-1", "'order-1' is not an event's id, nor 4 or more characters of its end"),
    ],
)
def test_anything_else_is_refused_with_its_reason(store: DatabaseStore, text: str, problem: str) -> None:
    with pytest.raises(NotAllowed) as raised:
        asyncio.run(store.resolve_event_id(text))
    assert str(raised.value) == problem


def test_the_first_of_many_are_named(store: DatabaseStore) -> None:
    store.database.connection.execute(
        "update webhook_events set id = overlay(id::text placing 'a1b2' from 1 for 4)::uuid"
    )
    for number in range(4, 8):
        store.database.record(payment_event("DONE", number, order=f"order-{number}", key=f"key-{number}"))
    store.database.connection.execute(
        "update webhook_events set id = overlay(id::text placing 'a1b2' from 1 for 4)::uuid"
    )
    with pytest.raises(NotAllowed, match=r"and more$") as raised:
        asyncio.run(store.resolve_event_id("a1b2"))
    assert str(raised.value).count("-") == 5 * 4


def test_shown_ids_are_as_long_as_it_takes_to_tell_them_apart() -> None:
    assert shorten_ids([FIRST, THIRD]) == {FIRST: "00000001", THIRD: "ffffffff"}
    other = FIRST.replace("-00000000", "-00010000")
    assert shorten_ids([FIRST, FIRST, other]) == {FIRST: "000000001", other: "100000001"}
    assert shorten_ids([]) == {}


def test_the_beginning_is_found_by_the_primary_key(database: Database) -> None:
    database.connection.execute(
        "insert into webhook_events (event_type, payload, created_at)"
        " select 'PAYMENT_STATUS_CHANGED', '{}', now() - n * interval '1 second' from generate_series(1, 2000) n"
    )
    database.connection.execute("analyze webhook_events")
    plan = database.rows(
        "explain select w.id from webhook_events w"
        " where w.id between '12340000-0000-0000-0000-000000000000'::uuid and '1234ffff-ffff-ffff-ffff-ffffffffffff'"
        " order by w.id desc limit 6"
    )
    assert "webhook_events_pkey" in " ".join(str(row) for row in plan)


def test_eight_digits_of_an_end_name_any_event_and_fewer_one_of_the_newest_20000(store: DatabaseStore) -> None:
    store.database.connection.execute(
        "insert into webhook_events (id, event_type, payload, created_at)"
        " select ('b0000000-0000-4000-9000-' || lpad(to_hex(n), 12, '0'))::uuid, 'X', '{}', now() + interval '1 minute'"
        " from generate_series(1048576, 1068575) n"
    )
    assert asyncio.run(store.find_event_ids("0000000f")) == [SECOND]
    assert asyncio.run(store.find_event_ids("000000000f")) == [SECOND]
    assert asyncio.run(store.find_event_ids("000000f")) == []


def test_the_end_is_found_by_its_index(store: DatabaseStore) -> None:
    (row,) = store.database.rows(
        "select prosrc, proconfig from pg_proc where oid = 'supatoss.event_ids_of_end(text, integer)'::regprocedure"
    )
    query = row["prosrc"].partition("return array(")[2].rpartition(");")[0]
    query = query.replace("p_digits", "'0000000f'").replace("p_max", "6")
    with store.database.connection.transaction(force_rollback=True):
        for setting in row["proconfig"]:
            name, _, value = setting.partition("=")
            store.database.connection.execute("select set_config(%s, %s, true)", (name, value))
        plan = " ".join(str(line) for line in store.database.rows(f"explain {query}"))
    assert "webhook_events_short_id_idx" in plan
