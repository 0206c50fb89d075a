"""What an unsigned event claims, against what Toss answers."""

from decimal import Decimal

import pytest

from supatoss.inbox.verify import Claim, claim_of
from supatoss.toss.events import parse_event
from supatoss.toss.models import Payment

TRUE = [
    *((claimed, claimed) for claimed in ("DONE", "CANCELED", "PARTIAL_CANCELED", "ABORTED", "EXPIRED", "READY")),
    ("DONE", "CANCELED"),
    ("DONE", "PARTIAL_CANCELED"),
    ("WAITING_FOR_DEPOSIT", "DONE"),
    ("WAITING_FOR_DEPOSIT", "CANCELED"),
    ("PARTIAL_CANCELED", "CANCELED"),
    ("CANCELED", "PARTIAL_CANCELED"),  # cancelled to nothing step by step
    ("IN_PROGRESS", "DONE"),
    ("FAILED", "ABORTED"),
]
FALSE = [
    ("DONE", "WAITING_FOR_DEPOSIT"),
    ("DONE", "READY"),
    ("DONE", "IN_PROGRESS"),
    ("DONE", "ABORTED"),
    ("CANCELED", "DONE"),
    ("PARTIAL_CANCELED", "DONE"),
    ("ABORTED", "DONE"),
    ("EXPIRED", "DONE"),
    ("WAITING_FOR_DEPOSIT", "READY"),
    ("DONE", "SOMETHING_NEW"),
    ("DONE", None),
]


def answer(status: str | None = "DONE", **fields: object) -> Payment:
    return Payment.model_validate(
        {"paymentKey": "key-1", "orderId": "order-1", "status": status, "totalAmount": 9900, "secret": "ps_1", **fields}
    )


@pytest.mark.parametrize(("claimed", "answered"), TRUE)
def test_a_status_that_the_payment_has_or_had_is_borne_out(claimed: str, answered: str) -> None:
    assert Claim("key-1", "order-1", claimed).is_borne_out_by(answer(answered))


@pytest.mark.parametrize(("claimed", "answered"), FALSE)
def test_a_status_that_the_payment_cannot_have_had_is_not(claimed: str, answered: str | None) -> None:
    assert not Claim("key-1", "order-1", claimed).is_borne_out_by(answer(answered))


@pytest.mark.parametrize(
    "claim",
    [
        Claim("key-2", "order-1", "DONE"),
        Claim("key-1", "order-2", "DONE"),
        Claim("key-1", "order-1", "DONE", amount=Decimal(1)),
        Claim("key-1", "order-1", "DONE", secret="ps_2"),
    ],
    ids=["key", "order", "amount", "secret"],
)
def test_any_other_contradiction_counts(claim: Claim) -> None:
    assert not claim.is_borne_out_by(answer())


def test_what_the_event_or_toss_does_not_say_is_no_contradiction() -> None:
    assert Claim(None, "order-1", "DONE", secret="ps_2").is_borne_out_by(answer(secret=None))
    assert Claim("key-1", None, "DONE", amount=Decimal(9900)).is_borne_out_by(answer())


@pytest.mark.parametrize(
    ("body", "claim"),
    [
        (
            {"secret": "s", "status": "DONE", "transactionKey": "t", "orderId": "order-1"},
            Claim(None, "order-1", "DONE", secret="s"),
        ),
        (
            {"eventType": "VIRTUAL_ACCOUNT_DEPOSIT", "data": {"paymentKey": "k", "orderId": "o", "secret": "s"}},
            Claim("k", "o", "DONE", secret="s"),
        ),
        (
            {"eventType": "VIRTUAL_ACCOUNT_ISSUED", "data": {"paymentKey": "k", "orderId": "o"}},
            Claim("k", "o", "WAITING_FOR_DEPOSIT"),
        ),
        ({"eventType": "BILLING_DELETED", "data": {"billingKey": "b"}}, None),
        ({"eventType": "SOMETHING_NEW"}, None),
    ],
)
def test_the_claims_of_events(body: dict[str, object], claim: Claim | None) -> None:
    assert claim_of(parse_event(body)) == claim


def test_the_secret_is_not_shown() -> None:
    assert "ps_1" not in repr(Claim("k", "o", "DONE", secret="ps_1"))
