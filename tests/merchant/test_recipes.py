"""The recipes of docs/reacting.md, run as they are written there.

pgmq and realtime are extensions of Supabase that a plain server doesn't have: functions with their signatures stand in.
"""

import re
from pathlib import Path

import pytest

from tests.database.support import Database, payment_event
from tests.merchant.test_hooks import CANCELED, DONE, PART
from tests.merchant.test_subscription_hooks import deleted, issued
from tests.merchant.test_triggers import replay

DOCS = Path(__file__).parents[2] / "docs"
USER = "00000000-0000-0000-0000-000000000001"

PROJECT = f"""
create table orders (id text primary key, status text not null default 'pending', paid_at timestamptz);
create table profiles (id uuid primary key, credits integer not null default 0, is_member boolean);
insert into profiles values ('{USER}');
grant select, update on orders, profiles to service_role;
create schema pgmq;
create table pgmq.q_payments (message jsonb);
create function pgmq.send(queue_name text, msg jsonb) returns setof bigint language sql as
  $$ insert into pgmq.q_payments select msg where queue_name = 'payments' returning 1::bigint $$;
create schema realtime;
create table realtime.messages (topic text, event text, payload jsonb, private boolean);
create function realtime.send(payload jsonb, event text, topic text, private boolean default true) returns void
  language sql as $$ insert into realtime.messages values (topic, event, payload, private) $$;
"""


def recipes(document: str = "reacting.md") -> dict[str, list[str]]:
    """The SQL under each heading."""
    sections = re.split(r"^## ", (DOCS / document).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {section.splitlines()[0]: re.findall(r"```sql\n(.*?)```", section, re.DOTALL) for section in sections}


@pytest.fixture
def project(database: Database) -> Database:
    database.connection.execute(PROJECT)
    return database


def use(database: Database, heading: str, number: int = 0) -> None:
    database.connection.execute(recipes()[heading][number])
    (row,) = database.rows(
        """select count(*) as open from pg_proc p, unnest(array['anon', 'authenticated']) as role
           where p.proname in ('on_payment_changed', 'on_subscription_changed')
             and has_function_privilege(role, p.oid, 'execute')"""
    )
    assert row["open"] == 0


def test_both_languages_have_the_same_recipes() -> None:
    assert list(recipes().values()) == list(recipes("reacting.ko.md").values())


def test_every_recipe_has_its_test() -> None:
    assert sum(len(blocks) for blocks in recipes().values()) == 8


def test_the_signature_is_the_one_that_is_looked_for() -> None:
    (shown,) = recipes()["# Reacting to payments"]
    assert "public.on_payment_changed(change text, before public.payments, after public.payments)" in shown


def test_orders_are_marked(project: Database) -> None:
    use(project, "Mark your own order")
    project.connection.execute("insert into orders values ('order-1')")
    for event, status in ((DONE, "paid"), (PART, "part_refunded"), (CANCELED, "refunded")):
        project.record(event)
        (order,) = project.rows("select status, paid_at from orders")
        assert order["status"] == status
        assert order["paid_at"] == project.payment()["approved_at"]


def test_an_order_that_is_missing_is_marked_by_a_replay(project: Database) -> None:
    use(project, "Mark your own order")
    (outcome,) = project.record(DONE)
    assert outcome["reason"] == "hook_failed"
    (event,) = project.rows("select last_error from webhook_events")
    assert "there is no order order-1" in event["last_error"]
    project.connection.execute("insert into orders values ('order-1')")
    assert replay(project) == ["processed"]
    assert project.rows("select status from orders") == [{"status": "paid"}]


def credits_of_user(database: Database) -> int:
    (row,) = database.rows("select credits from profiles")
    return int(row["credits"])


def test_credits_follow_the_money(project: Database) -> None:
    use(project, "Grant credits")
    project.insert_payment(user_id=USER)
    for event, count in ((DONE, 100), (PART, 70), (DONE, 70), (CANCELED, 0)):
        project.record(event)
        assert credits_of_user(project) == count


def test_credits_of_an_order_that_is_first_seen_partly_refunded(project: Database) -> None:
    use(project, "Grant credits")
    project.insert_payment(user_id=USER)
    project.record(PART)
    assert credits_of_user(project) == 70


def test_credits_of_an_order_that_is_first_seen_refunded(project: Database) -> None:
    use(project, "Grant credits")
    project.insert_payment(user_id=USER)
    project.record(CANCELED, DONE)
    project.record(DONE)
    assert credits_of_user(project) == 0


def test_credits_of_existing_orders_are_only_taken_back(project: Database) -> None:
    project.insert_payment(user_id=USER, payment_status="DONE", payment_key="key-1")
    project.connection.execute("update profiles set credits = 100")
    use(project, "Grant credits")
    project.connection.execute(recipes()["Guarantees"][0])
    project.record(DONE)
    assert credits_of_user(project) == 100
    project.record(CANCELED)
    assert credits_of_user(project) == 0


def test_work_is_enqueued(project: Database) -> None:
    use(project, "Enqueue work")
    project.record(DONE, payment_event("ABORTED", 10, order="order-2", key="key-2"))
    project.record(DONE)
    rows = project.rows("select order_id, change, payment ->> 'payment_key' as key from outbox order by id")
    assert [tuple(row.values()) for row in rows] == [("order-1", "paid", "key-1"), ("order-2", "failed", "key-2")]


def test_work_is_enqueued_with_pgmq(project: Database) -> None:
    use(project, "Enqueue work", 1)
    project.record(DONE)
    assert project.rows("select message from pgmq.q_payments") == [
        {"message": {"change": "paid", "order_id": "order-1", "payment_key": "key-1", "amount": 10000}}
    ]


def test_the_user_is_notified(project: Database) -> None:
    use(project, "Notify by Realtime")
    project.insert_payment(user_id=USER)
    project.record(DONE, payment_event("DONE", 10, order="order-2", key="key-2"))
    assert project.rows("select * from realtime.messages") == [
        {
            "topic": f"user:{USER}",
            "event": "paid",
            "payload": {"order_id": "order-1", "status": "DONE"},
            "private": True,
        }
    ]


def test_members_are_marked(project: Database) -> None:
    use(project, "Subscriptions")
    project.record(issued("bk-1", 0))
    project.connection.execute("update subscriptions set user_id = %s", [USER])
    project.record(issued("bk-2", 10))
    assert project.rows("select is_member from profiles") == [{"is_member": True}]
    project.record(deleted("bk-2", 20))
    assert project.rows("select is_member from profiles") == [{"is_member": False}]
