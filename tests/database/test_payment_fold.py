"""A payments row is a function of the set of events, not of their order or number (design rule 4)."""

import datetime as dt
import itertools
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.database.support import Database, Row, at, cancel, payment_event


def moment(second: int) -> dt.datetime:
    return dt.datetime.fromisoformat(at(second, offset=True))


@st.composite
def histories(draw: st.DrawFn) -> list[Row]:
    """Events of one order: legal stories and impossible ones, with ties in time, several attempts, foreign amounts."""
    events = []
    for index in range(draw(st.integers(1, 5))):
        status = draw(
            st.sampled_from(
                ["DONE", "DONE", "CANCELED", "PARTIAL_CANCELED", "WAITING_FOR_DEPOSIT", "ABORTED", "EXPIRED", "READY"]
            )
        )
        second = draw(st.integers(0, 4))
        extra: Row = {}
        if status == "PARTIAL_CANCELED":
            extra = {"cancels": [cancel(f"t{index}", 1000, second)], "balanceAmount": 9000 - 1000 * index}
            if draw(st.booleans()):
                extra = {"totalAmount": None, "currency": None}  # A DEPOSIT_CALLBACK has no amounts.
        if status == "ABORTED":
            extra = {"failure": {"code": f"CODE_{index}", "message": "거절"}}
        if draw(st.booleans()):
            extra["method"] = draw(st.sampled_from(["카드", "가상계좌"]))
        if draw(st.integers(0, 5)) == 0:
            extra["totalAmount"] = 9999
        key = draw(st.sampled_from(["key-1", "key-1", "key-2", None]))
        event = payment_event(status, second, key=key, **extra)
        if draw(st.integers(0, 6)) == 0:
            del event["createdAt"]
        events.append(event)
    return events


APPLICATION_ROWS: list[Row | None] = [
    None,
    {},
    {"payment_status": "DONE", "payment_key": "key-1", "approved_at": moment(1)},
    {"payment_status": "DONE", "approved_at": moment(2)},
    {"payment_status": "DONE", "approved_at": moment(2 + 9 * 3600)},
    {"payment_status": "DONE", "payment_key": "key-2"},
    {"payment_status": "PARTIAL_CANCELED", "canceled_at": moment(2)},
    {"payment_status": "WAITING_FOR_DEPOSIT", "payment_key": "key-1"},
    {"payment_status": "CANCELED", "payment_key": "key-1", "canceled_at": moment(3)},
    {"payment_status": "FAILED", "failure_code": "MINE"},
]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), history=histories(), application_row=st.sampled_from(APPLICATION_ROWS))
def test_any_order_any_repetition_and_any_calls_give_the_same_rows(
    database: Database, data: st.DataObject, history: list[Row], application_row: Row | None
) -> None:
    results = []
    shuffled = data.draw(st.permutations(history * 2))
    cuts = [0, *sorted(data.draw(st.sets(st.integers(1, len(shuffled) - 1)))), len(shuffled)]
    calls: list[list[list[Row]]] = [
        [history],
        [[event] for event in reversed(history)],
        [shuffled[start:end] for start, end in itertools.pairwise(cuts)],
    ]
    for batches in calls:
        database.clear()
        if application_row is not None:
            database.insert_payment(**application_row)
        for batch in batches:
            database.record(*batch)
        results.append((database.projection(), database.verdicts()))
    assert results[1] == results[0]
    assert results[2] == results[0]


STORY_OF_A_DEPOSIT = [
    payment_event("WAITING_FOR_DEPOSIT", 0, virtualAccount={"bankCode": "20", "accountNumber": "X1"}),
    payment_event("DONE", 10, virtualAccount={"bankCode": "20", "accountNumber": "X1"}),
    payment_event("WAITING_FOR_DEPOSIT", 20),
    payment_event("DONE", 30),
    payment_event("CANCELED", 40, approvedAt=at(30, offset=True), cancels=[cancel("t1", 10000, 40)], balanceAmount=0),
]


