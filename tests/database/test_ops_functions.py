"""What the operators' page reads: right, by index, and without a secret."""

import json

import pytest

from tests.database.support import Database, Row, cancel, payment_event

SECRET = "ps_a_secret_that_nobody_may_read"
BILLING_KEY = "billing_key_that_nobody_may_read"
ACCOUNT = "X6505636518308"


def overview(database: Database, hours: int = 24) -> Row:
    return dict(database.call("select supatoss_ops_overview_v1(%s)", hours))


def payment(database: Database, order: str) -> Row:
    return dict(database.call("select supatoss_ops_payment_v1(%s)", order))


def rows(database: Database, order: str | None = None, event_type: str | None = None) -> Row:
    (event,) = database.rows(
        "select id from webhook_events "
        "where order_id is not distinct from %s and (%s::text is null or event_type = %s)",
        order,
        event_type,
        event_type,
    )
    return dict(database.call("select supatoss_ops_rows_v1(%s)", event["id"]))


def test_an_empty_inbox_has_an_overview(database: Database) -> None:
    shown = overview(database)
    assert shown["hours"] == shown["types"] == []
    assert shown["pending"] == {"events": 0, "oldest": None}
    assert shown["failed"] == {"events": 0, "oldest": None, "reasons": []}


def test_the_overview_counts_events_and_deliveries_by_hour_and_outcome(database: Database) -> None:
    database.record(payment_event("DONE", 1))
    database.record(payment_event("DONE", 1))
    database.record({"eventType": "PROMOTION_CHANGED", "data": {}})
    database.record(payment_event("DONE", 2, order="order-2", key="key-2"))
    database.connection.execute(
        "update webhook_events set created_at = date_trunc('hour', now()) - interval '3 hours' "
        "where order_id = 'order-2'"
    )
    shown = overview(database)
    counted = {(item["hour"] == shown["hours"][-1]["hour"], item["status"]): item for item in shown["hours"]}
    assert {key: (item["events"], item["deliveries"]) for key, item in counted.items()} == {
        (True, "processed"): (1, 2),
        (True, "ignored"): (1, 1),
        (False, "processed"): (1, 1),
    }
    assert shown["types"] == [
        {"event_type": "PAYMENT_STATUS_CHANGED", "events": 2, "failed": 0},
        {"event_type": "PROMOTION_CHANGED", "events": 1, "failed": 0},
    ]


def test_the_overview_ends_where_its_period_begins(database: Database) -> None:
    database.record(payment_event("DONE", 1))
    database.connection.execute("update webhook_events set created_at = now() - interval '25 hours'")
    assert overview(database, 24)["hours"] == []
    assert len(overview(database, 168)["hours"]) == 1
    assert len(overview(database, 10**6)["hours"]) == 1


def test_the_hours_are_whole_ones_whatever_the_time_zone_of_the_database(database: Database) -> None:
    database.record(payment_event("DONE", 1))
    with database.connection.transaction():
        database.connection.execute("set local timezone = 'Asia/Kolkata'")  # half an hour beside
        shown = overview(database)
    assert shown["hours"][0]["hour"].endswith(":00:00+00:00")
    assert shown["since"].endswith(":00:00+00:00")


def test_the_overview_names_what_failed_and_what_waits_longest(database: Database) -> None:
    database.connection.execute(
        "insert into payments (order_id, payment_key, order_name, amount, payment_status) "
        "values ('order-1', 'placeholder', 'x', 1, 'PENDING')"
    )
    database.record(payment_event("DONE", 1))
    database.record(
        payment_event("DONE", 1, order="order-2", key="a"), payment_event("DONE", 9, order="order-2", key="b")
    )
    database.record({"eventType": "CANCEL_STATUS_CHANGED", "data": {"transactionKey": "t", "cancelStatus": "DONE"}})
    shown = overview(database)
    assert shown["failed"]["events"] == 2
    assert shown["failed"]["reasons"] == [
        {"reason": "amount_mismatch", "events": 1},
        {"reason": "double_charge", "events": 1},
    ]
    assert shown["pending"]["events"] == 1
    assert shown["pending"]["oldest"] is not None


