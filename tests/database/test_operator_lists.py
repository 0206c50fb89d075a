"""The lists of the operators' page: pages by keyset, filters, searches, and no secret in a row."""

import json
from typing import Any

import pytest

from tests.database.support import Database, Row

PAYMENTS = """
  insert into payments (order_id, payment_key, order_name, amount, payment_status, created_at)
  select 'order-' || n, 'key-' || n, case when n % 10 = 0 then '원두 1kg' else '캠핑 의자' end, 1000 * n,
         case when n % 4 = 0 then 'CANCELED' else 'DONE' end, '2026-03-01T00:00Z'::timestamptz + n * interval '1 hour'
  from generate_series(1, 60) n
"""


def read(database: Database, name: str, **query: Any) -> Row:
    return dict(database.call("select supatoss_ops_list_v1(%s)", json.dumps({"list": name, **query})))


def orders(page: Row) -> list[str]:
    return [row["order_id"] for row in page["rows"]]


def test_pages_follow_each_other_and_end(database: Database) -> None:
    database.connection.execute(PAYMENTS)
    first = read(database, "payments", limit=25)
    second = read(database, "payments", limit=25, after=first["next"])
    third = read(database, "payments", limit=25, after=second["next"])
    assert [*orders(first), *orders(second), *orders(third)] == [f"order-{n}" for n in range(60, 0, -1)]
    assert (third["next"], third["searched_until"]) == (None, None)


def test_a_page_that_is_exactly_full_is_the_last_one(database: Database) -> None:
    database.connection.execute(PAYMENTS)
    assert read(database, "payments", limit=60)["next"] is None
    assert read(database, "payments", limit=59)["next"] is not None


def test_rows_of_one_moment_are_each_on_one_page(database: Database) -> None:
    database.connection.execute(PAYMENTS)
    database.connection.execute("update payments set created_at = '2026-03-01'")
    first = read(database, "payments", limit=30)
    second = read(database, "payments", limit=30, after=first["next"])
    assert len({*orders(first), *orders(second)}) == 60


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"status": "CANCELED"}, 15),
        ({"status": "READY"}, 0),
        ({"from": "2026-03-01T10:00Z", "until": "2026-03-01T20:00Z"}, 10),
        ({"search": "order-7"}, 1),
        ({"search": "key-12"}, 1),
        ({"search": "ORDER-1"}, 11),  # in part, whatever its case
        ({"search": "원두"}, 6),
        ({"search": "원두", "status": "CANCELED"}, 3),
        ({"search": "5000", "amount": "5000"}, 1),
        ({"search": "%"}, 0),
        ({"search": "o'rder\\"}, 0),
    ],
)
def test_conditions_narrow_the_list(database: Database, query: Row, count: int) -> None:
    database.connection.execute(PAYMENTS)
    assert len(read(database, "payments", **query)["rows"]) == count


def test_a_search_looks_through_a_limited_number_of_rows_and_says_so(database: Database) -> None:
    database.connection.execute(PAYMENTS.replace("series(1, 60)", "series(1, 30000)"))
    first = read(database, "payments", search="der-2 ", limit=5)
    assert first["rows"] == []
    assert first["searched_until"].startswith("2027-")
    second = read(database, "payments", search="der-17", limit=500, after=first["next"])
    assert (second["searched_until"], second["next"]) == (None, None)
    assert orders(second)[-1] == "order-17"
    # A key in full is found however old it is.
    assert orders(read(database, "payments", search="order-2")) == ["order-2"]


def test_subscriptions_are_listed_without_their_billing_keys(database: Database) -> None:
    database.connection.execute(
        """insert into subscriptions (customer_key, billing_key, status, tier, started_at, current_period_start,
                                      current_period_end, amount)
           values ('customer-1', 'billing_secret', 'ACTIVE', 'pro', now(), now(), now() + interval '30 days', 9900)"""
    )
    page = read(database, "subscriptions", search="customer-1", status="ACTIVE")
    assert [row["amount"] for row in page["rows"]] == ["9900"]
    assert "billing_secret" not in json.dumps(page)
    assert read(database, "subscriptions", search="billing_secret")["rows"] == []


def test_settlements_are_found_by_what_was_paid_out(database: Database) -> None:
    database.record(
        {
            "eventType": "SETTLEMENT_COMPLETED",
            "createdAt": "2026-03-17T09:00:00",
            "data": {"orderId": "order-1", "amount": 8500, "fee": 255, "payOutAmount": 8245, "settlementKey": "s1"},
        }
    )
    (row,) = read(database, "settlements", search="8245", amount="8245")["rows"]
    assert (row["order_id"], row["fee"]) == ("order-1", "255")
    assert read(database, "settlements", search="8246", amount="8246")["rows"] == []


def test_alerts_are_open_or_ended(database: Database) -> None:
    database.connection.execute(
        """insert into supatoss.alerts (rule, subject, started_at, seen_at, ended_at)
           values ('backlog', '', now(), now(), null), ('silence', '', now() - interval '1 day', now(), now())"""
    )
    assert [row["rule"] for row in read(database, "alerts")["rows"]] == ["backlog", "silence"]
    assert [row["rule"] for row in read(database, "alerts", status="open")["rows"]] == ["backlog"]
    assert [row["rule"] for row in read(database, "alerts", status="ended")["rows"]] == ["silence"]


def test_refused_deliveries_are_listed_without_their_bodies(database: Database) -> None:
    delivery = {"reason": "invalid_signature", "http_status": 401, "source_address": "192.0.2.7", "body": "a secret"}
    database.call("select supatoss_note_refused_v1(%s)", json.dumps([delivery, {**delivery, "reason": "not_json"}]))
    page = read(database, "refused", status="not_json", search="192.0.2")
    assert [row["reason"] for row in page["rows"]] == ["not_json"]
    assert "a secret" not in json.dumps(page)
    first = read(database, "refused", limit=1)
    assert [row["reason"] for row in read(database, "refused", after=first["next"])["rows"]] == ["invalid_signature"]


def test_there_is_no_other_list(database: Database) -> None:
    with pytest.raises(Exception, match="there is no list webhook_events"):
        read(database, "webhook_events")


@pytest.mark.parametrize(
    ("table", "at", "status", "indexes"),
    [
        ("payments", "created_at", "payment_status", ("payments_created_at_idx", "payments_status_created_at_idx")),
        ("subscriptions", "created_at", "status", ("subscriptions_created_at_idx", "subscriptions_status_created_at_")),
        ("settlements", "occurred_at", "status", ("settlements_occurred_at_idx", "settlements_status_occurred_at_idx")),
        ("supatoss.alerts", "started_at", None, ("alerts_started_at_idx",)),
    ],
)
@pytest.mark.usefixtures("commits")
def test_every_page_is_answered_by_an_index(
    database: Database, table: str, at: str, status: str | None, indexes: tuple[str, ...]
) -> None:
    conditions = ["true", *([f"t.{status} = 'X'"] if status else [])]
    behind = f"(t.{at}, t.id) < (now(), '00000000-0000-0000-0000-000000000000')"
    for condition, index in zip(conditions, indexes, strict=True):
        query = f"select * from {table} t where {condition} and {behind} order by t.{at} desc, t.id desc limit 51"
        with database.connection.transaction():
            database.connection.execute("set local enable_seqscan = off")
            plan = "\n".join(row["QUERY PLAN"] for row in database.rows(f"explain {query}"))
        assert index in plan, plan
        assert "Seq Scan" not in plan