@pytest.mark.parametrize("order", list(itertools.permutations(range(5))), ids=lambda order: "".join(map(str, order)))
def test_a_deposit_with_an_error_ends_the_same_in_all_120_orders(database: Database, order: tuple[int, ...]) -> None:
    for index in order:
        database.record(STORY_OF_A_DEPOSIT[index])
    payment = database.payment()
    assert payment["payment_status"] == "CANCELED"
    assert payment["approved_at"] == moment(30)
    assert payment["canceled_at"] == moment(40)
    assert payment["balance_amount"] == 0
    assert payment["virtual_account"] == {"bankCode": "20", "accountNumber": "X1"}


def test_a_deposit_error_takes_back_what_the_deposit_had_set(database: Database) -> None:
    database.record(STORY_OF_A_DEPOSIT[0])
    database.record(STORY_OF_A_DEPOSIT[1])
    assert database.payment()["approved_at"] == moment(10)
    assert database.payment()["balance_amount"] == 10000
    database.record(STORY_OF_A_DEPOSIT[2])
    payment = database.payment()
    assert (payment["payment_status"], payment["approved_at"], payment["balance_amount"]) == (
        "WAITING_FOR_DEPOSIT",
        None,
        None,
    )


@pytest.mark.parametrize("late", ["READY", "IN_PROGRESS", "ABORTED", "EXPIRED", "FAILED"])
@pytest.mark.parametrize("money", ["DONE", "PARTIAL_CANCELED", "CANCELED"])
def test_a_late_failure_never_overwrites_money_that_moved(database: Database, money: str, late: str) -> None:
    database.record(payment_event(money, 10))
    database.record(payment_event(late, 3600, failure={"code": "X", "message": "늦음"}))
    payment = database.payment()
    assert (payment["payment_status"], payment["failure_code"]) == (money, None)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_done_and_aborted_46_ms_apart(database: Database, order: tuple[int, int]) -> None:
    events = [payment_event("DONE", 47), payment_event("ABORTED", 47)]
    events[0]["createdAt"] = "2026-03-14T16:35:47.683000"
    events[1]["createdAt"] = "2026-03-14T16:35:47.729000"
    for index in order:
        database.record(events[index])
    assert database.payment()["payment_status"] == "DONE"


def test_a_cancel_in_the_same_second_as_its_approval_wins(database: Database) -> None:
    database.record(payment_event("CANCELED", 10))
    database.record(payment_event("DONE", 10))
    payment = database.payment()
    assert (payment["payment_status"], payment["approved_at"]) == ("CANCELED", moment(10))


def test_a_late_done_fills_the_approval_time_under_canceled(database: Database) -> None:
    database.record(payment_event("CANCELED", 50, cancels=[cancel("t1", 10000, 49)]))
    assert database.payment()["approved_at"] is None
    database.record(payment_event("DONE", 10))
    payment = database.payment()
    assert payment["payment_status"] == "CANCELED"
    assert (payment["approved_at"], payment["canceled_at"]) == (moment(10), moment(49))


def test_partial_cancels_are_gathered_by_transaction(database: Database) -> None:
    first = cancel("t1", 3000, 20)
    database.record(payment_event("DONE", 10, balanceAmount=10000))
    database.record(payment_event("PARTIAL_CANCELED", 30, cancels=[first, cancel("t2", 2000, 30)], balanceAmount=5000))
    database.record(payment_event("PARTIAL_CANCELED", 20, cancels=[first], balanceAmount=7000))
    payment = database.payment()
    assert payment["payment_status"] == "PARTIAL_CANCELED"
    assert [item["transactionKey"] for item in payment["cancels"]] == ["t1", "t2"]
    assert (payment["balance_amount"], payment["canceled_at"]) == (5000, None)


def test_a_payment_cancelled_step_by_step_to_nothing_stays_partial_and_has_its_time(database: Database) -> None:
    cancels = [cancel("t1", 4000, 20), cancel("t2", 6000, 30)]
    database.record(payment_event("PARTIAL_CANCELED", 30, cancels=cancels, balanceAmount=0))
    payment = database.payment()
    assert (payment["payment_status"], payment["balance_amount"]) == ("PARTIAL_CANCELED", 0)
    assert payment["canceled_at"] == moment(30)


