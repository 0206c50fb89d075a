"""on_payment_changed: told of each change of an order once, in the transaction that makes it."""

import itertools
import json
import random
from collections.abc import Sequence
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.local_stack import MIGRATIONS
from supatoss.cli.naming import Naming, relations_of
from tests.database.support import Database, Row, at, cancel, payment_event, record_of
from tests.database.test_payment_fold import APPLICATION_ROWS, histories
from tests.database.test_races import Step
from tests.merchant.test_triggers import EVENTS, claim, finish, replay, waiting

HOOK = """
create function public.on_payment_changed(change text, before public.payments, after public.payments)
returns void language plpgsql as $$
begin
  if exists (select from refused r where r.change = on_payment_changed.change) then
    insert into told (change) values ('half of ' || change);
    raise exception 'no stock';
  end if;
  insert into told (order_id, change, status_before, status, balance_before, balance)
  values (after.order_id, change, before.payment_status, after.payment_status, before.balance_amount,
          after.balance_amount);
end $$;
"""
TABLES = """
create table told (
  id bigint generated always as identity, order_id text, change text, status_before text, status text,
  balance_before numeric, balance numeric);
create table refused (change text);
grant all on told, refused to service_role;
"""


@pytest.fixture
def hooked(database: Database) -> Database:
    database.connection.execute(TABLES + HOOK)
    return database


def told(database: Database, order: str = "order-1") -> list[str]:
    return [row["change"] for row in database.rows("select change from told where order_id = %s order by id", order)]


def account(second: int, **data: Any) -> Row:
    return payment_event("WAITING_FOR_DEPOSIT", second, virtualAccount={"accountNumber": "1"}, **data)


def partial(second: int, balance: int, *cancels: Row, **data: Any) -> Row:
    return payment_event("PARTIAL_CANCELED", second, balanceAmount=balance, cancels=list(cancels), **data)


DONE = payment_event("DONE", 10, balanceAmount=10000)
FIRST = cancel("t1", 3000, 20)
SECOND = cancel("t2", 2000, 30)
PART = partial(20, 7000, FIRST)
PARTS = partial(30, 5000, FIRST, SECOND)
CANCELED = payment_event("CANCELED", 40, balanceAmount=0, cancels=[FIRST, SECOND, cancel("t3", 5000, 40)])


@pytest.mark.parametrize(
    ("events", "changes"),
    [
        ([DONE], ["paid"]),
        ([account(5)], ["account_issued"]),
        ([account(5), DONE], ["account_issued", "paid"]),
        ([payment_event("ABORTED", 5)], ["failed"]),
        ([payment_event("EXPIRED", 5)], ["expired"]),
        ([payment_event("READY", 5)], []),
        ([payment_event("ABORTED", 5, key="key-0"), DONE], ["failed", "paid"]),
        ([DONE, PART, PARTS, CANCELED], ["paid", "part_refunded", "part_refunded", "refunded"]),
        ([PART], ["paid", "part_refunded"]),
        ([PARTS, PART, DONE], ["paid", "part_refunded"]),
        ([CANCELED], ["canceled"]),
        ([CANCELED, DONE], ["canceled"]),
        ([DONE, payment_event("EXPIRED", 20)], ["paid"]),
        ([account(5), DONE, account(20)], ["account_issued", "paid", "deposit_reversed"]),
        (
            [account(5), DONE, account(20), payment_event("DONE", 30)],
            ["account_issued", "paid", "deposit_reversed", "paid"],
        ),
        ([account(5), payment_event("DONE", 30), account(20), DONE], ["account_issued", "paid"]),
        # Another payment of the order, after the first was refunded.
        ([DONE, CANCELED, payment_event("DONE", 50, key="key-2")], ["paid", "refunded", "paid"]),
        # Two payments hold its money, and the first is given back: it is paid all the while.
        ([DONE, payment_event("DONE", 15, key="key-2"), CANCELED], ["paid"]),
        ([account(5), account(6, key="key-2")], ["account_issued", "account_issued"]),
        ([partial(20, 0, cancel("t1", 10000, 20))], ["canceled"]),
        ([DONE, partial(20, 0, cancel("t1", 10000, 20)), CANCELED], ["paid", "refunded"]),
    ],
)
def test_what_is_told(hooked: Database, events: list[Row], changes: list[str]) -> None:
    for event in events:
        hooked.record(event)
        assert {row["status"] for row in hooked.rows("select status from webhook_events")} <= {"processed", "failed"}
    assert told(hooked) == changes
    hooked.record(*events)
    hooked.record(*reversed(events))
    assert told(hooked) == changes


