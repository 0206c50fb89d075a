"""The quick reading of PAYMENT_STATUS_CHANGED means what the model means, or leaves the event to it."""

import datetime as dt
import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import example as also
from hypothesis import given
from hypothesis import strategies as st

from supatoss.inbox.event import NewEvent, Proof
from supatoss.inbox.interpret import interpret
from supatoss.toss.delivery import Delivery, read_body
from supatoss.toss.events import Event, parse_event, read_event
from supatoss.toss.fields import PaymentStatus
from supatoss.toss.models import Payment
from supatoss.toss.usual import UsualEvent, read_usual
from tests.support import GUIDE_PAYMENT, TRANSMISSION_TIME, Example, example, examples
from tests.unit.bodies import any_body, payment_body

RECEIVED_AT = dt.datetime(2026, 3, 14, 1, 21, 9, tzinfo=dt.UTC)

PAYMENTS = [item for item in examples() if item.body.get("eventType") == "PAYMENT_STATUS_CHANGED"]

NAMES = [
    *sorted(name for field in Payment.model_fields.items() for name in (field[0], str(field[1].alias))),
    *("eventType", "event_type", "createdAt", "created_at", "url", "code", "message", "canceledAt"),
]
VALUES: list[Any] = [
    *(None, True, False, 0, -0, -1, 1, 9900, 10**15 - 1, 10**15, 10**30, 12.5, 9900.0, 1e3, 0.1234567, -0.0),
    *("", " ", "x", "0", "9900", "가" * 101, "k" * 100, "k" * 101, "k" * 200, "k" * 201, "KRW", "USD", "KRW\n", "krw"),
    *("MUSD", "ABCDEFGHIJK", "PAYMENT_STATUS_CHANGED", "SOMETHING_NEW", *PaymentStatus),
    *("2026-03-14T10:21:08+09:00", "2026-03-14T10:21:08.405124", "2026-03-14t10:21:08z", "2026-03-14 10:21:08"),
    *("2026-03-14T10:21:08.123456789Z", "2026-03-14T23:59:60Z", "2026-W11-6T10:00", "9999-12-31T23:59:59-10:00"),
    *([], {}, [None], [{}], [{"canceledAt": "2026-03-14T10:21:08+09:00", "cancelAmount": 12.5}], [{"canceledAt": 1}]),
    *({"url": ""}, {"url": 5}, {"url": "u"}, {"code": "c", "message": None}, {"code": 1}, {"rate": 0.5}),
    *("https://example.test/receipt", "a\x00b", "\ud800"),
]


def raw(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode("ascii")


def record(event: Event | UsualEvent, body: dict[str, Any]) -> dict[str, Any]:
    """All that the database is told of an event."""
    delivery = Delivery(b"", transmission_time=TRANSMISSION_TIME.encode())
    read = read_body(raw(body))
    return NewEvent(event, read, interpret(event), Proof.SIGNATURE, RECEIVED_AT, delivery).to_record()


def assert_both_mean_the_same(body: dict[str, Any]) -> None:
    fields = read_body(raw(body)).fields
    usual, closely = read_event(fields), parse_event(fields)
    assert usual.event_type == closely.event_type
    assert usual.created_at == closely.created_at
    assert interpret(usual) == interpret(closely)
    assert record(usual, body) == record(closely, body)


@st.composite
def altered_payments(draw: st.DrawFn) -> dict[str, Any]:
    """A body of Toss or of the guide with some values and names of another place or kind."""
    body: dict[str, Any] = deepcopy(
        draw(st.sampled_from([*(item.body for item in PAYMENTS), GUIDE_PAYMENT, payment_body()]))
    )
    for _ in range(draw(st.integers(1, 4))):
        objects = [body, *([body["data"]] * 4 if isinstance(body.get("data"), dict) else [])]
        place = draw(st.sampled_from(objects))
        name = draw(st.sampled_from(NAMES) | st.sampled_from(sorted(place) or ["x"]))
        if draw(st.booleans()):
            place[name] = draw(
                st.sampled_from(VALUES).map(deepcopy) | st.datetimes().map(dt.datetime.isoformat) | st.text()
            )
        else:
            place.pop(name, None)
    return body


@pytest.mark.parametrize("item", examples(), ids=lambda item: item.name)
def test_every_example_means_the_same(item: Example) -> None:
    assert_both_mean_the_same(item.body)


@given(altered_payments())
@also(payment_body(payment_key="another"))
@also(payment_body(approved_at="2026-03-14T10:21:08+09:00"))
@also(payment_body(status="CANCELED", virtualAccount={}, approvedAt=None))
@also(payment_body(status="CANCELED", virtualAccount={}))
@also(payment_body(status="CANCELED", virtualAccount={}, approvedAt="soon"))
@also(payment_body(currency="KRW\n", totalAmount=True))
def test_every_variation_of_a_payment_means_the_same(body: dict[str, Any]) -> None:
    assert_both_mean_the_same(body)


@given(any_body())
def test_every_other_body_means_the_same(body: dict[str, Any]) -> None:
    assert_both_mean_the_same(body)


@pytest.mark.parametrize("name", sorted(set(NAMES)))
def test_every_value_in_every_field_means_the_same(name: str) -> None:
    whole = example("payment_card_done").body
    for value in VALUES:
        assert_both_mean_the_same({**whole, name: value})
        assert_both_mean_the_same({**whole, "data": {**whole["data"], name: value}})


def test_all_payments_of_toss_in_won_are_read_quickly() -> None:
    slow = [item.name for item in PAYMENTS if not isinstance(read_event(read_body(raw(item.body)).fields), UsualEvent)]
    assert slow == ["payment_card_usd_done"]


def test_the_payment_of_the_guide_is_read_quickly() -> None:
    assert isinstance(read_event(GUIDE_PAYMENT), UsualEvent)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"eventType": "PAYMENT_STATUS_CHANGED"},
        payment_body(totalAmount=-1),
        payment_body(totalAmount="9900"),
        payment_body(orderId=""),
        payment_body(payment_key="another"),
        {**payment_body(), "created_at": "2026-03-14T10:21:08"},
    ],
)
def test_what_does_not_fit_is_left_to_the_model(fields: dict[str, Any]) -> None:
    assert read_usual(fields) is None