def test_a_balance_that_nobody_tells_is_computed_from_the_cancels(database: Database) -> None:
    database.record(payment_event("PARTIAL_CANCELED", 30, cancels=[cancel("t1", 4000, 20)]))
    assert database.payment()["balance_amount"] == 6000


def test_failure_is_stored_and_goes_when_a_second_attempt_pays(database: Database) -> None:
    failure = {"code": "REJECT_CARD_COMPANY", "message": "결제 승인이 거절되었습니다."}
    database.record(payment_event("ABORTED", 10, failure=failure))
    payment = database.payment()
    assert (payment["failure_code"], payment["failure_message"]) == (failure["code"], failure["message"])
    database.record(payment_event("DONE", 20, key="key-2"))
    payment = database.payment()
    assert (payment["payment_status"], payment["payment_key"], payment["failure_code"]) == ("DONE", "key-2", None)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_failed_attempt_never_hides_a_paid_one(database: Database, order: tuple[int, ...]) -> None:
    events = [
        payment_event("ABORTED", 10, key="key-1"),
        payment_event("DONE", 20, key="key-2"),
        payment_event("EXPIRED", 3000, key="key-3"),
    ]
    for index in order:
        database.record(events[index])
    payment = database.payment()
    assert (payment["payment_key"], payment["payment_status"]) == ("key-2", "DONE")


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_charges_in_the_same_second_the_one_reported_first_counts(
    database: Database, order: tuple[int, int]
) -> None:
    approved_at = at(10, offset=True)
    events = [
        payment_event("DONE", 11, key="key-2", approvedAt=approved_at),
        payment_event("DONE", 12, key="key-1", approvedAt=approved_at),
    ]
    for index in order:
        database.record(events[index])
    assert database.payment()["payment_key"] == "key-2"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_paid_attempts_are_a_double_charge(database: Database, order: tuple[int, int]) -> None:
    events = [payment_event("DONE", 10, key="key-1"), payment_event("DONE", 300, key="key-2")]
    for index in order:
        database.record(events[index])
    assert database.payment()["payment_key"] == "key-1"
    (failed,) = database.rows(
        "select payment_key, reason, last_error, processed from webhook_events where status = 'failed'"
    )
    assert failed["payment_key"] == "key-2"
    assert (failed["reason"], failed["processed"]) == ("double_charge", False)
    assert "key-1" in failed["last_error"]


def test_a_refund_of_one_of_two_charges_settles_the_double_charge(database: Database) -> None:
    database.record(payment_event("DONE", 10, key="key-1"), payment_event("DONE", 300, key="key-2"))
    database.record(payment_event("CANCELED", 900, key="key-1", approvedAt=at(10, offset=True)))
    assert database.payment()["payment_key"] == "key-2"
    assert database.rows("select 1 from webhook_events where status = 'failed'") == []


def test_the_placeholder_of_the_application_is_replaced(database: Database) -> None:
    database.insert_payment(user_id="00000000-0000-0000-0000-000000000001", metadata='{"cart": 7}')
    database.record(payment_event("DONE", 10, orderName="Toss's name", metadata={"from": "browser"}))
    payment = database.payment()
    assert (payment["payment_key"], payment["payment_status"]) == ("key-1", "DONE")
    assert payment["order_name"] == "주문 1"
    assert payment["metadata"] == {"cart": 7}
    assert str(payment["user_id"]).endswith("1")


def test_a_paid_row_with_a_placeholder_is_the_payment_that_toss_reports(database: Database) -> None:
    database.insert_payment(payment_status="DONE", approved_at=moment(12))
    database.record(payment_event("DONE", 10))
    assert database.payment()["payment_key"] == "key-1"
    assert database.rows("select 1 from webhook_events where status = 'failed'") == []


def test_a_paid_row_and_an_event_that_goes_before_all_others(database: Database) -> None:
    database.insert_payment(payment_status="DONE", approved_at=moment(12))
    issued = {"eventType": "VIRTUAL_ACCOUNT_ISSUED", "data": payment_event("DONE", 10)["data"]}
    (outcome,) = database.record(issued)
    assert (outcome["status"], database.payment()["payment_key"]) == ("processed", "key-1")