def test_in_one_call_only_what_came_of_it_is_told(hooked: Database) -> None:
    hooked.record(account(5), DONE, account(20), payment_event("EXPIRED", 30))
    assert told(hooked) == ["expired"]
    hooked.record(*[payment_event(status, 10, order="order-2", key="key-2") for status in ("DONE", "CANCELED")])
    assert told(hooked, "order-2") == ["canceled"]


def test_money_that_goes_back_is_told_before_the_end(hooked: Database) -> None:
    hooked.record(account(5))
    hooked.record(DONE)
    hooked.record(account(20), payment_event("EXPIRED", 30))
    assert told(hooked) == ["account_issued", "paid", "deposit_reversed", "expired"]


def test_the_row_before_and_after(hooked: Database) -> None:
    hooked.insert_payment()
    hooked.record(PART)
    hooked.record(PARTS)
    rows = hooked.rows("select status_before, status, balance_before, balance from told order by id")
    assert [tuple(row.values()) for row in rows] == [
        ("PENDING", "DONE", None, 10000),
        ("DONE", "PARTIAL_CANCELED", 10000, 7000),
        ("PARTIAL_CANCELED", "PARTIAL_CANCELED", 7000, 5000),
    ]


def test_of_an_order_that_nobody_stored_there_is_no_row_before(hooked: Database) -> None:
    hooked.connection.execute(
        """create or replace function on_payment_changed(change text, before payments, after payments) returns void
           language plpgsql as $$
           begin
             insert into told (order_id, change) values (after.order_id, (before is null)::text);
           end $$"""
    )
    hooked.record(DONE)
    assert told(hooked) == ["true"]


LEGAL = {
    None: {"account_issued", "failed", "expired", "paid", "canceled"},
    "account_issued": {"failed", "expired", "paid", "canceled"},
    "failed": {"paid", "canceled"},
    "expired": {"paid", "canceled"},
    "paid": {"part_refunded", "refunded"},
    "part_refunded": {"part_refunded", "refunded"},
    "refunded": set(),
    "canceled": set(),
}
ENDS = {
    "DONE": {"paid"},
    "PARTIAL_CANCELED": {"part_refunded"},
    "CANCELED": {"refunded", "canceled"},
    "WAITING_FOR_DEPOSIT": {"account_issued"},
    "EXPIRED": {"expired"},
    "ABORTED": {"failed"},
}
LIVES = [
    [payment_event("IN_PROGRESS", 1), DONE, PART, PARTS, CANCELED],
    [account(1), DONE, PART, PARTS],
    [account(1), payment_event("EXPIRED", 10)],
    [payment_event("IN_PROGRESS", 1), payment_event("ABORTED", 10)],
    [account(1), DONE, CANCELED],
]


def arrivals(life: Sequence[Row], seed: int) -> list[list[Row]]:
    """The events in some order, some of them again, in calls of some of them."""
    chance = random.Random(seed)  # noqa: S311 - no secret depends on it
    events = [*life, *chance.sample(list(life), chance.randint(0, len(life)))]
    chance.shuffle(events)
    cuts = sorted(chance.sample(range(1, len(events)), chance.randint(0, len(events) - 1)))
    return [list(events[begin:end]) for begin, end in itertools.pairwise([0, *cuts, len(events)])]