def test_unfinished_events_are_counted_up_to_a_thousand(database: Database) -> None:
    database.connection.execute(
        "insert into webhook_events (event_type, payload, status, created_at) "
        "select 'X', '{}', 'failed', now() - n * interval '1 minute' from generate_series(1, 1200) n"
    )
    assert overview(database)["failed"]["events"] == 1000


RUN = """
  with run as (
    insert into supatoss.reconciliations
      (kind, started_by, first_day, last_day, day, closes_at, status, finished_at, compared, incomplete)
    values (%s, 'operator', '2026-03-13', '2026-03-14', '2026-03-14', '2026-03-14T15:00Z', 'finished', now(), 7, %s)
    returning id)
  insert into supatoss.reconciliation_findings (reconciliation_id, subject, kind, day, ours, theirs, outcome)
  select id, 'key-' || f.outcome || f.n, 'missing', f.day::date, '{}', '{}', f.outcome from run,
    (values ('found', '2026-03-13', 1), ('found', '2026-03-14', 2), ('needs_person', '2026-03-14', 3),
            ('repaired', '2026-03-14', 4), ('resolved', '2026-03-14', 5)) as f (outcome, day, n)
"""


def test_the_overview_shows_the_last_reconciliation_and_what_is_open(database: Database) -> None:
    assert overview(database)["reconciliation"] is None
    assert overview(database)["differences"] == {"open": 0, "needs_person": 0}
    database.connection.execute(RUN, ["payments", "{}"])
    shown = overview(database)
    assert (shown["reconciliation"]["first_day"], shown["reconciliation"]["incomplete"]) == ("2026-03-13", {})
    assert shown["differences"] == {"open": 3, "needs_person": 1}


def test_the_page_of_reconciliations_has_runs_and_open_differences(database: Database) -> None:
    database.connection.execute(RUN, ["payments", '{"key 2 (…wxyz)": "UNAUTHORIZED_KEY"}'])
    shown = database.call("select supatoss_ops_reconciliations_v1(null)")
    (run,) = shown["runs"]
    assert (run["found"], run["repaired"], run["open"], run["compared"]) == (5, 1, 3, 7)
    assert run["incomplete"] == {"key 2 (…wxyz)": "UNAUTHORIZED_KEY"}
    assert [(item["day"], item["subject"]) for item in shown["findings"]] == [
        ("2026-03-14", "key-found2"),
        ("2026-03-14", "key-needs_person3"),
        ("2026-03-13", "key-found1"),
    ]
    assert (shown["open"], shown["uncompared"]) == (3, {"total": 0, "days": []})
    of_day = database.call("select supatoss_ops_reconciliations_v1('2026-03-13')")
    assert ([item["subject"] for item in of_day["findings"]], of_day["open"]) == (["key-found1"], 3)


def test_open_differences_are_facts_for_alerts(database: Database) -> None:
    database.connection.execute(RUN, ["payments", "{}"])
    database.connection.execute(RUN, ["settlements", "{}"])

    def facts(max_items: int) -> Row:
        return dict(database.call("select supatoss_read_alert_facts_v1(%s)", max_items)["reconciliation"])

    both = [
        {"day": "2026-03-13", "findings": 1, "kinds": {"missing": 1}},
        {"day": "2026-03-14", "findings": 2, "kinds": {"missing": 2}},
    ]
    assert facts(20)["days"] == both
    assert facts(20)["kinds"] == {"missing": 3}
    assert facts(20)["reconciled_at"] is not None
    assert facts(1)["days"] == both[1:]
    # An alert stays open for as long as it is true, whatever number of newer days differ.
    database.connection.execute(
        """insert into supatoss.alerts (rule, subject, started_at, seen_at)
           values ('reconciliation_difference', '2026-03-13', now(), now())"""
    )
    assert facts(1)["days"] == both


