"""What the application writes about a payment, beside what Toss reports of the same money."""

import datetime as dt
import itertools
from typing import Any

import pytest

from tests.database.support import Database, Row, at, cancel, payment_event, record_of
from tests.database.test_payment_fold import moment

REFUND = payment_event(
    "CANCELED", 40, approvedAt=at(10, offset=True), cancels=[cancel("t1", 10000, 40)], balanceAmount=0
)
OFF = {"three minutes": 190, "nine hours early": 10 - 32400, "nine hours late": 10 + 32400, "a year": 31536000}


def shown(database: Database) -> tuple[Any, ...]:
    row = database.payment()
    return (row["payment_key"], row["payment_status"], row["approved_at"], row["canceled_at"])


def not_accepted(database: Database) -> list[Row]:
    return database.rows("select event_key, reason from webhook_events where status <> 'processed'")


@pytest.mark.parametrize("key", ["placeholder-1", "key-1"])
@pytest.mark.parametrize("off", OFF.values(), ids=OFF)
def test_a_clock_that_is_off_changes_nothing_once_toss_has_reported(database: Database, off: int, key: str) -> None:
    database.insert_payment(payment_status="DONE", payment_key=key, approved_at=moment(off))
    database.record(payment_event("DONE", 10))
    assert shown(database) == ("key-1", "DONE", moment(10), None)
    database.record(REFUND)
    assert shown(database) == ("key-1", "CANCELED", moment(10), moment(40))
    assert not_accepted(database) == []


@pytest.mark.parametrize("off", [*OFF.values(), None])
@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_a_deposit_error_is_shown_whatever_the_application_wrote(
    database: Database, off: int | None, order: tuple[int, ...]
) -> None:
    database.insert_payment(payment_status="DONE", approved_at=None if off is None else moment(off))
    events = [
        payment_event("WAITING_FOR_DEPOSIT", 0),
        payment_event("DONE", 10),
        payment_event("WAITING_FOR_DEPOSIT", 20),
        payment_event("ABORTED", 5, key="key-0"),
    ]
    for index in order:
        database.record(events[index])
    assert shown(database) == ("key-1", "WAITING_FOR_DEPOSIT", None, None)


def test_a_paid_row_wins_over_an_older_wait_and_loses_to_a_newer_one(database: Database) -> None:
    database.insert_payment(payment_status="DONE", payment_key="key-1", approved_at=moment(10))
    database.record(payment_event("WAITING_FOR_DEPOSIT", 0))
    assert shown(database) == ("key-1", "DONE", moment(10), None)
    database.record(payment_event("WAITING_FOR_DEPOSIT", 20))
    assert shown(database) == ("key-1", "WAITING_FOR_DEPOSIT", None, None)


def test_a_paid_row_wins_over_an_end_that_toss_reports_late(database: Database) -> None:
    database.insert_payment(payment_status="DONE", payment_key="key-1", approved_at=moment(10))
    database.record(payment_event("EXPIRED", 15))
    assert shown(database) == ("key-1", "DONE", moment(10), None)


@pytest.mark.parametrize("end", ["ABORTED", "EXPIRED", "FAILED"])
@pytest.mark.parametrize("lagging", ["READY", "IN_PROGRESS", "WAITING_FOR_DEPOSIT"])
def test_an_answer_that_lags_takes_nothing_back(database: Database, end: str, lagging: str) -> None:
    database.record(payment_event("WAITING_FOR_DEPOSIT", 0), payment_event(end, 10, failureCode="X"))
    database.record(payment_event(lagging, 20))
    row = database.payment()
    assert (row["payment_status"], row["failure_code"]) == (end, "X")
    database.record(payment_event("DONE", 30))
    assert database.payment()["payment_status"] == "DONE"


def test_a_paid_row_from_the_future_is_of_the_time_when_it_was_read(database: Database) -> None:
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(hours=9)
    database.insert_payment(payment_status="DONE", payment_key="key-1", approved_at=soon)
    database.record(payment_event("READY", 0))
    assert database.payment()["payment_status"] == "DONE"
    later = payment_event("WAITING_FOR_DEPOSIT", 0)
    later["createdAt"] = (dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1)).isoformat()
    database.record(later)
    assert database.payment()["payment_status"] == "WAITING_FOR_DEPOSIT"


@pytest.mark.parametrize("wrote", ["DONE", "CANCELED", "PARTIAL_CANCELED"])
@pytest.mark.parametrize("key", ["placeholder-1", "key-1"])
def test_toss_s_status_wins_over_the_application_s(database: Database, wrote: str, key: str) -> None:
    database.insert_payment(payment_status=wrote, payment_key=key, canceled_at=moment(30), approved_at=moment(5))
    database.record(payment_event("DONE", 10))
    assert shown(database) == ("key-1", "DONE", moment(10), None)
    assert database.payment()["balance_amount"] == 10000


def test_a_time_that_toss_does_not_say_is_the_application_s(database: Database) -> None:
    database.insert_payment(payment_status="DONE", approved_at=moment(10))
    database.record(payment_event("CANCELED", 40, cancels=[cancel("t1", 10000, 40)]))
    assert shown(database) == ("key-1", "CANCELED", moment(10), moment(40))


def test_a_payment_at_another_price_is_not_the_application_s(database: Database) -> None:
    database.insert_payment(payment_status="DONE", approved_at=moment(10), amount=9900)
    database.record(payment_event("DONE", 10, totalAmount=100))
    assert shown(database) == ("placeholder-1", "DONE", moment(10), None)
    assert [row["reason"] for row in not_accepted(database)] == ["amount_mismatch"]


def test_the_first_of_two_payments_is_the_application_s(database: Database) -> None:
    database.insert_payment(payment_status="DONE", approved_at=moment(9999))
    database.record(payment_event("DONE", 300, key="key-2"), payment_event("DONE", 10))
    assert shown(database) == ("key-1", "DONE", moment(10), None)
    assert [row["reason"] for row in not_accepted(database)] == ["double_charge"]


WITHOUT_AMOUNTS = payment_event("PARTIAL_CANCELED", 40, totalAmount=None, currency=None, approvedAt=None)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_change_without_amounts_takes_none_away(database: Database, order: tuple[int, ...]) -> None:
    events = [
        payment_event("DONE", 10, balanceAmount=10000),
        WITHOUT_AMOUNTS,
        payment_event("PARTIAL_CANCELED", 30, cancels=[cancel("t1", 3000, 30)], balanceAmount=7000),
    ]
    for index in order:
        database.record(events[index])
    payment = database.payment()
    assert (payment["payment_status"], payment["amount"], payment["balance_amount"]) == (
        "PARTIAL_CANCELED",
        10000,
        7000,
    )
    assert [item["transactionKey"] for item in payment["cancels"]] == ["t1"]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_money_that_may_be_gone_makes_no_double_charge(database: Database, order: tuple[int, ...]) -> None:
    events = [
        payment_event("DONE", 10, balanceAmount=10000),
        WITHOUT_AMOUNTS,
        payment_event("DONE", 60, key="key-2"),
    ]
    database.record(*events[:2])
    assert database.payment()["balance_amount"] == 10000
    database.clear()
    for index in order:
        database.record(events[index])
    assert (database.payment()["payment_key"], database.payment()["payment_status"]) == ("key-2", "DONE")
    assert not_accepted(database) == []


def test_any_code_of_currency_is_kept(database: Database) -> None:
    record = record_of(payment_event("DONE", 10))
    (outcome,) = database.record_records([record | {"change": record["change"] | {"currency": "MUSD"}}])
    assert (outcome["status"], database.payment()["currency"]) == ("processed", "MUSD")
