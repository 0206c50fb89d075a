"""The first event of an order, by far the most common case, against a model of what its row has to be."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.database.support import Database, Row, at, cancel, payment_event, record_of
from tests.database.test_payment_fold import moment

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
    None,
    {},
    {"payment_key": "key-1", "payment_method": "가상계좌", "receipt_url": "https://shop.example/1", "metadata": None},
    {"requested_at": moment(1), "order_name": "주문 1", "currency": "USD"},
    {"currency": None},
    {"amount": 0},
    {"payment_status": "FAILED", "failure_code": "MINE"},
]
MOVED = ("DONE", "CANCELED")
FAILED = ("READY", "ABORTED", "EXPIRED", "FAILED")


@st.composite
def first_events(draw: st.DrawFn) -> Row:
    status = draw(
        st.sampled_from(["DONE", "WAITING_FOR_DEPOSIT", "ABORTED", "EXPIRED", "FAILED", "READY", "CANCELED", "DONE"])
    )
    fields = draw(st.fixed_dictionaries({}, optional=FIELDS))
    return payment_event(status, 2, key=draw(st.sampled_from(["key-1", "key-1", None])), **fields)


def is_refused(event: Row, application: Row | None) -> bool:
    """Whether money moved at another price than the application asked for."""
    data = event["data"]
    if application is None or data["status"] not in MOVED:
        return False
    asked = {"amount": 10000, "currency": "KRW", **application}
    return any(
        None not in (reported, asked[name]) and reported != asked[name]
        for name, reported in (("amount", data.get("totalAmount")), ("currency", data.get("currency")))
    )


def expected(event: Row, application: Row | None) -> Row:
    """The columns that an event decides, where it is the only one of its order."""
    data, change = event["data"], record_of(event)["change"]
    status, asked = data["status"], application or {}
    is_moved = status in MOVED
    nameless = "order:order-1" if application is None else "placeholder-1"
    amount = asked.get("amount", 10000) if application is not None else data.get("totalAmount") or 0
    balance = {"DONE": data.get("balanceAmount", data.get("totalAmount")), "CANCELED": 0}.get(status)
    approved_at = data.get("approvedAt") or (at(2, offset=True) if status == "DONE" else None)
    failure = data.get("failure", {}) if status in FAILED else {}
    return {
        "payment_status": status,
        "payment_key": data["paymentKey"] or asked.get("payment_key") or nameless,
        "amount": amount,
        "currency": ({"currency": "KRW", **asked}["currency"] if application is not None else None)
        or data.get("currency")
        or "KRW",
        "order_name": "주문 1" if application is not None else data.get("orderName", "order-1")[:100],
        "payment_method": data["method"][:50] if "method" in data else asked.get("payment_method"),
        "receipt_url": data["receipt"]["url"] if "receipt" in data else asked.get("receipt_url"),
        "merchant_id": data.get("mId"),
        "requested_at": moment(0) if "requestedAt" in data else asked.get("requested_at"),
        "approved_at": moment(int(approved_at[17:19])) if is_moved and approved_at else None,
        "canceled_at": moment(2) if status == "CANCELED" else None,
        "balance_amount": None if balance is None else Decimal(balance),
        "virtual_account": change.get("virtual_account"),
        "metadata": change.get("metadata"),
        "failure_code": failure.get("code"),
        "failure_message": failure.get("message"),
        "occurred_at": moment(2),
    }


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(event=first_events(), application=st.sampled_from(ROWS))
def test_the_row_after_one_event(database: Database, event: Row, application: Row | None) -> None:
    database.clear()
    if application is not None:
        database.insert_payment(**application)
    before: Any = database.projection()
    (outcome,) = database.record(event)
    if is_refused(event, application):
        assert (outcome["status"], outcome["reason"]) == ("failed", "amount_mismatch")
        assert [row["payment_status"] for row in database.projection()] == [row["payment_status"] for row in before]
        return
    assert (outcome["status"], outcome["reason"]) == ("processed", None)
    row = database.payment()
    wanted = expected(event, application)
    assert {name: row[name] for name in wanted} == wanted


@pytest.mark.parametrize("application", [None, {}], ids=["no row", "a pending row"])
def test_the_same_event_again_changes_nothing(database: Database, application: Row | None) -> None:
    if application is not None:
        database.insert_payment(**application)
    database.record(payment_event("DONE", 1))
    (before,) = database.rows("select xmin::text, p.* from payments p")
    assert database.record(payment_event("DONE", 1))[0]["outcome"] == "duplicate"
    assert database.rows("select xmin::text, p.* from payments p") == [before]


CHANGES: Row = {
    "is_first": st.just(value=True),
    "amount": st.sampled_from(["10000", "99.50", None]),
    "balance": st.sampled_from(["10000", "1.50", None]),
    "currency": st.sampled_from(["USD", None]),
    "order_name": st.sampled_from(["이름" * 60, None]),
    "method": st.sampled_from(["길" * 60, None]),
    "approved_at": st.sampled_from([at(3, offset=True), None]),
    "canceled_at": st.sampled_from([at(4, offset=True), None]),
    "requested_at": st.sampled_from([at(0, offset=True), None]),
    "failure_code": st.just("REJECT_CARD_PAYMENT"),
    "failure_message": st.sampled_from(["한도초과", None]),
    "receipt_url": st.just("https://dashboard.tosspayments.com/receipt/1"),
    "metadata": st.sampled_from([{"쿠폰": None}, ["a list"], None]),
    "virtual_account": st.sampled_from([{"bankCode": "20", "dueDate": None}, "text", None]),
    "merchant_id": st.just("tacmeshop01"),
    "cancels": st.sampled_from([[cancel("t1", 3000, 4)], [], "text", None]),
    "was_approved": st.booleans(),
}
STATUSES = ("READY", "IN_PROGRESS", "WAITING_FOR_DEPOSIT", "DONE", "PARTIAL_CANCELED", "CANCELED", "ABORTED", "EXPIRED")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(
    status=st.sampled_from(STATUSES),
    change=st.fixed_dictionaries({}, optional=CHANGES),
    time=st.sampled_from([at(2, offset=True), None]),
    settled=st.sampled_from([(), ("payment_key",), ("order_id",), ("payment_key", "order_id")]),
)
def test_the_fold_would_write_the_same_row(
    database: Database, status: str, change: Row, time: str | None, settled: tuple[str, ...]
) -> None:
    """Whatever a change says, in every combination: what is written at once is what the fold comes to."""
    database.clear()
    for second, column in enumerate(settled):
        value = {"payment_key": "key-1", "order_id": "order-1"}[column]
        database.connection.execute(
            "insert into settlements (settlement_key, kind, status, occurred_at, event_key, settled_at, "
            f"{column}) values (%s, 'settlement', 'COMPLETED', now(), %s, %s, %s)",
            [column, column, at(50 - second, offset=True), value],
        )
    event = record_of(payment_event("DONE", 2))
    event |= {"change": {"kind": "payment", "status": status, **change}, "occurred_at": time}
    database.record_records([event])
    written = database.projection()

    database.connection.execute("delete from payments")
    assert database.call("select supatoss.fold_orders('{order-1}', '{}')")

    assert database.projection() == written


def test_what_no_event_says_is_null_whatever_the_default_of_a_project(database: Database) -> None:
    """An adopted table may have the column already: the first event would leave the default, the next one not."""
    database.connection.execute(
        "alter table payments alter cancels set default '[]', alter canceled_at set default '2026-01-01'"
    )
    database.record(payment_event("WAITING_FOR_DEPOSIT", 1))
    first = database.payment()
    assert (first["cancels"], first["canceled_at"]) == (None, None)
    database.record(payment_event("DONE", 2))
    second = database.payment()
    assert (second["cancels"], second["canceled_at"], second["application_state"]) == (None, None, None)
