"""on_subscription_changed: told of each change of a billing key once."""

import pytest

from tests.database.support import Database, Row, at
from tests.merchant.test_hooks import DONE, TABLES, accept, arrivals, ignore_failed, refuse
from tests.merchant.test_triggers import EVENTS, replay

SUBSCRIPTION_HOOK = """
create function public.on_subscription_changed(change text, before public.subscriptions, after public.subscriptions)
returns void language plpgsql as $$
begin
  if exists (select from refused r where r.change = on_subscription_changed.change) then
    raise exception 'not now';
  end if;
  insert into told (order_id, change, status_before, status)
  values (after.customer_key, change, before.billing_key || ' ' || before.status,
          after.billing_key || ' ' || after.status);
end $$;
"""


@pytest.fixture
def subscribed(database: Database) -> Database:
    database.connection.execute(TABLES + SUBSCRIPTION_HOOK)
    return database


def issued(key: str, second: int) -> Row:
    data = {"billingKey": key, "customerKey": "customer-1", "issuedAt": at(second, offset=True)}
    return {"eventType": "BILLING_KEY_ISSUED", "data": data}


def deleted(key: str, second: int) -> Row:
    return {"eventType": "BILLING_DELETED", "createdAt": at(second), "data": {"billingKey": key, "reason": None}}


def subscription_story(database: Database) -> list[tuple[str, str | None, str]]:
    rows = database.rows("select change, status_before, status from told order by id")
    return [(row["change"], row["status_before"], row["status"]) for row in rows]


def insert_subscription(database: Database, key: str, status: str = "ACTIVE") -> None:
    database.connection.execute(
        """insert into subscriptions (billing_key, customer_key, status, tier, started_at, current_period_start,
                                      current_period_end, amount)
           values (%s, 'customer-1', %s, 'PRO', now(), now(), now(), 9900)""",
        [key, status],
    )


def test_the_life_of_a_subscription(subscribed: Database) -> None:
    for event in (issued("bk-1", 0), issued("bk-2", 10), deleted("bk-1", 20), deleted("bk-2", 30), issued("bk-3", 40)):
        for _ in range(2):
            subscribed.record(event)
    assert subscription_story(subscribed) == [
        ("activated", None, "bk-1 ACTIVE"),
        ("key_changed", "bk-1 ACTIVE", "bk-2 ACTIVE"),
        ("canceled", "bk-2 ACTIVE", "bk-2 CANCELED"),
        ("activated", None, "bk-3 ACTIVE"),
    ]


def test_a_failure_of_the_function_is_ignored_and_the_end_stays(subscribed: Database) -> None:
    subscribed.record(issued("bk-1", 0))
    refuse(subscribed, "canceled")
    subscribed.record(deleted("bk-1", 20))
    assert [answer["outcome"] for answer in ignore_failed(subscribed)] == ["ignored"]
    subscribed.record(issued("bk-1", 1))
    assert subscribed.rows("select status from subscriptions") == [{"status": "CANCELED"}]


@pytest.mark.parametrize("seed", range(10))
def test_a_subscriptions_changes_make_sense_in_whatever_order(subscribed: Database, seed: int) -> None:
    life = [issued("bk-1", 0), issued("bk-2", 10), deleted("bk-1", 20), deleted("bk-2", 30)]
    for call in arrivals(life, seed):
        subscribed.record(*call)
    changes = [change for change, _, _ in subscription_story(subscribed)]
    is_live = False
    for change in changes:
        assert is_live == (change != "activated"), changes
        is_live = change != "canceled"
    assert not is_live
    assert subscribed.rows("select 1 from webhook_events where status <> 'processed'") == []


def test_a_subscription_of_the_application(subscribed: Database) -> None:
    insert_subscription(subscribed, "bk-1", "PAUSED")
    subscribed.record(issued("bk-1", 0))
    subscribed.record(deleted("bk-1", 10))
    assert [change for change, _, _ in subscription_story(subscribed)] == ["activated", "canceled"]


def test_the_end_of_a_subscription_whose_beginning_nobody_told(subscribed: Database) -> None:
    insert_subscription(subscribed, "bk-1")
    subscribed.record(deleted("bk-1", 10))
    assert subscription_story(subscribed) == [("canceled", "bk-1 ACTIVE", "bk-1 CANCELED")]


def test_a_subscription_function_that_raises_fails_one_event(subscribed: Database) -> None:
    subscribed.record(issued("bk-1", 0))
    refuse(subscribed, "key_changed")
    outcomes = subscribed.record(issued("bk-2", 10), DONE)
    assert [(outcome["status"], outcome["reason"]) for outcome in outcomes] == [
        ("failed", "hook_failed"),
        ("processed", None),
    ]
    (row,) = subscribed.rows("select billing_key, status from subscriptions")
    assert (row["billing_key"], row["status"]) == ("bk-2", "ACTIVE")
    (event,) = subscribed.rows("select last_error from webhook_events where status = 'failed'")
    assert event["last_error"].startswith("on_subscription_changed('key_changed'): ")
    subscribed.record(deleted("bk-1", 20))
    assert [row["reason"] for row in subscribed.rows("select reason from webhook_events where reason is not null")] == [
        "hook_failed"
    ]
    accept(subscribed)
    assert replay(subscribed) == ["processed"]
    assert subscription_story(subscribed)[1:] == [("key_changed", "bk-1 ACTIVE", "bk-2 ACTIVE")]


def test_a_subscription_that_ended_before_its_beginning_could_be_told(subscribed: Database) -> None:
    refuse(subscribed, "activated")
    subscribed.record(issued("bk-1", 0))
    subscribed.record(EVENTS["subscriptions"]("2"))
    subscribed.record(deleted("bk-1", 10))
    assert subscription_story(subscribed) == []
    rows = subscribed.rows("select change ->> 'billing_key' as key from webhook_events where status = 'failed'")
    assert [row["key"] for row in rows] == ["bk-2"]
    accept(subscribed)
    assert replay(subscribed) == ["processed"]
    assert subscription_story(subscribed) == [("activated", None, "bk-2 ACTIVE")]
