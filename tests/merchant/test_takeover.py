"""How the application's insert takes over the row that webhooks made: ids, upserts, children, refusals, locks."""

from functools import partial

import psycopg
import pytest

from tests.database.support import Database
from tests.database.test_payment_fold import moment
from tests.database.test_recording import billing
from tests.merchant.application import PRICE, USER, Application
from tests.merchant.steps import CUSTOMER, KEY, ORDER, Step, orders, paid, subscriptions, undone, unfinished


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
    assert 0 < locks["count"] <= 500


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
    project.connection.execute("insert into deliveries select id, 'shipped' from payments where order_id = %s", [ORDER])
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
        steps: list[Step] = [partial(project.record, paid()), partial(project.record, refund)]
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