@pytest.mark.parametrize("life", LIVES)
@pytest.mark.parametrize("seed", range(12))
def test_in_whatever_order_the_changes_make_sense_and_come_once(hooked: Database, life: list[Row], seed: int) -> None:
    for call in arrivals(life, seed):
        hooked.record(*call)
    changes = told(hooked)
    for before, change in itertools.pairwise([None, *changes]):
        assert change in LEGAL[before], changes
    assert [changes.count(change) for change in set(changes) - {"part_refunded"}] == [1] * len(
        set(changes) - {"part_refunded"}
    )
    row = hooked.payment()
    assert changes[-1] in ENDS[row["payment_status"]]
    refunds = hooked.rows("select sum(balance_before - balance) as sum from told where change = 'part_refunded'")
    if row["payment_status"] == "PARTIAL_CANCELED":
        assert refunds[0]["sum"] == row["amount"] - row["balance_amount"]


@given(events=histories(), row=st.sampled_from(APPLICATION_ROWS), seed=st.integers(0, 999))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_even_of_impossible_stories_money_is_told_in_pairs(
    database: Database, events: list[Row], row: Row | None, seed: int
) -> None:
    database.clear()
    database.connection.execute(TABLES + HOOK)
    if row is not None:
        database.insert_payment(**row)
    for call in arrivals(events, seed):
        database.record(*call)
    holds_money = False
    changes = told(database)
    for change in changes:
        if change in ("paid", "canceled"):
            assert not holds_money, changes
        elif change in ("part_refunded", "refunded", "deposit_reversed"):
            assert holds_money, changes
        holds_money = change in ("paid", "part_refunded") or (
            holds_money and change not in ("refunded", "deposit_reversed")
        )
    assert (
        database.rows("select last_error from webhook_events where reason in ('hook_failed', 'refused_by_database')")
        == []
    )
    before = len(changes)
    database.record(*events)
    assert len(told(database)) == before


def test_whoever_may_insert_an_order_cannot_make_it_paid(hooked: Database) -> None:
    hooked.insert_payment(payment_status="DONE", payment_key="key-1")
    hooked.record(payment_event("READY", 5))
    assert told(hooked) == []
    hooked.record(DONE)
    assert told(hooked) == ["paid"]


def test_the_applications_own_approval_is_told_with_tosss_word(hooked: Database) -> None:
    hooked.insert_payment(payment_status="DONE", payment_key="key-1", approved_at=at(10))
    hooked.record(DONE)
    assert told(hooked) == ["paid"]


def test_a_mismatch_is_not_told(hooked: Database) -> None:
    hooked.insert_payment(amount=9000)
    hooked.record(DONE)
    assert told(hooked) == []
    hooked.connection.execute("update payments set amount = 10000")
    assert replay(hooked) == ["processed"]
    assert told(hooked) == ["paid"]


def test_what_was_so_before_there_was_a_function_is_not_told(database: Database) -> None:
    database.record(DONE)
    database.connection.execute(TABLES + HOOK)
    database.record(DONE, PART)
    assert told(database) == ["part_refunded"]


def test_a_row_that_is_deleted_and_made_again_is_not_told_again(hooked: Database) -> None:
    hooked.record(DONE)
    hooked.connection.execute("delete from payments")
    hooked.record(DONE, {**PART})
    hooked.connection.execute("delete from payments")
    hooked.insert_payment()
    hooked.record(PARTS)
    assert told(hooked) == ["paid", "part_refunded", "part_refunded"]


def refuse(database: Database, change: str) -> None:
    database.connection.execute("insert into refused values (%s)", [change])


def accept(database: Database) -> None:
    database.connection.execute("delete from refused")


def ignore_failed(database: Database) -> list[Row]:
    ids = [str(row["id"]) for row in database.rows("select id from webhook_events where status = 'failed'")]
    return list(database.call("select ignore_webhook_events_v1(%s, 'done by hand', 'anna', false)", json.dumps(ids)))


