"""An event that is delivered again: what a new reading of it changes, and what a mere repetition does."""

import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.database.support import Database, Row, at, cancel, payment_event, record_of
from tests.database.test_worker_functions import claim, settle

WORN = """update webhook_events set attempts = 12, waiting_since = now() - interval '1 day', last_error = 'old',
          lease_token = gen_random_uuid(), lease_until = now() + interval '1 minute',
          next_attempt_at = now() + interval '1 hour'"""


def observation(status: str, second: int, *, event_key: str = "seen", **data: Any) -> Row:
    """The record of what Toss answered, asked at this second."""
    record = record_of(payment_event(status, second, **data))
    return record | {"event_key": event_key, "proof": "toss_api", "is_observation": True, "claim": None}


def disagreement(claimed: str, second: int = 0, *, cancels: tuple[str, ...] = ()) -> Row:
    """The record of a delivery that says more than Toss shows."""
    return observation("WAITING_FOR_DEPOSIT", second) | {
        "event_key": f"disagrees-{claimed}",
        "is_observation": False,
        "status": "pending",
        "reason": "toss_disagrees",
        "last_error": f"the delivery says {claimed}, Toss shows WAITING_FOR_DEPOSIT",
        "change": None,
        "claim": {"status": claimed, "secret_digest": None, "cancels": list(cancels), "created_at": None},
    }


def failed(record: Row, reason: str = "not_found") -> Row:
    return record | {"status": "failed", "reason": reason, "last_error": "old", "change": None}


def only(database: Database, columns: str = "*") -> Row:
    (row,) = database.rows(f"select {columns} from webhook_events")
    return row


def test_a_new_reading_of_an_unfinished_event_counts_whole(database: Database) -> None:
    new = observation("DONE", 30)
    old = failed(new) | {"payment_key": "placeholder-1", "proof": "signature", "is_observation": False}
    database.record_records([old | {"payload": '{"old": true}', "occurred_at": at(5, offset=True)}])
    (outcome,) = database.record_records([new])
    assert (outcome["outcome"], outcome["status"], outcome["reason"]) == ("duplicate", "processed", None)
    event = only(database)
    assert (event["payment_key"], event["proof"], event["last_error"]) == ("key-1", "toss_api", None)
    assert event["occurred_at"].isoformat() == "2026-03-14T00:00:30+00:00"
    assert event["payload"]["data"]["status"] == "DONE"
    assert (database.payment()["payment_key"], database.payment()["payment_status"]) == ("key-1", "DONE")


def test_a_new_reading_that_is_no_observation_keeps_time_and_payload(database: Database) -> None:
    old = failed(record_of(payment_event("DONE", 5)))
    database.record_records([old])
    new = old | {"status": "processed", "reason": None, "change": record_of(payment_event("DONE", 5))["change"]}
    database.record_records([new | {"occurred_at": at(50, offset=True), "payload": '{"new": true}'}])
    event = only(database)
    assert event["occurred_at"].isoformat() == "2026-03-14T00:00:05+00:00"
    assert "new" not in event["payload"]


def test_an_order_that_a_reading_does_not_name_stays(database: Database) -> None:
    database.record_records([failed(observation("DONE", 5))])
    database.record_records([failed(observation("DONE", 6)) | {"order_id": None, "payment_key": None}])
    assert (only(database)["order_id"], only(database)["payment_key"]) == ("order-1", "key-1")


@pytest.mark.parametrize("status", ["failed", "pending"])
def test_an_event_that_waits_again_has_all_its_tries_again(database: Database, status: str) -> None:
    waiting = failed(record_of(payment_event("DONE", 5))) | {"status": status, "reason": "check_deposit"}
    database.record_records([waiting])
    database.connection.execute(WORN)
    database.record_records([waiting | {"status": "pending"}])
    row = only(
        database, "attempts, waiting_since = last_delivered_at as anew, next_attempt_at = last_delivered_at as due"
    )
    assert row == {"attempts": 0, "anew": True, "due": True}


def test_an_event_that_a_reading_finishes_is_nobody_s_work(database: Database) -> None:
    database.record_records([failed(observation("DONE", 5)) | {"status": "pending"}])
    database.connection.execute(WORN)
    database.record_records([observation("DONE", 5)])
    row = only(database, "attempts, last_error, lease_token, lease_until, next_attempt_at")
    assert row == dict.fromkeys(row) | {"attempts": 0}


def test_a_claim_that_is_repeated_makes_us_ask_no_faster(database: Database) -> None:
    database.record_records([disagreement("DONE")])
    (claimed,) = claim(database)
    settle(database, claimed, status="pending", delay_seconds=3600)
    before = only(database, "attempts, waiting_since, next_attempt_at")
    for _ in range(3):
        (outcome,) = database.record_records([disagreement("DONE", 9)])
        assert (outcome["status"], outcome["reason"]) == ("pending", "toss_disagrees")
    assert only(database, "attempts, waiting_since, next_attempt_at") == before
    assert only(database)["delivery_count"] == 4
    assert claim(database) == []


def test_a_claim_that_nothing_bears_out_is_no_backlog(database: Database) -> None:
    database.record_records([disagreement("DONE")])
    database.connection.execute(WORN)
    assert database.call("select supatoss_oldest_waiting_seconds_v1()") is None
    assert database.rows("select pending, oldest_waiting_seconds from webhook_health") == [
        {"pending": 1, "oldest_waiting_seconds": None}
    ]


