"""The application's write wins (design rule 12): each flow of the guide, in each order of its steps and our webhooks."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg
import pytest

from tests.database.support import Database, Row, at, payment_event
from tests.database.test_payment_fold import moment
from tests.database.test_recording import billing
from tests.merchant.application import APPROVED_AT, PRICE, USER, Application

Step = Callable[[], Any]

ORDER, KEY, CUSTOMER = "order-100", "tviva-100", "customer-100"


def orders_of(*streams: Sequence[Step]) -> list[tuple[Step, ...]]:
    """Every order of these steps in which those of one stream stay in theirs."""
    owners = [number for number, stream in enumerate(streams) for _ in stream]
    found = []
    for order in sorted(set(itertools.permutations(owners))):
        rest = [iter(stream) for stream in streams]
        found.append(tuple(next(rest[number]) for number in order))
    return found


def paid(status: str = "DONE", second: int = 10, *, price: int = PRICE, **data: Any) -> Row:
    data = {"order": ORDER, "key": KEY, "approvedAt": APPROVED_AT, **data}
    return payment_event(status, second, totalAmount=price, **data)


def profile(project: Database) -> tuple[int, int]:
    (row,) = project.rows("select credits, paid_orders from profiles where id = %s", USER)
    return row["credits"], row["paid_orders"]


def unfinished(project: Database) -> list[Row]:
    return project.rows(
        "select event_type, status, reason, last_error from webhook_events"
        " where status not in ('processed', 'ignored') and event_key not like 'unkeyed:%%'"
    )


def orders(project: Database) -> set[str]:
    return {row["order_id"] for row in project.rows("select order_id from payments where created_at > now() - interval '1 h'")}


@contextmanager
def undone(project: Database) -> Iterator[None]:
    with project.connection.transaction(force_rollback=True):
        yield


@pytest.mark.parametrize("user_inserts", [False, True], ids=["service role", "signed-in user"])
@pytest.mark.parametrize("with_old_function", [False, True], ids=["ours", "old function beside"])
def test_an_order_and_its_approval(project: Database, user_inserts: bool, with_old_function: bool) -> None:
    application = Application(project.connection, user_inserts)
    before = profile(project)
    steps = [
        partial(application.order, ORDER),
        partial(application.check_price, ORDER),
        partial(application.approved, ORDER, KEY),
    ]
    ours = [partial(project.record, paid("IN_PROGRESS", 5, approvedAt=None)), partial(project.record, paid())]
    old = [partial(application.old_webhook_function, paid())] if with_old_function else []
    for order in orders_of(steps, ours, old):
        with undone(project):
            for step in order:
                step()
            payment = project.payment(ORDER)
            assert (payment["payment_key"], payment["payment_status"], payment["amount"]) == (KEY, "DONE", PRICE)
            assert (str(payment["user_id"]), payment["order_name"]) == (USER, "월 이용권")
            assert payment["approved_at"] == moment(10)
            assert profile(project) == (before[0] + PRICE // 100, before[1] + 1)
            assert unfinished(project) == []
            assert orders(project) == {ORDER}
            assert application.statistics() == {"DONE": PRICE}
            assert [row["order_id"] for row in application.own_rows("payments") if row["order_id"] == ORDER] == [ORDER]


@pytest.mark.parametrize("end", ["EXPIRED", "ABORTED"])
def test_a_window_that_was_closed_before_the_order_was_stored(project: Database, end: str) -> None:
    application = Application(project.connection)
    before = profile(project)
    closed = paid(end, 5, key="tviva-99", approvedAt=None)
    steps = [
        partial(application.order, ORDER),
        partial(application.check_price, ORDER),
        partial(application.approved, ORDER, KEY),
    ]
    for order in orders_of(steps, [partial(project.record, closed)], [partial(project.record, paid())]):
        with undone(project):
            for step in order:
                step()
            payment = project.payment(ORDER)
            assert (payment["payment_key"], payment["payment_status"]) == (KEY, "DONE")
            assert profile(project)[1] == before[1] + 1
            assert unfinished(project) == []


def test_a_renewal_is_booked_once_whenever_its_webhook_comes(project: Database) -> None:
    application = Application(project.connection)
    before = profile(project)
    application.subscribe(CUSTOMER, "bk-100", next_billing_date=moment(0))
    (subscription,) = application.due(CUSTOMER)
    booked: list[Row] = []
    order_id = f"sub_{subscription['id']}_1773478800000"
    event = paid(order=order_id)
    steps = [
        lambda: booked.append(application.book_renewal(subscription, order_id, KEY)),
        lambda: application.link_renewal(subscription, booked[-1]),
        lambda: application.advance(subscription),
    ]
    ours = [partial(project.record, event)] * 2
    for order in orders_of(steps, ours, [partial(application.old_webhook_function, event)]):
        with undone(project):
            for step in order:
                step()
            payment = project.payment(order_id)
            assert (payment["id"], payment["payment_key"]) == (booked[-1]["id"], KEY)
            assert (payment["payment_status"], payment["approved_at"]) == ("DONE", moment(10))
            assert payment["metadata"] == {"subscription_id": str(subscription["id"])}
            linked = project.rows("select payment_id from subscription_payments")
            assert linked == [{"payment_id": payment["id"]}]
            assert application.due(CUSTOMER) == []
            assert profile(project) == (before[0] + PRICE // 100, before[1] + 1)
            assert unfinished(project) == []
            assert application.statistics() == {"DONE": PRICE}


def subscriptions(project: Database, customer: str = CUSTOMER) -> list[tuple[Any, ...]]:
    rows = project.rows(
        "select billing_key, status, tier, user_id, amount from subscriptions where customer_key = %s"
        " order by billing_key",
        customer,
    )
    return [(row["billing_key"], row["status"], row["tier"], str(row["user_id"]), row["amount"]) for row in rows]


def test_a_subscription_whose_key_is_told_of_first(project: Database) -> None:
    application = Application(project.connection)
    issued, deleted = billing("issued", "bk-100", 0, CUSTOMER), billing("deleted", "bk-100", 20)
    ours = [partial(project.record, issued)] * 2
    for order in orders_of([partial(application.subscribe, CUSTOMER, "bk-100")], ours):
        with undone(project):
            for step in order:
                step()
            assert subscriptions(project) == [("bk-100", "ACTIVE", "PRO", USER, PRICE)]
            project.record(deleted)
            assert subscriptions(project) == [("bk-100", "CANCELED", "PRO", USER, PRICE)]
            assert unfinished(project) == []


def test_a_card_that_is_changed_while_the_application_subscribes(project: Database) -> None:
    application = Application(project.connection)
    events = [
        billing("issued", "bk-100", 0, CUSTOMER),
        billing("issued", "bk-101", 10, CUSTOMER),
        billing("deleted", "bk-100", 20),
    ]
    for event_order in itertools.permutations(events):
        ours = [partial(project.record, event) for event in event_order]
        for order in orders_of([partial(application.subscribe, CUSTOMER, "bk-100")], ours):
            with undone(project):
                for step in order:
                    step()
                assert subscriptions(project) == [("bk-101", "ACTIVE", "PRO", USER, PRICE)]
                assert unfinished(project) == []


def test_a_customer_buys_a_second_tier_and_a_third(adopted: Database) -> None:
    application = Application(adopted.connection)
    keys = {"bk-1": "PRO", "bk-2": "TEAM", "bk-3": "MAX"}
    steps = [partial(application.subscribe, CUSTOMER, key, tier) for key, tier in keys.items()]
    events = [billing("issued", key, second, CUSTOMER) for second, key in enumerate(keys)]
    for event_order in itertools.permutations(events):
        ours = [partial(adopted.record, event) for event in event_order]
        for order in orders_of(steps, ours):
            with undone(adopted):
                for step in order:
                    step()
                assert subscriptions(adopted) == [(key, "ACTIVE", keys[key], USER, PRICE) for key in keys]
                assert unfinished(adopted) == []
                adopted.record(billing("deleted", "bk-2", 50))
                assert [row[:2] for row in subscriptions(adopted)] == [
                    ("bk-1", "ACTIVE"),
                    ("bk-2", "CANCELED"),
                    ("bk-3", "ACTIVE"),
                ]


def test_a_new_key_of_a_customer_with_two_tiers_needs_a_person(adopted: Database) -> None:
    application = Application(adopted.connection)
    rows = [application.subscribe(CUSTOMER, key, tier) for key, tier in (("bk-1", "PRO"), ("bk-2", "TEAM"))]
    (outcome,) = adopted.record(billing("issued", "bk-3", 30, CUSTOMER))
    assert (outcome["status"], outcome["reason"]) == ("failed", "ambiguous_subscription")
    assert [row[:2] for row in subscriptions(adopted)] == [("bk-1", "ACTIVE"), ("bk-2", "ACTIVE")]
    # The person says which, and replays; from then on it is that row's.
    application.single("update subscriptions set billing_key = 'bk-3' where id = %s returning *", rows[1]["id"])
    assert adopted.record(billing("issued", "bk-3", 30, CUSTOMER))[0]["status"] == "processed"
    adopted.record(billing("deleted", "bk-2", 40))
    assert [row[:2] for row in subscriptions(adopted)] == [("bk-1", "ACTIVE"), ("bk-3", "ACTIVE")]


def test_a_new_key_goes_to_the_only_row_that_lives_still(adopted: Database) -> None:
    application = Application(adopted.connection)
    for key, tier in (("bk-1", "PRO"), ("bk-2", "TEAM")):
        application.subscribe(CUSTOMER, key, tier)
    events = [billing("deleted", "bk-1", 20), billing("issued", "bk-3", 30, CUSTOMER)]
    for order in itertools.permutations(events):
        with undone(adopted):
            for event in order:
                adopted.record(event)
            assert [row[:3] for row in subscriptions(adopted)] == [
                ("bk-1", "CANCELED", "PRO"),
                ("bk-3", "ACTIVE", "TEAM"),
            ]
            assert unfinished(adopted) == []


def test_the_price_is_the_application_s(project: Database) -> None:
    application = Application(project.connection)
    before = profile(project)
    for order in orders_of([partial(application.order, ORDER)], [partial(project.record, paid(price=100))]):
        with undone(project):
            for step in order:
                step()
            payment = project.payment(ORDER)
            assert (payment["payment_status"], payment["amount"]) == ("PENDING", PRICE)
            assert [row["reason"] for row in unfinished(project)] == ["amount_mismatch"]
            assert profile(project) == before


def test_the_inserted_row_comes_back_as_the_application_wrote_it(project: Database) -> None:
    application = Application(project.connection)
    project.record(paid(), billing("issued", "bk-100", 0, CUSTOMER))
    own_id = "00000000-0000-4000-8000-00000000c0de"
    row = application.order(ORDER, id=own_id)
    assert (str(row["id"]), row["payment_status"], row["payment_key"]) == (own_id, "PENDING", f"placeholder-{ORDER}")
    assert str(project.payment(ORDER)["id"]) == own_id
    assert application.subscribe(CUSTOMER, "bk-100")["tier"] == "PRO"


@pytest.mark.parametrize(
    "and_then",
    [
        "on conflict (order_id) do nothing",
        "on conflict (order_id) do update set amount = excluded.amount, user_id = excluded.user_id",
        "on conflict do nothing",
    ],
)
def test_an_upsert_inserts_and_gives_the_row_back(project: Database, and_then: str) -> None:
    application = Application(project.connection)
    project.record(paid())
    row = {
        "user_id": USER,
        "payment_key": "mine",
        "order_id": ORDER,
        "order_name": "월 이용권",
        "amount": PRICE,
        "payment_status": "PENDING",
    }
    application.insert("payments", row, and_then=and_then)
    payment = project.payment(ORDER)
    assert (payment["payment_key"], payment["payment_status"], str(payment["user_id"])) == (KEY, "DONE", USER)


def test_a_row_of_the_application_s_own_is_no_webhook_s(project: Database) -> None:
    application = Application(project.connection)
    application.order(ORDER)
    project.record(paid())
    with pytest.raises(psycopg.errors.UniqueViolation):
        application.order(ORDER)
    assert project.payment(ORDER)["payment_status"] == "DONE"


def test_rows_of_one_insert(project: Database) -> None:
    application = Application(project.connection)
    names = [f"order-{number}" for number in range(5)]
    project.record(*(paid(order=name, key=f"tviva-{name}") for name in names[::2]))
    with application.request() as cursor:
        cursor.execute(
            "insert into payments (user_id, payment_key, order_id, order_name, amount, payment_status)"
            " select %s, 'mine-' || name, name, name, %s, 'PENDING' from unnest(%s::text[]) as n (name) returning *",
            [USER, PRICE, names],
        )
        assert len(cursor.fetchall()) == 5
    statuses = [project.payment(name)["payment_status"] for name in names]
    assert statuses == ["DONE", "PENDING", "DONE", "PENDING", "DONE"]


def test_an_import_of_many_rows_needs_no_more_locks_than_there_are(project: Database) -> None:
    project.connection.execute(
        "insert into payments (payment_key, order_id, order_name, amount, payment_status)"
        " select 'key-' || n, 'order-' || n, 'n', 1, 'PENDING' from generate_series(1, 3000) as n"
    )
    (locks,) = project.rows("select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()")
    assert locks["count"] <= 2000


def test_what_triggers_hung_on_the_webhook_s_row_hangs_on_the_application_s(project: Database) -> None:
    application = Application(project.connection)
    project.connection.execute(
        """
        create table deliveries (payment_id uuid not null references payments (id), note text);
        create table receipts (payment_id uuid not null unique references payments (id) on delete cascade);
        create table members (subscription_id uuid not null references subscriptions (id) on delete cascade);
        grant all on deliveries, receipts, members to service_role;
        create function make_receipt() returns trigger language plpgsql as
          'begin insert into receipts values (new.id); return new; end';
        create trigger payments_receipt after insert on payments for each row execute function make_receipt();
        """
    )
    project.record(paid(), billing("issued", "bk-100", 0, CUSTOMER))
    project.connection.execute(
        "insert into deliveries select id, 'shipped' from payments where order_id = %s", [ORDER]
    )
    project.connection.execute("insert into members select id from subscriptions where customer_key = %s", [CUSTOMER])
    payment = application.order(ORDER)
    subscription = application.subscribe(CUSTOMER, "bk-100")
    assert project.rows("select * from deliveries") == [{"payment_id": payment["id"], "note": "shipped"}]
    assert project.rows("select * from receipts") == [{"payment_id": payment["id"]}]
    assert project.rows("select * from members") == [{"subscription_id": subscription["id"]}]
    assert orders(project) == {ORDER}
    assert subscriptions(project) == [("bk-100", "ACTIVE", "PRO", USER, PRICE)]


def test_a_payment_that_the_application_has_in_another_order_needs_a_person(project: Database) -> None:
    application = Application(project.connection)
    application.subscribe(CUSTOMER, "bk-100", next_billing_date=moment(0))
    (subscription,) = application.due(CUSTOMER)
    refund = paid("CANCELED", 40, balanceAmount=0)
    for place in range(3):
        steps = [partial(project.record, paid()), partial(project.record, refund)]
        steps.insert(place, partial(application.book_renewal, subscription, "order-of-the-shop", KEY))
        with undone(project):
            for step in steps:
                step()
            assert orders(project) == {"order-of-the-shop"}
            assert project.payment("order-of-the-shop")["payment_status"] == "DONE"
            assert [row["reason"] for row in unfinished(project)] == ["refused_by_database"] * 2


def test_a_project_that_forbids_to_delete_payments(project: Database) -> None:
    application = Application(project.connection)
    project.record(paid(), billing("issued", "bk-100", 0, CUSTOMER))
    project.connection.execute(
        """
        create function keep() returns trigger language plpgsql as 'begin raise ''kept''; end';
        create trigger keep before delete on payments for each row execute function keep();
        create trigger keep before delete on subscriptions for each row execute function keep();
        """
    )
    application.order(ORDER)
    application.subscribe(CUSTOMER, "bk-100")
    assert project.payment(ORDER)["payment_status"] == "DONE"
    assert subscriptions(project) == [("bk-100", "ACTIVE", "PRO", USER, PRICE)]
    assert application.statistics() == {"DONE": PRICE, "EXPIRED": 0}
    assert unfinished(project) == []


REFUSE = """
create function refuse() returns trigger language plpgsql as
  'begin raise exception ''no'' using errcode = ''%s''; end';
