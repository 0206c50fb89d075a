"""The application's insert and a webhook at once, as written orders of steps on two connections."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from tests.database.support import Database
from tests.database.test_races import Step
from tests.database.test_recording import billing
from tests.merchant.application import PRICE, USER, Application
from tests.merchant.steps import CUSTOMER, KEY, ORDER, orders, paid, profile, subscriptions, unfinished


class Writing(Step):
    """Something that the application does on a second connection and that may have to wait."""

    def __init__(self, database: Database, write: Callable[[], object]) -> None:
        self.write = write
        super().__init__(database)

    def run(self) -> None:
        try:
            self.write()
        except (psycopg.Error, AssertionError) as error:
            self.error = error


@pytest.fixture
def second(committed: Database) -> Iterator[Database]:
    with psycopg.connect(committed.dsn, autocommit=True) as connection:
        yield Database(connection, committed.dsn)


@pytest.fixture
def observer(committed: Database) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(committed.dsn, autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize("is_rolled_back", [False, True])
@pytest.mark.parametrize("user_inserts", [False, True], ids=["service role", "signed-in user"])
def test_an_insert_waits_for_the_webhook_that_is_being_recorded(
    committed: Database,
    second: Database,
    observer: psycopg.Connection[Any],
    user_inserts: bool,
    is_rolled_back: bool,
) -> None:
    application = Application(second.connection, user_inserts)
    before = profile(committed)
    with committed.connection.transaction(force_rollback=is_rolled_back):
        committed.record(paid(), billing("issued", "bk-100", 0, CUSTOMER))
        inserting = Writing(second, lambda: (application.order(ORDER), application.subscribe(CUSTOMER, "bk-100")))
        assert inserting.is_waiting(observer)
    inserting.finish()
    payment = committed.payment(ORDER)
    assert (payment["payment_status"], str(payment["user_id"])) == ("PENDING" if is_rolled_back else "DONE", USER)
    assert subscriptions(committed) == [("bk-100", "ACTIVE", "PRO", USER, PRICE)]
    committed.record(paid())
    assert committed.payment(ORDER)["payment_status"] == "DONE"
    assert profile(committed)[1] == before[1] + 1


@pytest.mark.parametrize("is_rolled_back", [False, True])
@pytest.mark.parametrize("is_made", [False, True], ids=["new order", "made by webhooks"])
def test_a_webhook_waits_for_the_application_s_transaction(
    committed: Database, second: Database, observer: psycopg.Connection[Any], is_made: bool, is_rolled_back: bool
) -> None:
    application = Application(committed.connection)
    if is_made:
        committed.record(paid("IN_PROGRESS", 5, approvedAt=None), billing("issued", "bk-100", 0, CUSTOMER))
    with committed.connection.transaction(force_rollback=is_rolled_back):
        application.order(ORDER)
        application.subscribe(CUSTOMER, "bk-100")
        recording = Step(second, paid(), billing("issued", "bk-100", 0, CUSTOMER))
        assert recording.is_waiting(observer)
    assert {outcome["status"] for outcome in recording.finish()} == {"processed"}
    payment = committed.payment(ORDER)
    assert (payment["payment_key"], payment["payment_status"]) == (KEY, "DONE")
    assert payment["user_id"] is None if is_rolled_back else str(payment["user_id"]) == USER
    assert [row[:3] for row in subscriptions(committed)] == [
        ("bk-100", "ACTIVE", "UNASSIGNED" if is_rolled_back else "PRO")
    ]
    if is_rolled_back:
        application.order(ORDER)
        application.subscribe(CUSTOMER, "bk-100")
    assert orders(committed) == {ORDER}
    assert unfinished(committed) == []


@pytest.mark.parametrize("is_made", [False, True], ids=["new orders", "made by webhooks"])
def test_many_inserts_and_a_batch_in_another_order_do_not_deadlock(
    committed: Database, second: Database, observer: psycopg.Connection[Any], is_made: bool
) -> None:
    """Half of the orders are inserted; a batch about all of them waits, and holds nothing that the other half needs."""
    application = Application(committed.connection)
    names = [f"order-{number}" for number in range(20)]
    if is_made:
        committed.record(*(paid("IN_PROGRESS", 5, order=name, key=f"key-{name}", approvedAt=None) for name in names))
    events = [paid(order=name, key=f"key-{name}") for name in reversed(names)]
    with committed.connection.transaction():
        for name in names[:10]:
            application.order(name)
        recording = Step(second, *events)
        assert recording.is_waiting(observer)
        for name in names[10:]:
            application.order(name)
    assert {outcome["status"] for outcome in recording.finish()} == {"processed"}
    rows = committed.rows("select payment_status, user_id from payments where order_id = any(%s)", names)
    assert [(row["payment_status"], str(row["user_id"])) for row in rows] == [("DONE", USER)] * 20


def test_a_price_that_is_not_committed_yet_is_the_application_s(
    committed: Database, second: Database, observer: psycopg.Connection[Any]
) -> None:
    committed.record(paid("IN_PROGRESS", 5, price=100, approvedAt=None))
    with committed.connection.transaction():
        Application(committed.connection).order(ORDER)
        recording = Step(second, paid(price=100))
        assert recording.is_waiting(observer)
    assert [outcome["reason"] for outcome in recording.finish()] == ["amount_mismatch"]
    payment = committed.payment(ORDER)
    assert (payment["amount"], payment["payment_status"]) == (PRICE, "IN_PROGRESS")


def test_a_change_of_plan_and_a_webhook_of_the_customer_do_not_deadlock(
    committed: Database, second: Database, observer: psycopg.Connection[Any]
) -> None:
    """One transaction ends the old subscription and inserts the new one, whose billing key is told of between."""
    application = Application(committed.connection)
    application.subscribe(CUSTOMER, "bk-100")
    with committed.connection.transaction():
        application.single("update subscriptions set status = 'CANCELED' where billing_key = 'bk-100' returning *")
        recording = Step(second, billing("issued", "bk-101", 10, CUSTOMER), paid())
        assert recording.is_waiting(observer)
        application.subscribe(CUSTOMER, "bk-101", "TEAM")
    assert {outcome["status"] for outcome in recording.finish()} == {"processed"}
    assert [row[:3] for row in subscriptions(committed)] == [
        ("bk-100", "CANCELED", "PRO"),
        ("bk-101", "ACTIVE", "TEAM"),
    ]