def test_a_failure_of_the_function_is_ignored_and_the_money_stays(hooked: Database) -> None:
    refuse(hooked, "paid")
    hooked.record(DONE)
    assert [answer["outcome"] for answer in ignore_failed(hooked)] == ["ignored"]
    accept(hooked)
    hooked.record(payment_event("ABORTED", 5, key="key-0"))
    assert (hooked.payment()["payment_status"], hooked.payment()["payment_key"]) == ("DONE", "key-1")
    assert hooked.rows("select status, reason from webhook_events order by occurred_at desc") == [
        {"status": "ignored", "reason": "operator"},
        {"status": "processed", "reason": None},
    ]


def test_a_function_that_raises_fails_one_event(hooked: Database) -> None:
    hooked.record(payment_event("IN_PROGRESS", 1))
    refuse(hooked, "refunded")
    hooked.record(DONE)
    outcomes = hooked.record(
        payment_event("DONE", 10, order="order-2", key="key-2"),
        CANCELED,
        payment_event("DONE", 10, order="order-3", key="key-3"),
    )
    assert [(outcome["status"], outcome["reason"]) for outcome in outcomes] == [
        ("processed", None),
        ("failed", "hook_failed"),
        ("processed", None),
    ]
    assert hooked.payment()["payment_status"] == "CANCELED"
    (event,) = hooked.rows("select last_error, processed from webhook_events where status = 'failed'")
    assert event["last_error"].startswith("on_payment_changed('refunded'): ")
    assert event["last_error"].endswith("no stock (SQLSTATE P0001)")
    assert [row["change"] for row in hooked.rows("select change from told order by id")] == ["paid"] * 3
    assert replay(hooked) == ["failed"]
    accept(hooked)
    assert replay(hooked, dry_run=True) == ["processed"]
    assert told(hooked) == ["paid"]
    assert replay(hooked) == ["processed"]
    assert told(hooked) == ["paid", "refunded"]
    assert replay(hooked) == []


def test_the_next_event_tells_what_failed(hooked: Database) -> None:
    refuse(hooked, "paid")
    hooked.record(DONE)
    assert hooked.payment()["payment_status"] == "DONE"
    accept(hooked)
    hooked.record(PART)
    assert told(hooked) == ["paid", "part_refunded"]
    assert {row["status"] for row in hooked.rows("select status from webhook_events")} == {"processed"}
    rows = hooked.rows("select status_before from told order by id")
    assert [row["status_before"] for row in rows] == [None, "DONE"]


def test_an_order_that_was_refunded_before_it_could_be_told_is_canceled(hooked: Database) -> None:
    refuse(hooked, "paid")
    hooked.record(DONE)
    hooked.record(CANCELED)
    assert told(hooked) == ["canceled"]
    assert {row["status"] for row in hooked.rows("select status from webhook_events")} == {"processed"}


def test_a_failed_function_takes_no_money_from_the_order(hooked: Database) -> None:
    refuse(hooked, "paid")
    hooked.record(DONE)
    assert hooked.record(payment_event("EXPIRED", 20))[0]["status"] == "processed"
    row = hooked.payment()
    assert (row["payment_status"], row["approved_at"] is not None) == ("DONE", True)
    assert hooked.record(payment_event("DONE", 30, key="key-2"))[0]["reason"] == "double_charge"
    statuses = hooked.rows("select reason from webhook_events where status = 'failed' order by reason")
    assert [row["reason"] for row in statuses] == ["double_charge", "hook_failed"]


@pytest.mark.parametrize("body", ["insert into missing values (1);", "perform 1 / 0;", "assert false;", "commit;"])
def test_whatever_the_function_raises(hooked: Database, body: str) -> None:
    hooked.connection.execute(
        f"""create or replace function on_payment_changed(change text, before payments, after payments) returns void
            language plpgsql as $$ begin {body} end $$"""
    )
    assert hooked.record(DONE)[0]["reason"] == "hook_failed"


def test_what_the_function_defers_is_its_own_failure(hooked: Database) -> None:
    hooked.connection.execute(
        """create table orders (id text primary key);
           alter table told add foreign key (order_id) references orders deferrable initially deferred"""
    )
    assert hooked.record(DONE)[0]["reason"] == "hook_failed"
    hooked.connection.execute("insert into orders values ('order-1')")
    assert replay(hooked) == ["processed"]