create trigger refuse before update on payments for each row execute function refuse();
create trigger refuse before update on subscriptions for each row execute function refuse();
"""


def test_an_error_in_the_fold_is_an_event_s_and_never_the_application_s(project: Database) -> None:
    application = Application(project.connection)
    project.record(paid(), billing("issued", "bk-100", 0, CUSTOMER))
    project.connection.execute(REFUSE % "P0001")
    application.order(ORDER)
    application.subscribe(CUSTOMER, "bk-100")
    assert project.payment(ORDER)["payment_status"] == "PENDING"
    assert subscriptions(project) == [("bk-100", "ACTIVE", "PRO", USER, PRICE)]
    problems = unfinished(project)
    assert {(row["status"], row["reason"]) for row in problems} == {("failed", "refused_by_database")}
    assert len(problems) == 2
    assert all("no" in row["last_error"] and "P0001" in row["last_error"] for row in problems)
    project.connection.execute("drop trigger refuse on payments")
    project.record(paid())
    assert project.payment(ORDER)["payment_status"] == "DONE"


def test_a_fold_that_met_a_deadlock_is_the_worker_s(project: Database) -> None:
    project.record(paid())
    project.connection.execute(REFUSE % "40P01")
    Application(project.connection).order(ORDER)
    assert [(row["status"], row["reason"]) for row in unfinished(project)] == [("pending", None)]
    (claimed,) = project.call("select claim_webhook_events_v1(8, 90)")
    assert (claimed["payment_key"], claimed["order_id"]) == (KEY, ORDER)


def test_the_time_of_the_webhook_is_read_in_korea() -> None:
    assert at(10, offset=True) == APPROVED_AT