def test_what_the_application_writes_between_two_events_counts(database: Database) -> None:
    database.insert_payment()
    database.record(payment_event("ABORTED", 10, key="key-1"))
    database.connection.execute(
        "update payments set payment_status = 'DONE', payment_key = 'key-2', approved_at = %s", [moment(20)]
    )
    database.record(payment_event("EXPIRED", 3000, key="key-1"))
    payment = database.payment()
    assert (payment["payment_key"], payment["payment_status"]) == ("key-2", "DONE")


@pytest.mark.parametrize("status", ["DONE", "PARTIAL_CANCELED", "CANCELED"])
def test_an_amount_that_differs_from_the_application_s_is_not_paid(database: Database, status: str) -> None:
    database.insert_payment(amount=9900)
    (outcome,) = database.record(payment_event(status, 10, totalAmount=100))
    assert (outcome["status"], outcome["reason"]) == ("failed", "amount_mismatch")
    payment = database.payment()
    assert (payment["payment_status"], payment["amount"]) == ("PENDING", 9900)
    (event,) = database.rows("select last_error, processed from webhook_events")
    assert event["last_error"] == "Toss reports 100 KRW, the application stored 9900 KRW for this order"
    assert event["processed"] is False


def test_a_currency_that_differs_is_not_paid(database: Database) -> None:
    database.insert_payment(amount=50, currency="USD")
    (outcome,) = database.record(payment_event("DONE", 10, totalAmount=50, currency="KRW"))
    assert outcome["reason"] == "amount_mismatch"


def test_a_mended_amount_lets_the_event_count_when_it_is_delivered_again(database: Database) -> None:
    database.insert_payment(amount=9900)
    event = payment_event("DONE", 10)
    database.record(event)
    database.connection.execute("update payments set amount = 10000")
    (outcome,) = database.record(event)
    assert (outcome["outcome"], outcome["status"]) == ("duplicate", "processed")
    assert database.payment()["payment_status"] == "DONE"


def test_cents_stay_exact(database: Database) -> None:
    database.record(payment_event("DONE", 10, totalAmount=12.1, balanceAmount=12.1, currency="USD"))
    payment = database.payment()
    assert (payment["amount"], payment["currency"]) == (Decimal("12.1"), "USD")


def test_an_event_without_an_order_waits_until_another_names_it(database: Database) -> None:
    event = payment_event("CANCELED", 40, order="", approvedAt=at(10, offset=True))
    (outcome,) = database.record(event)
    assert (outcome["status"], outcome["reason"]) == ("pending", "unknown_order")
    database.record(payment_event("DONE", 10))
    assert database.payment()["payment_status"] == "CANCELED"
    assert database.rows("select 1 from webhook_events where status <> 'processed'") == []


def test_the_amount_is_zero_until_somebody_says_it(database: Database) -> None:
    issued: dict[str, Any] = {
        "eventType": "VIRTUAL_ACCOUNT_ISSUED",
        "data": {"paymentKey": "key-1", "orderId": "order-1"},
    }
    database.record(issued)
    assert database.payment()["amount"] == 0
    database.record(payment_event("DONE", 10))
    payment = database.payment()
    assert (payment["amount"], payment["payment_status"]) == (10000, "DONE")


@pytest.mark.parametrize("balances", [(7000, 4000), (4000, 7000), (7000, None), (None, 4000)])
@pytest.mark.parametrize("approved", [(3, 1), (1, 3), (None, 1), (1, None)])
def test_of_two_reports_of_one_moment_the_earlier_approval_and_the_lower_balance_count(
    database: Database, balances: tuple[int | None, ...], approved: tuple[int | None, ...]
) -> None:
    database.record(
        *(
            payment_event(
                "PARTIAL_CANCELED",
                9,
                approvedAt=None if second is None else at(second, offset=True),
                balanceAmount=balance,
                orderName=f"보고 {number}",
            )
            for number, (second, balance) in enumerate(zip(approved, balances, strict=True))
        )
    )

    row = database.payment()
    assert row["approved_at"] == moment(1)
    assert row["balance_amount"] == min(balance for balance in balances if balance is not None)