def test_what_a_trigger_defers_is_no_failure_of_the_function(hooked: Database) -> None:
    hooked.connection.execute(
        """create function late() returns trigger language plpgsql as $$ begin raise exception 'late'; end $$;
           create constraint trigger late after insert on payments deferrable initially deferred
             for each row execute function late()"""
    )
    assert hooked.record(DONE)[0]["reason"] == "refused_by_database"
    assert told(hooked) == []


def test_what_a_retry_cures_fails_the_call(hooked: Database) -> None:
    hooked.connection.execute(
        """create or replace function on_payment_changed(change text, before payments, after payments) returns void
           language plpgsql as $$ begin raise exception 'later' using errcode = '40001'; end $$"""
    )
    with pytest.raises(psycopg.errors.SerializationFailure):
        hooked.record(DONE)
    assert hooked.rows("select 1 from webhook_events") == []


def test_the_worker_tells(hooked: Database) -> None:
    refuse(hooked, "paid")
    hooked.record(waiting("1"))
    (claimed,) = claim(hooked)
    assert finish(hooked, claimed) == {"outcome": "finished", "status": "failed", "reason": "hook_failed"}
    accept(hooked)
    assert replay(hooked) == ["processed"]
    assert told(hooked) == ["paid"]


def test_a_deposit_that_comes_again_after_the_function_raised_is_not_asked_about_again(hooked: Database) -> None:
    refuse(hooked, "paid")
    hooked.record(waiting("1"))
    finish(hooked, *claim(hooked))
    assert [(row["status"], row["reason"]) for row in hooked.record(waiting("1"))] == [("failed", "hook_failed")]
    hooked.record(payment_event("EXPIRED", 99, order="order-1", key="key-1"))
    assert hooked.payment()["payment_status"] == "DONE"


def test_tables_in_a_schema_of_their_own(empty_database: str) -> None:
    texts = [file.read_text() for file in sorted(MIGRATIONS.glob("*.sql"))]
    naming = Naming("toss")
    relations = relations_of(texts)
    texts[0] += naming.setup()
    with psycopg.connect(empty_database) as connection:
        connection.execute("create table public.payments (id bigint primary key, status text)")
        for text in [*(naming.rename(text, relations) for text in texts), TABLES, naming.rename(HOOK, relations)]:
            connection.execute(text)
        database = Database(connection, empty_database)
        database.record(DONE, DONE)
        assert told(database) == ["paid"]


def test_a_repair_tells(hooked: Database) -> None:
    repair = {"payment_key": "key-1", "order_id": "order-1", "price": "10000 KRW", "event": record_of(DONE)}
    for _ in range(2):
        answer = hooked.call("select supatoss_repair_payment_v1(%s)", json.dumps(repair))
        assert answer["status"] == "processed"
    assert told(hooked) == ["paid"]


def test_a_function_of_that_name_with_other_arguments_is_left_alone(database: Database) -> None:
    database.connection.execute(
        "create function on_payment_changed() returns trigger language plpgsql as $$ begin return new; end $$"
    )
    assert database.record(DONE)[0]["status"] == "processed"
    assert database.rows("select 1 from supatoss.announced_payments") == []


def test_other_events_tell_nothing(hooked: Database) -> None:
    hooked.record(EVENTS["settlements"]("1"), DONE)
    hooked.record(EVENTS["settlements"]("2"), EVENTS["subscriptions"]("1"))
    assert told(hooked) == ["paid"]


def test_two_processes_at_once_tell_once(
    database: Database, second: Database, observer: psycopg.Connection[Any]
) -> None:
    database.connection.execute(TABLES + HOOK)
    try:
        with database.connection.transaction():
            database.record(DONE)
            other = Step(second, DONE, PART)
            assert other.is_waiting(observer)
        other.finish()
        assert told(database) == ["paid", "part_refunded"]
    finally:
        database.connection.execute(
            """drop table told, refused; drop function on_payment_changed; delete from supatoss.announced_payments"""
        )
