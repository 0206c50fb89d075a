"""What the model expects of rows and events, seen in both directions: right rows pass, wrong ones are told apart."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.model.expect import Expected, Row
from tests.model.shop import Order
from tests.model.truth import Attempt, Clock, Kind, Toss

DONE = ("authenticate", "approve")


def attempt_at(toss: Toss, key: str, *moves: str, total: int = 10000, kind: Kind = Kind.CARD) -> Attempt:
    attempt = toss.open(key, "order-1", kind, Decimal(total), "KRW")
    for move in moves:
        toss.clock.advance(60)
        toss.move(attempt, move)
    return attempt


@pytest.fixture
def toss() -> Toss:
    return Toss(Clock())


def order(*, is_inserted: bool = True) -> Order:
    return Order("order-1", Decimal(10000), "KRW", is_inserted=is_inserted, key="placeholder-order-1")


def row_of(attempt: Attempt, **other: Any) -> Row:
    return {
        "payment_key": attempt.payment_key,
        "payment_status": attempt.status,
        "amount": attempt.total,
        "currency": attempt.currency,
        "balance_amount": attempt.balance if attempt.moved_money else None,
        "approved_at": attempt.approved_at,
        "canceled_at": attempt.cancels[-1].at if attempt.cancels and not attempt.balance else None,
        "cancels": [
            {"transactionKey": item.transaction_key, "cancelAmount": int(item.amount)} for item in attempt.cancels
        ],
        **other,
    }


PLACED: Row = {
    "payment_key": "placeholder-order-1",
    "payment_status": "PENDING",
    "amount": Decimal(10000),
    "currency": "KRW",
}
PROCESSED: Row = {"status": "processed", "reason": None}


def failed(reason: str) -> Row:
    return {"status": "failed", "reason": reason}


def complaints(
    toss: Toss, row: Row | None, *events: Row, of: Order | None = None, wrote_last: bool = False
) -> Sequence[str]:
    return Expected(of or order(), toss.of_order("order-1"), wrote_last).complaints(row, events)


@pytest.mark.parametrize("moves", [DONE, (*DONE, "cancel part"), (*DONE, "cancel all"), ("authenticate", "abort")])
def test_a_row_that_shows_its_only_attempt_is_right(toss: Toss, moves: tuple[str, ...]) -> None:
    assert complaints(toss, row_of(attempt_at(toss, "p1", *moves)), PROCESSED) == []


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"payment_status": "DONE"}, "payment_status is DONE"),
        ({"amount": Decimal(9900)}, "the application's price is 10000"),
        ({"balance_amount": None}, "balance_amount is None"),
        ({"approved_at": None}, "approved_at is None"),
        ({"cancels": None}, "cancels is {}"),
        ({"payment_key": "placeholder-order-1"}, "payment_key is placeholder-order-1"),
    ],
)
def test_each_column_that_differs_is_told(toss: Toss, wrong: Row, told: str) -> None:
    row = row_of(attempt_at(toss, "p1", *DONE, "cancel part"), **wrong)
    assert told in " ".join(complaints(toss, row))


def test_a_failed_attempt_never_hides_a_paid_one(toss: Toss) -> None:
    failure = attempt_at(toss, "p1", "authenticate", "abort")
    paid = attempt_at(toss, "p2", *DONE)
    assert complaints(toss, row_of(paid)) == []
    assert complaints(toss, row_of(failure)) == ["order order-1: shows p1 (ABORTED), not one of p2 (DONE)"]


def test_a_payment_that_was_given_back_is_not_hidden_by_a_failure(toss: Toss) -> None:
    attempt_at(toss, "p1", *DONE, "cancel all")
    failure = attempt_at(toss, "p2", "expire")
    assert complaints(toss, row_of(failure)) == ["order order-1: shows p2 (EXPIRED), not one of p1 (CANCELED)"]


def test_either_of_two_paid_attempts_may_be_shown_and_somebody_hears_of_it(toss: Toss) -> None:
    both = attempt_at(toss, "p1", *DONE), attempt_at(toss, "p2", *DONE)
    for shown in both:
        assert complaints(toss, row_of(shown), failed("double_charge")) == []
        assert complaints(toss, row_of(shown)) == ["order order-1: nothing tells of the double charge"]


def test_one_paid_attempt_is_no_double_charge(toss: Toss) -> None:
    paid = attempt_at(toss, "p1", *DONE)
    assert complaints(toss, row_of(paid), failed("double_charge")) == [
        "order order-1: an event failed as double_charge"
    ]


def test_a_wrong_price_is_never_marked_paid_and_somebody_hears_of_it(toss: Toss) -> None:
    paid = attempt_at(toss, "p1", *DONE, total=100)
    assert complaints(toss, PLACED, failed("amount_mismatch")) == []
    assert complaints(toss, PLACED) == ["order order-1: nothing tells of the payment at another price"]
    told = complaints(toss, row_of(paid, amount=Decimal(10000)), failed("amount_mismatch"))
    assert told == ["order order-1: is marked paid at a price that is not the application's"]


def test_without_a_price_of_the_application_every_price_is_right(toss: Toss) -> None:
    paid = attempt_at(toss, "p1", *DONE, total=100)
    assert complaints(toss, row_of(paid), of=order(is_inserted=False)) == []


def test_an_event_that_still_waits_is_told(toss: Toss) -> None:
    paid = attempt_at(toss, "p1", *DONE)
    waiting = {"status": "pending", "reason": "check_deposit"}
    assert complaints(toss, row_of(paid), waiting) == ["order order-1: an event is pending (check_deposit)"]


def test_what_the_application_wrote_last_may_stand(toss: Toss) -> None:
    paid = attempt_at(toss, "p1", *DONE, "cancel all")
    written = order()
    written.written_for, written.key = paid, "p1"
    row = row_of(paid, payment_status="DONE")
    assert complaints(toss, row, of=written, wrote_last=True) == []
    assert complaints(toss, row, of=written) != []


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 9)), max_size=14),
    st.tuples(st.sampled_from(list(Kind)), st.sampled_from(list(Kind))),
    st.booleans(),
)
def test_a_right_row_is_right_after_whatever_happened(
    picks: list[tuple[int, int]], kinds: tuple[Kind, Kind], is_inserted: bool
) -> None:
    toss = Toss(Clock())
    attempts = [attempt_at(toss, f"p{place}", kind=kind) for place, kind in enumerate(kinds)]
    for place, pick in picks:
        if moves := toss.moves(attempts[place]):
            toss.clock.advance(60)
            toss.move(attempts[place], moves[pick % len(moves)])
    expected = Expected(order(is_inserted=is_inserted), attempts, wrote_last=False)
    verdicts = [failed("double_charge")] * (sum(attempt.holds_money for attempt in attempts) > 1)
    assert expected.candidates
    for shown in expected.candidates:
        assert expected.complaints(row_of(shown), verdicts) == []
        assert expected.complaints(row_of(shown, payment_status="FAILED"), verdicts) != []


def test_an_order_without_a_row_is_told_once_a_webhook_was_sent(toss: Toss) -> None:
    attempt = attempt_at(toss, "p1", "authenticate")
    assert complaints(toss, None, of=order(is_inserted=False)) == []
    toss.move(attempt, "approve")
    assert complaints(toss, None, of=order(is_inserted=False)) == ["order order-1: has no row"]
