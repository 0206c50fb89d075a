"""Whatever JSON a signed body holds, it is stored so that every query runs, and what is honest in it counts."""

import asyncio
import json
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from supatoss.inbox.event import NewEvent, Proof
from supatoss.inbox.interpret import interpret
from supatoss.masking import mask_json
from supatoss.store.events import EventFilter
from supatoss.toss.delivery import read_body
from supatoss.toss.events import parse_event
from tests.database.store import DatabaseStore
from tests.database.support import RECEIVED_AT, Database, at
from tests.database.test_sql_editor import queries

MAX_GROWTH = 4
"""Of a payload's text against the body: jsonb writes a space after each comma and colon, and exponents out."""

NUMBERS = """webhook_events, jsonb_path_query(payload, '$.** ? (@.type() == "number")') as n"""
QUERIES = (
    "select payload::text from webhook_events",
    "select jsonb_pretty(payload) from webhook_events",
    "select payload ->> 'data', payload = payload::text::jsonb from webhook_events",
    "select change::text, jsonb_pretty(change), (change ->> 'amount')::numeric from webhook_events",
    "select * from payments",
    f"select sum((n #>> '{{}}')::numeric), count(*) from {NUMBERS}",
    f"select n::numeric::float8, n::text::float8 from {NUMBERS}",
    f"select jsonb_path_query(n, '$ * 2 + 0.5') from {NUMBERS}",
    "select jsonb_path_query(payload, '$.** ? (@.type() == \"number\").double()') from webhook_events",
)
numbers = st.from_regex(r"-?(0|[1-9][0-9]{0,60})(\.[0-9]{1,60})?([eE][+-]?[0-9]{1,7})?", fullmatch=True)
texts = st.text(max_size=5).map(json.dumps) | st.sampled_from((r'"\u0000"', r'"\ud800"', r'"\udfffx\u0000"'))
values = st.recursive(
    st.sampled_from(("null", "true", "[]", "{}")) | numbers | texts,
    lambda inner: (
        st.lists(inner, max_size=5).map(lambda items: f"[{','.join(items)}]")
        | st.lists(st.tuples(texts, inner), max_size=5).map(lambda items: f"{{{','.join(map(':'.join, items))}}}")
        | st.tuples(inner, st.integers(1, 70)).map(lambda deep: "[" * deep[1] + deep[0] + "]" * deep[1])
    ),
    max_leaves=15,
)


def body_of(value: str) -> bytes:
    """A paid order with a field of its own, with metadata that the buyer's browser may have set, and a cancel."""
    return (
        f'{{"eventType":"PAYMENT_STATUS_CHANGED","createdAt":"{at(1)}","x":{value},"data":{{"paymentKey":"key-1",'
        f'"orderId":"order-1","status":"PARTIAL_CANCELED","totalAmount":10000,"currency":"KRW","metadata":{{"x":{value}}},'
        f'"virtualAccount":{{"x":{value}}},"balanceAmount":9000,'
        f'"cancels":[{{"transactionKey":"t1","cancelAmount":1000,"x":{value}}}]}}}}'
    ).encode()


def record(database: Database, raw: bytes) -> dict[str, Any]:
    body = read_body(raw)
    event = parse_event(body.fields)
    meaning = interpret(event)
    (outcome,) = database.record_records([NewEvent(event, body, meaning, Proof.SIGNATURE, RECEIVED_AT).to_record()])
    return outcome


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=values)
@example(value="[" + ",".join(["1e131071"] * 2000) + "]")
@example(value="[" + ",".join(["1e-16383"] * 2000) + "]")
@example(value="[" + ",".join(["1e15"] * 2000) + "]")
@example(value="1" * 150_000)
@example(value="1e99999999999999999999")
@example(value="[" * 20_000 + "]" * 20_000)
@example(value="[" * 31 + ",".join(["[]"] * 2000) + "]" * 31)
@example(value=r'["\u0000","\ud800",{"\u0000":1,"\udfff":2}]')
def test_every_query_runs_and_the_payment_counts(database: Database, value: str) -> None:
    database.clear()
    raw = body_of(value)
    outcome = record(database, raw)
    assert (outcome["status"], outcome["reason"]) == ("processed", None)
    payment = database.payment()
    assert (payment["payment_status"], payment["amount"], payment["balance_amount"]) == (
        "PARTIAL_CANCELED",
        10000,
        9000,
    )
    (row,) = database.rows("select payload::text as payload, change::text as change from webhook_events")
    assert len(row["payload"].encode()) <= MAX_GROWTH * len(raw)
    assert len(row["change"].encode()) <= MAX_GROWTH * len(raw)
    for query in QUERIES:
        database.rows(query)
    assert record(database, raw)["outcome"] == "duplicate"


@pytest.mark.parametrize("value", ["[" + ",".join(["1e131071"] * 20_000) + "]", "[" * 99_000 + "]" * 99_000])
def test_the_cookbook_runs_and_the_page_opens(database: Database, value: str) -> None:
    outcome = record(database, body_of(value).replace(b"order-1", b"order-0001"))
    for query in queries("sql-editor.md"):
        database.rows(query.replace("%", "%%"))
    found = DatabaseStore(database).find_events(EventFilter(ids=(outcome["id"],)), limit=1, with_payload=True)
    (event,) = asyncio.run(found).events
    assert event.payload is not None
    assert "order-0001" in json.dumps(mask_json(event.payload))


def test_as_it_came_it_would_not_be_readable(database: Database) -> None:
    """Why all this: PostgreSQL takes such a number, and then no query that shows it runs."""
    with pytest.raises(psycopg.errors.ProgramLimitExceeded):
        database.rows("select jsonb_agg(1e131071)::text from generate_series(1, 10000)")
