"""What a delivery claims, read from any JSON, and whether it says more than Toss shows."""

import datetime as dt
import hashlib
from typing import Any

import pytest
from hypothesis import given

from supatoss.inbox.claims import Claim, claim_of
from supatoss.toss import events
from supatoss.toss.models import Payment
from tests.unit.bodies import any_body

MORE = [
    ("DONE", "WAITING_FOR_DEPOSIT"),
    ("DONE", "READY"),
    ("DONE", "IN_PROGRESS"),
    ("DONE", "ABORTED"),
    ("DONE", "EXPIRED"),
    ("CANCELED", "DONE"),
    ("CANCELED", "PARTIAL_CANCELED"),
    ("PARTIAL_CANCELED", "DONE"),
    ("ABORTED", "IN_PROGRESS"),
    ("FAILED", "IN_PROGRESS"),
    ("EXPIRED", "WAITING_FOR_DEPOSIT"),
    ("WAITING_FOR_DEPOSIT", "READY"),
]
NO_MORE = [
    *((status, status) for status in ("DONE", "CANCELED", "PARTIAL_CANCELED", "ABORTED", "EXPIRED", "READY")),
    ("DONE", "CANCELED"),
    ("DONE", "PARTIAL_CANCELED"),
    ("PARTIAL_CANCELED", "CANCELED"),
    ("WAITING_FOR_DEPOSIT", "DONE"),
    ("WAITING_FOR_DEPOSIT", "CANCELED"),
    ("IN_PROGRESS", "DONE"),
    ("ABORTED", "DONE"),
    ("EXPIRED", "DONE"),
    ("FAILED", "ABORTED"),
    ("DONE", "SOMETHING_NEW"),
    ("DONE", None),
    (None, "READY"),
]
AT = dt.datetime(2026, 3, 14, 1, 0, tzinfo=dt.UTC)


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def answer(status: str | None = "DONE", **fields: object) -> Payment:
    return Payment.model_validate(
        {"paymentKey": "key-1", "orderId": "order-1", "status": status, "totalAmount": 9900, **fields}
    )


@pytest.mark.parametrize(("claimed", "shown"), MORE)
def test_a_status_that_toss_does_not_show_yet_is_more(claimed: str, shown: str) -> None:
    assert Claim("key-1", "order-1", claimed).exceeds(answer(shown))


@pytest.mark.parametrize(("claimed", "shown"), NO_MORE)
def test_a_status_that_the_payment_has_or_had_is_not(claimed: str | None, shown: str | None) -> None:
    assert not Claim("key-1", "order-1", claimed).exceeds(answer(shown))


def test_a_cancel_that_toss_does_not_show_yet_is_more() -> None:
    claim = Claim("key-1", None, "PARTIAL_CANCELED", cancels=frozenset({"t1", "t2"}))
    assert claim.exceeds(answer("PARTIAL_CANCELED", cancels=[{"transactionKey": "t1"}]))
    assert not claim.exceeds(answer("PARTIAL_CANCELED", cancels=[{"transactionKey": "t2"}, {"transactionKey": "t1"}]))


def test_a_payment_that_was_cancelled_step_by_step_stays_partial() -> None:
    assert not Claim("key-1", None, "CANCELED").exceeds(answer("PARTIAL_CANCELED", balanceAmount=0))


@pytest.mark.parametrize(("seconds", "is_more"), [(1, True), (0.9, False), (-1, False), (0, False)])
def test_a_deposit_error_told_after_the_deposit_is_more(seconds: float, is_more: bool) -> None:
    claim = Claim(None, "order-1", "WAITING_FOR_DEPOSIT", created_at=AT + dt.timedelta(seconds=seconds))
    assert claim.exceeds(answer("DONE", approvedAt=AT.isoformat())) is is_more


def test_secrets_differ_only_where_there_are_two() -> None:
    assert Claim(secret_digest=digest("a")).differs_in_secret(answer(secret="b"))
    assert not Claim(secret_digest=digest("a")).differs_in_secret(answer(secret="a"))
    assert not Claim(secret_digest=digest("a")).differs_in_secret(answer())
    assert not Claim().differs_in_secret(answer(secret="b"))


def test_a_secret_tells_attempts_apart_where_no_payment_is_named() -> None:
    other = answer(secret="b")
    assert not Claim(order_id="order-1", secret_digest=digest("a")).may_mean(other)
    assert Claim(order_id="order-1", secret_digest=digest("b")).may_mean(other)
    assert Claim(order_id="order-1").may_mean(other)
    assert Claim("key-1", "order-1", secret_digest=digest("a")).may_mean(other)


@pytest.mark.parametrize(
    ("event_type", "fields", "claim"),
    [
        (
            "DEPOSIT_CALLBACK",
            {"secret": "s", "status": "DONE", "transactionKey": "t", "orderId": "order-1"},
            Claim(None, "order-1", "DONE", secret_digest=digest("s")),
        ),
        (
            "PAYMENT_STATUS_CHANGED",
            {"data": {"paymentKey": "k", "orderId": "o", "status": "PARTIAL_CANCELED", "totalAmount": "nonsense",
                      "cancels": [{"transactionKey": "t1"}, {"transactionKey": 5}, "t2", {}]}},
            Claim("k", "o", "PARTIAL_CANCELED", cancels=frozenset({"t1"})),
        ),
        ("PAYMENT_STATUS_CHANGED", {"data": {"paymentKey": "k", "status": 5}}, Claim("k")),
        ("PAYMENT_STATUS_CHANGED", {"data": {"paymentKey": "k" * 201, "orderId": ""}}, Claim()),
        ("PAYMENT_STATUS_CHANGED", {"data": {"paymentKey": "k", "status": "MADE_UP"}}, Claim("k")),
        ("PAYMENT_STATUS_CHANGED", {"data": None}, Claim()),
        (
            "ORDER_PAYMENT_STATUS_CHANGED",
            {"data": {"payment": {"paymentKey": "k", "orderId": "o", "status": "DONE"}}},
            Claim("k", "o", "DONE"),
        ),
        ("VIRTUAL_ACCOUNT_ISSUED", {"data": {"orderId": "o"}}, Claim(None, "o", "WAITING_FOR_DEPOSIT")),
        ("VIRTUAL_ACCOUNT_DEPOSIT", {"data": {"orderId": "o", "status": "X"}}, Claim(None, "o", "DONE")),
        (
            "CANCEL_STATUS_CHANGED",
            {"data": {"transactionKey": "t", "cancelStatus": "DONE", "status": "DONE"}, "createdAt": AT.isoformat()},
            Claim(created_at=AT),
        ),
        ("payout.changed", {"entityBody": {}}, None),
        ("something.new", {"data": {"paymentKey": "k"}}, None),
    ],
)  # fmt: skip
def test_claims_of_bodies(event_type: str, fields: dict[str, Any], claim: Claim | None) -> None:
    assert claim_of(event_type, fields) == claim


@given(fields=any_body())
def test_any_json_has_a_claim_or_none(fields: Any) -> None:
    if isinstance(fields, dict):
        for event_type in events.TYPES:
            claim = claim_of(event_type, fields)
            assert claim is None or Claim.from_json(claim.to_json()).secret_digest == claim.secret_digest