@pytest.mark.parametrize("end", ["ignored", "processed"])
def test_a_question_that_has_ended_is_asked_anew_when_it_is_claimed_anew(database: Database, end: str) -> None:
    database.record_records([disagreement("DONE")])
    (claimed,) = claim(database)
    settle(database, claimed, status=end, reason="not_borne_out" if end == "ignored" else None)
    assert database.rows("select 1 from payments") == []
    (outcome,) = database.record_records([disagreement("DONE", 9)])
    assert (outcome["outcome"], outcome["status"], outcome["reason"]) == ("duplicate", "pending", "toss_disagrees")
    (claimed,) = claim(database)
    assert (claimed["attempts"], claimed["claim"]["status"]) == (1, "DONE")


def test_what_an_operator_set_aside_stays_so(database: Database) -> None:
    record = disagreement("DONE")
    database.record_records([record])
    event = str(only(database)["id"])
    database.call("select ignore_webhook_events_v1(%s, 'no', 'kim', false)", f'["{event}"]')
    (outcome,) = database.record_records([record])
    assert (outcome["status"], outcome["reason"]) == ("ignored", "operator")


def test_the_same_state_seen_later_is_true_as_of_later(database: Database) -> None:
    """Toss took the deposit back and gave it again: the second DONE is the event of the first."""
    seen = [observation("DONE", 10, event_key="done"), observation("WAITING_FOR_DEPOSIT", 20, event_key="waiting")]
    database.record_records(seen)
    assert database.payment()["payment_status"] == "WAITING_FOR_DEPOSIT"
    database.record_records([observation("DONE", 30, event_key="done", approvedAt=at(10, offset=True))])
    assert database.payment()["payment_status"] == "DONE"
    database.record_records([observation("DONE", 15, event_key="done")])
    assert database.payment()["payment_status"] == "DONE"


@pytest.mark.parametrize("order", list(itertools.permutations(range(5))), ids=str)
def test_what_is_seen_in_any_order_ends_as_it_was_seen_last(database: Database, order: tuple[int, ...]) -> None:
    seen = [("waiting", 0), ("done", 10), ("waiting", 20), ("done", 30), ("waiting", 25)]
    status = {"waiting": "WAITING_FOR_DEPOSIT", "done": "DONE"}
    for index in order:
        key, second = seen[index]
        database.record_records([observation(status[key], second, event_key=key, approvedAt=at(10, offset=True))])
    assert database.payment()["payment_status"] == "DONE"
    assert len(database.rows("select 1 from webhook_events where status = 'processed'")) == 2


def test_a_mismatch_seen_later_stays_a_mismatch_and_moves(database: Database) -> None:
    database.insert_payment(amount=9900)
    for second in (10, 30, 20):
        (outcome,) = database.record_records([observation("DONE", second)])
        assert (outcome["status"], outcome["reason"]) == ("failed", "amount_mismatch")
    assert only(database)["occurred_at"].isoformat() == "2026-03-14T00:00:30+00:00"
    assert database.payment()["payment_status"] == "PENDING"


READINGS = [
    observation("DONE", 10),
    observation("DONE", 30),
    failed(observation("DONE", 20)) | {"is_observation": False},
    failed(observation("DONE", 20), "check_deposit") | {"status": "pending", "is_observation": False},
]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(readings=st.lists(st.sampled_from(READINGS), min_size=2, max_size=5))
def test_readings_in_one_batch_are_readings_one_by_one(database: Database, readings: list[Row]) -> None:
    columns = "status, reason, last_error, occurred_at, change, payment_key, delivery_count"
    results = []
    for batches in ([[reading] for reading in readings], [readings]):
        database.clear()
        for batch in batches:
            database.record_records(batch)
        results.append((only(database, columns), database.projection()))
    assert results[1] == results[0]


def test_the_last_reading_of_a_batch_counts(database: Database) -> None:
    first, last = failed(observation("DONE", 10)), failed(observation("DONE", 20), "malformed")
    outcomes = database.record_records([first, last])
    assert [(outcome["outcome"], outcome["reason"]) for outcome in outcomes] == [
        ("created", "malformed"),
        ("duplicate", "malformed"),
    ]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_an_orphan_that_is_awakened_is_as_if_it_had_come_last(database: Database, order: tuple[int, int]) -> None:
    events = [payment_event("CANCELED", 40, order="", cancels=[cancel("t", 10000, 40)]), payment_event("DONE", 10)]
    for index in order:
        database.record(events[index])
        if index == 0:
            claim(database)
            database.connection.execute("update webhook_events set last_error = 'x' where status = 'pending'")
    rows = database.rows(
        """select status, reason, last_error, attempts, lease_token, lease_until, next_attempt_at, order_id
           from webhook_events"""
    )
    finished = dict.fromkeys(rows[0]) | {"status": "processed", "attempts": 0, "order_id": "order-1"}
    assert rows == [finished, finished]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_failed_event_sent_again_ends_as_in_any_other_order(database: Database, order: tuple[int, ...]) -> None:
    steps = [observation("DONE", 10), failed(observation("DONE", 10)), observation("DONE", 20)]
    for index in order:
        database.record_records([steps[index]])
    row = only(database, "status, reason, last_error, attempts, occurred_at")
    assert row.pop("occurred_at").isoformat() == "2026-03-14T00:00:20+00:00"
    assert row == {"status": "processed", "reason": None, "last_error": None, "attempts": 0}


def test_a_processed_event_that_is_read_by_another_state_keeps_its_time(database: Database) -> None:
    waiting = record_of(payment_event("WAITING_FOR_DEPOSIT", 0))
    database.record_records([waiting, record_of(payment_event("DONE", 10))])
    later = record_of(payment_event("DONE", 20)) | {"event_key": waiting["event_key"], "is_observation": True}
    database.record_records([later])
    assert database.payment()["payment_status"] == "DONE"
    (row,) = database.rows("select change from webhook_events where event_key = %s", waiting["event_key"])
    assert row["change"]["status"] == "WAITING_FOR_DEPOSIT"