def test_events_that_an_adopted_inbox_had_before_begin_nothing(database: Database) -> None:
    def uncompared() -> list[str]:
        return list(database.call("select supatoss_uncompared_days_v1('2026-03-14', 9)")["days"])

    database.record(payment_event("DONE", 1), payment_event("DONE", 2, order="order-2", key="key-2"))
    move = "update webhook_events set created_at = %s where order_id = %s"
    database.connection.execute(move, ["2026-03-11T12:00+09:00", "order-1"])
    database.connection.execute(move, ["2026-03-13T00:00+09:00", "order-2"])
    assert uncompared() == ["2026-03-14", "2026-03-13", "2026-03-12", "2026-03-11"]
    database.connection.execute(
        "insert into supatoss.adopted_tables values ('public.webhook_events', '2026-03-12T00:00+09:00')"
    )
    assert uncompared() == ["2026-03-14", "2026-03-13"]


def _story(database: Database) -> None:
    account = {"accountNumber": ACCOUNT, "customerName": "김토스", "dueDate": "2026-03-20T23:59:59+09:00"}
    first, second = cancel("c1", 1000, 3), cancel("c2", 500, 4)
    database.record(
        payment_event("PARTIAL_CANCELED", 4, cancels=[first, second], balanceAmount=8500, secret=SECRET),
        payment_event("WAITING_FOR_DEPOSIT", 1, method="가상계좌", virtualAccount=account, secret=SECRET),
        payment_event("DONE", 2, method="가상계좌", secret=SECRET),
        payment_event("PARTIAL_CANCELED", 3, cancels=[first], balanceAmount=9000),
        {
            "eventType": "SETTLEMENT_COMPLETED",
            "createdAt": "2026-03-17T09:00:00",
            "data": {"orderId": "order-1", "amount": 8500, "fee": 255, "payOutAmount": 8245, "settlementKey": "s1"},
        },
    )


def test_the_events_of_an_order_are_listed_in_order_of_occurrence(database: Database) -> None:
    _story(database)
    story = payment(database, "order-1")
    assert [event["payment_status"] for event in story["events"]] == [
        "WAITING_FOR_DEPOSIT",
        "DONE",
        "PARTIAL_CANCELED",
        "PARTIAL_CANCELED",
        "COMPLETED",
    ]
    assert [[item["key"] for item in event["cancels"]] for event in story["events"]] == [
        [],
        [],
        ["c1"],
        ["c1", "c2"],
        [],
    ]
    assert story["payment"]["balance"] == "8500"
    assert story["payment"]["due_at"] is not None
    assert [row["fee"] for row in story["settlements"]] == ["255"]
    assert story["has_more"] is False


def test_a_settlement_that_names_only_the_payment_is_part_of_the_story(database: Database) -> None:
    database.record(
        payment_event("DONE", 1),
        {
            "eventType": "SETTLEMENT_COMPLETED",
            "data": {"paymentKey": "key-1", "settlementKey": "s2", "payOutAmount": 9700},
        },
    )
    assert [row["settlement_key"] for row in payment(database, "order-1")["settlements"]] == ["settlement:s2"]


def test_a_long_story_shows_its_end(database: Database) -> None:
    database.connection.execute(
        "insert into webhook_events (event_type, payload, status, order_id, occurred_at) "
        "select 'X', '{}', 'ignored', 'order-1', now() - n * interval '1 minute' from generate_series(1, 205) n"
    )
    story = payment(database, "order-1")
    assert (len(story["events"]), story["has_more"]) == (200, True)
    times = [event["occurred_at"] for event in story["events"]]
    assert times == sorted(times)


def test_an_order_that_nobody_knows_has_no_story(database: Database) -> None:
    assert payment(database, "nobody") == {"payment": None, "settlements": [], "events": [], "has_more": False}


def test_an_events_rows_are_those_it_is_about(database: Database) -> None:
    database.record(payment_event("DONE", 1), payment_event("DONE", 1, order="order-2", key="key-2"))
    shown = rows(database, "order-1")
    assert shown["payment"]["order_id"] == "order-1"
    assert shown["settlements"] == shown["subscriptions"] == []


