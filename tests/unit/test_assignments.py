"""`--set path=value`."""

from typing import Any

import pytest

from supatoss.cli.assignments import Assignment

BODY: dict[str, Any] = {"data": {"totalAmount": 9900, "cancels": [{"cancelAmount": 1}], "card": None}}


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("data.totalAmount=100", {"totalAmount": 100}),
        ("data.totalAmount=100.50", {"totalAmount": 100.5}),
        ("data.status=CANCELED", {"status": "CANCELED"}),
        ('data.status="DONE"', {"status": "DONE"}),
        ("data.note=a=b", {"note": "a=b"}),
        ("data.note=", {"note": ""}),
        ("data.note=NaN", {"note": "NaN"}),
        ("data.orderName=커피 외 1건", {"orderName": "커피 외 1건"}),
        ("data.card=null", {"card": None}),
        ("data.cancels.0.cancelAmount=5", {"cancels": [{"cancelAmount": 5}]}),
        ("data.card.amount=7", {"card": {"amount": 7}}),
        ('data.metadata={"a":[1]}', {"metadata": {"a": [1]}}),
    ],
)
def test_a_value_is_json_or_text(text: str, data: dict[str, Any]) -> None:
    changed = Assignment.parse(text).apply(BODY)
    assert changed == {"data": {**BODY["data"], **data}}
    assert BODY["data"]["totalAmount"] == 9900
    assert BODY["data"]["cancels"] == [{"cancelAmount": 1}]


@pytest.mark.parametrize("text", ["data.totalAmount", "=1", "data..x=1", ".x=1"])
def test_what_is_no_assignment_says_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match="should be path=value, such as"):
        Assignment.parse(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("data.totalAmount.value=1", "data.totalAmount is 9900, not an object"),
        ("data.cancels.1.cancelAmount=1", "data.cancels is a list of 1; '1' is not one of its indexes"),
        ("data.cancels.x=1", "'x' is not one of its indexes"),
    ],
)
def test_a_path_that_leads_nowhere_says_where_it_ends(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Assignment.parse(text).apply(BODY)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("data.orderID=x", "data.orderId"),
        ("data.orderld=x", "data.orderId"),
        ("dta.orderId=x", "data"),
        ("data.card.issuercode=11", "data.card.issuerCode"),
        ("eventtype=x", "eventType"),
    ],
)
def test_a_slip_is_not_a_new_field(text: str, meant: str) -> None:
    body = {"eventType": "PAYMENT_STATUS_CHANGED", "data": {"orderId": "a", "card": {"issuerCode": "61"}}}
    with pytest.raises(ValueError, match=rf"there is no such field; did you mean {meant}\?$"):
        Assignment.parse(text).apply(body)


@pytest.mark.parametrize("text", ["data.amount=1", "data.easyPay.provider=toss", "data.orderName=x", "version=2"])
def test_a_new_field_is_added(text: str) -> None:
    body = {"eventType": "PAYMENT_STATUS_CHANGED", "data": {"orderId": "a", "totalAmount": 1}}
    assert Assignment.parse(text).apply(body) != body
