"""The shortcut for the first event of an order writes exactly what the fold writes."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.database.support import Database, Row, at, payment_event
from tests.database.test_payment_fold import APPLICATION_ROWS, histories, moment

WITHOUT_THE_SHORTCUT = """
create or replace function supatoss.project_first_events_v1(p_order_ids text[])
returns text[] language sql set search_path = '' as 'select p_order_ids'
"""

FIELDS: Row = {
    "totalAmount": st.sampled_from([10000, 9999, 0, None]),
    "balanceAmount": st.sampled_from([10000, 1]),
    "currency": st.sampled_from(["KRW", "USD", None]),
    "method": st.sampled_from(["카드", "길" * 60]),
    "orderName": st.sampled_from(["가상 상품 외 1건", "이름" * 60]),
    "receipt": st.just({"url": "https://dashboard.tosspayments.com/receipt/1"}),
    "mId": st.just("tacmeshop01"),
    "requestedAt": st.just(at(0, offset=True)),
    "approvedAt": st.sampled_from([at(3, offset=True), None]),
    "virtualAccount": st.sampled_from([{"bankCode": "20", "dueDate": at(90, offset=True)}, "text"]),
    "metadata": st.sampled_from([{"쿠폰": "봄"}, ["a list"]]),
    "failure": st.just({"code": "REJECT_CARD_PAYMENT", "message": "한도초과"}),
    "secret": st.just("ps_1"),
}

ROWS: list[Row | None] = [
    *APPLICATION_ROWS,
    {"payment_key": "key-1", "payment_method": "가상계좌", "receipt_url": "https://shop.example/1", "metadata": None},
    {"requested_at": moment(1), "order_name": "주문 1", "currency": "USD"},
    {"currency": None},
    {"amount": 0},
]


def folded(database: Database, event: Row, application_row: Row | None, *, with_shortcut: bool) -> tuple[Any, Any]:
    """The row and the verdicts after one event."""
    database.clear()
    with database.connection.transaction(force_rollback=True):
        if not with_shortcut:
            database.connection.execute(WITHOUT_THE_SHORTCUT)
        if application_row is not None:
            database.insert_payment(**application_row)
        database.record(event)
        return database.projection(), database.verdicts()


@st.composite
def first_events(draw: st.DrawFn) -> Row:
    status = draw(
        st.sampled_from(["DONE", "WAITING_FOR_DEPOSIT", "ABORTED", "EXPIRED", "FAILED", "READY", "CANCELED", "DONE"])
    )
    fields = draw(st.fixed_dictionaries({}, optional=FIELDS))
    event = payment_event(status, 2, key=draw(st.sampled_from(["key-1", "key-1", None])), **fields)
    return event if draw(st.booleans()) else {**event, "createdAt": None}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(event=first_events(), application_row=st.sampled_from(ROWS))
def test_the_shortcut_writes_what_the_fold_writes(database: Database, event: Row, application_row: Row | None) -> None:
    expected = folded(database, event, application_row, with_shortcut=False)
    assert folded(database, event, application_row, with_shortcut=True) == expected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories(), application_row=st.sampled_from(ROWS))
def test_what_comes_after_the_shortcut_ends_as_without_it(
    database: Database, history: list[Row], application_row: Row | None
) -> None:
    results = []
    for with_shortcut in (True, False):
        database.clear()
        with database.connection.transaction(force_rollback=True):
            if not with_shortcut:
                database.connection.execute(WITHOUT_THE_SHORTCUT)
            if application_row is not None:
                database.insert_payment(**application_row)
            for event in history:
                database.record(event)
            results.append((database.projection(), database.verdicts()))
    assert results[0] == results[1]


@pytest.mark.parametrize("application_row", [None, {}], ids=["no row", "a pending row"])
def test_the_common_case_takes_the_shortcut(database: Database, application_row: Row | None) -> None:
    with database.connection.transaction(force_rollback=True):
        database.connection.execute("alter function supatoss.adopt_payments_v1 rename to adopt_payments_hidden")
        if application_row is not None:
            database.insert_payment(**application_row)
        # Without its first step the fold itself cannot run, and the event would be recorded as failed.
        database.record(payment_event("DONE", 1, approvedAt=at(1, offset=True)))
        assert database.payment()["payment_status"] == "DONE"
        assert database.verdicts()[0][1:] == ("processed", None)
