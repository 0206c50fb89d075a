"""What is kept of each delivery of an event: the first, and the newest 20 after it."""

from typing import Any

from tests.database.support import Database, Row, payment_event, record_of
from tests.database.test_rereading import disagreement, failed


def delivered(number: int, record: Row | None = None, **more: Any) -> Row:
    """A record as the service makes it of one delivery."""
    headers = {
        "transmission_id": f"t-{number}",
        "transmission_time": f"2026-03-14T00:{number:02}:00+00:00",
        "transmission_retried_count": number,
        "user_agent": "Toss/1.0",
    }
    return (record or record_of(payment_event("DONE", 1))) | headers | more


def deliveries(database: Database) -> list[Row]:
    (event,) = database.rows("select id from webhook_events")
    return list(database.call("select supatoss_ops_rows_v1(%s)", event["id"])["deliveries"])


def test_a_single_delivery_writes_nothing_beside_its_own_columns(database: Database) -> None:
    database.record_records([delivered(0)])
    (row,) = database.rows("select later_deliveries, transmission_user_agent from webhook_events")
    assert row == {"later_deliveries": None, "transmission_user_agent": "Toss/1.0"}
    (first,) = deliveries(database)
    assert (first["id"], first["retried"], first["user_agent"], first["effect"]) == ("t-0", 0, "Toss/1.0", "create")
    assert first["sent_at"] == "2026-03-14T00:00:00+00:00"


def test_each_later_one_is_kept_with_its_time_and_headers(database: Database) -> None:
    database.record_records([delivered(0)])
    database.record_records([delivered(1)])
    database.record_records([delivered(2, transmission_retried_count=None, user_agent=None)])
    first, second, third = deliveries(database)
    assert first["id"] == "t-0"
    at = second.pop("at")
    assert at
    assert second == {
        "id": "t-1",
        "sent_at": "2026-03-14T00:01:00+00:00",
        "retried": 1,
        "user_agent": "Toss/1.0",
        "effect": "count",
    }
    assert third.keys() == {"at", "id", "sent_at", "effect"}


def test_the_first_and_the_newest_20_after_it_are_kept(database: Database) -> None:
    for number in range(30):
        database.record_records([delivered(number)])
    kept = deliveries(database)
    assert [item["id"] for item in kept] == ["t-0", *(f"t-{number}" for number in range(10, 30))]
    (row,) = database.rows("select delivery_count, jsonb_array_length(later_deliveries) as later from webhook_events")
    assert row == {"delivery_count": 30, "later": 20}


def test_those_of_one_call_are_all_kept(database: Database) -> None:
    other = record_of(payment_event("DONE", 1, order="order-2", key="key-2"))
    database.record_records([delivered(0), delivered(9, other), delivered(1), delivered(2)])
    (row,) = database.rows("select id, transmission_id from webhook_events where order_id = 'order-1'")
    kept = database.call("select supatoss_ops_rows_v1(%s)", row["id"])["deliveries"]
    assert [item["id"] for item in kept] == ["t-0", "t-1", "t-2"]
    database.record_records([delivered(number) for number in range(3, 28)])
    kept = database.call("select supatoss_ops_rows_v1(%s)", row["id"])["deliveries"]
    assert [item["id"] for item in kept] == ["t-0", *(f"t-{number}" for number in range(8, 28))]


def test_they_say_what_each_meant_for_the_event(database: Database) -> None:
    database.record_records([delivered(0, failed(record_of(payment_event("DONE", 1))))])
    database.record_records([delivered(1)])
    assert [item["effect"] for item in deliveries(database)] == ["create", "reopen"]


def test_a_claim_that_waits_is_asked_about(database: Database) -> None:
    database.record_records([delivered(0, disagreement("DONE"))])
    database.record_records([delivered(1, disagreement("DONE"))])
    assert [item["effect"] for item in deliveries(database)] == ["create", "ask"]


def test_retention_empties_them(database: Database) -> None:
    database.record_records([delivered(0)])
    database.record_records([delivered(1)])
    database.connection.execute("update webhook_events set created_at = now() - interval '91 days'")
    assert database.call("select supatoss_empty_payloads_v1(90, 10)") == 1
    (row,) = database.rows("select later_deliveries, transmission_user_agent, delivery_count from webhook_events")
    assert row == {"later_deliveries": None, "transmission_user_agent": None, "delivery_count": 2}