def test_a_billing_event_shows_the_customers_subscriptions_without_their_keys(database: Database) -> None:
    issued = {
        "eventType": "BILLING_KEY_ISSUED",
        "data": {"billingKey": BILLING_KEY, "customerKey": "customer-1", "issuedAt": "2026-03-14T09:00:00+09:00"},
    }
    database.record(issued)
    shown = rows(database, event_type="BILLING_KEY_ISSUED")
    (subscription,) = shown["subscriptions"]
    assert subscription["customer_key"] == "customer-1"
    assert subscription["uses_this_key"] is True
    assert BILLING_KEY not in json.dumps(shown)


def test_an_event_that_is_not_there_has_no_rows(database: Database) -> None:
    assert database.call("select supatoss_ops_rows_v1(%s)", "5e9f2d5a-0000-4000-8000-000000000001") is None


def test_nothing_secret_is_given_out(database: Database) -> None:
    _story(database)
    events = database.rows("select id from webhook_events")
    told = [payment(database, "order-1"), overview(database)]
    told += [database.call("select supatoss_ops_rows_v1(%s)", event["id"]) for event in events]
    text = json.dumps(told, ensure_ascii=False)
    assert [hidden for hidden in (SECRET, ACCOUNT, "김토스") if hidden in text] == []


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
def test_only_the_service_may_read_so(database: Database, role: str) -> None:
    functions = database.rows(
        "select oid::regprocedure::text as name, has_function_privilege(%s, oid, 'execute') as is_open "
        "from pg_proc where proname ~ '^supatoss_ops_|_for_operators$'",
        role,
    )
    assert len(functions) == 11
    assert [item["name"] for item in functions if item["is_open"] != (role == "service_role")] == []


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (
            "select count(*) from webhook_events w where w.created_at >= now() - interval '1 day'",
            "webhook_events_created_at_idx",
        ),
        (
            "select w.created_at from webhook_events w where w.status = 'pending' order by w.created_at limit 1000",
            "webhook_events_unfinished_created_at_idx",
        ),
        (
            "select w.reason from webhook_events w where w.status = 'failed' order by w.created_at desc limit 1000",
            "webhook_events_unfinished_created_at_idx",
        ),
        ("select * from webhook_events w where w.order_id = 'order-1'", "webhook_events_order_id_idx"),
        (
            "select * from webhook_events w where w.event_type = 'seller.changed' order by w.created_at desc limit 9",
            "webhook_events_other_types_idx",
        ),
        (
            "select * from webhook_events w where w.reason in ('double_charge') order by w.created_at desc limit 51",
            "webhook_events_reason_idx",
        ),
        (
            "select * from webhook_events w where w.status in ('ignored') order by w.created_at desc limit 51",
            "webhook_events_ignored_idx",
        ),
        ("select * from settlements s where s.order_id = 'order-1'", "settlements_order_id_idx"),
        ("select * from settlements s where s.payment_key = 'key-1'", "settlements_payment_key_idx"),
    ],
)
@pytest.mark.usefixtures("commits")
def test_what_the_functions_ask_is_answered_by_an_index(database: Database, query: str, index: str) -> None:
    with database.connection.transaction():
        database.connection.execute("set local enable_seqscan = off")
        plan = "\n".join(row["QUERY PLAN"] for row in database.rows(f"explain {query}"))
    assert index in plan
    assert "Seq Scan" not in plan
    assert "Sort" not in plan


def test_the_overview_shows_the_oldest_open_alerts(database: Database) -> None:
    assert overview(database)["alerts"] == []
    database.connection.execute(
        """insert into supatoss.alerts (rule, subject, started_at, seen_at, ended_at)
           select 'backlog', n::text, now() - n * interval '1 hour', now(), case when n = 25 then now() end
           from generate_series(1, 25) n"""
    )
    shown = overview(database)["alerts"]
    assert [alert["subject"] for alert in shown] == [str(number) for number in range(24, 4, -1)]
    assert set(shown[0]) == {"rule", "subject", "started_at"}
