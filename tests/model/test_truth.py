"""The model of Toss itself: what its payments do, which webhooks they send and what look-ups answer."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.model.truth import BOTH, Attempt, Clock, IllegalMove, Kind, Toss

NEVER_TOLD = {"READY", "IN_PROGRESS"}


@pytest.fixture
def toss() -> Toss:
    return Toss(Clock())


def opened(toss: Toss, kind: Kind, total: str = "10000", currency: str = "KRW", key: str = "p1") -> Attempt:
    return toss.open(key, "order-1", kind, Decimal(total), currency)


def make(toss: Toss, attempt: Attempt, *moves: str) -> None:
    for move in moves:
        toss.clock.advance(60)
        toss.move(attempt, move)


def bodies(toss: Toss) -> list[dict[str, Any]]:
    return [json.loads(webhook.body) for webhook in toss.webhooks]


@pytest.mark.parametrize(
    ("moves", "status", "told"),
    [
        (["authenticate"], "IN_PROGRESS", []),
        (["authenticate", "approve"], "DONE", ["DONE"]),
        (["authenticate", "abort"], "ABORTED", ["ABORTED"]),
        (["expire"], "EXPIRED", ["EXPIRED"]),
        (["authenticate", "approve", "cancel all"], "CANCELED", ["DONE", "CANCELED"]),
        (["authenticate", "approve", *["cancel part"] * 2], "PARTIAL_CANCELED", ["DONE", *["PARTIAL_CANCELED"] * 2]),
    ],
)
def test_a_card_tells_of_every_status_but_the_two_before_its_approval(
    toss: Toss, moves: list[str], status: str, told: list[str]
) -> None:
    attempt = opened(toss, Kind.CARD)
    make(toss, attempt, *moves)
    assert attempt.status == status
    assert [(webhook.event_type, webhook.status) for webhook in toss.webhooks] == [
        ("PAYMENT_STATUS_CHANGED", name) for name in told
    ]


def test_an_account_tells_of_each_change_twice_and_a_callback_has_exactly_five_keys(toss: Toss) -> None:
    attempt = opened(toss, Kind.ACCOUNT)
    make(toss, attempt, "issue", "deposit", "take back", "deposit", "cancel part")
    changed, callbacks = bodies(toss)[::2], bodies(toss)[1::2]
    statuses = ["WAITING_FOR_DEPOSIT", "DONE", "WAITING_FOR_DEPOSIT", "DONE", "PARTIAL_CANCELED"]
    assert [body["data"]["status"] for body in changed] == statuses
    assert [body["status"] for body in callbacks] == statuses
    assert {frozenset(body) for body in callbacks} == {
        frozenset({"createdAt", "secret", "status", "transactionKey", "orderId"})
    }
    assert {body["secret"] for body in callbacks} == {toss.look_up(attempt)["secret"]}


@pytest.mark.parametrize("only", BOTH)
def test_one_type_of_webhooks_alone_can_be_registered_for_accounts(only: str) -> None:
    toss = Toss(Clock(), (only,))
    make(toss, opened(toss, Kind.ACCOUNT), "issue", "deposit")
    assert [webhook.event_type for webhook in toss.webhooks] == [only, only]


def test_a_deposit_that_is_taken_back_leaves_no_approval(toss: Toss) -> None:
    attempt = opened(toss, Kind.ACCOUNT)
    make(toss, attempt, "issue", "deposit")
    assert toss.look_up(attempt)["approvedAt"] == "2026-03-14T10:02:00+09:00"
    make(toss, attempt, "take back")
    assert toss.look_up(attempt)["approvedAt"] is None
    assert attempt.was_paid
    assert not attempt.holds_money


def test_the_due_date_changes_no_status_and_tells_nobody(toss: Toss) -> None:
    attempt = opened(toss, Kind.ACCOUNT)
    make(toss, attempt, "issue")
    before = len(toss.webhooks)
    make(toss, attempt, "pass due date")
    assert len(toss.webhooks) == before
    assert (toss.look_up(attempt)["status"], toss.look_up(attempt)["virtualAccount"]["expired"]) == (
        "WAITING_FOR_DEPOSIT",
        True,
    )


def test_a_payment_given_back_in_steps_stays_partially_cancelled(toss: Toss) -> None:
    attempt = opened(toss, Kind.CARD)
    make(toss, attempt, "authenticate", "approve", "cancel part", "cancel all")
    shown = toss.look_up(attempt)
    assert (shown["status"], shown["balanceAmount"]) == ("PARTIAL_CANCELED", 0)
    assert [item["cancelAmount"] for item in shown["cancels"]] == [2500, 7500]
    assert not attempt.holds_money
    assert toss.moves(attempt) == []


def test_an_account_without_a_deposit_is_cancelled_as_a_whole(toss: Toss) -> None:
    attempt = opened(toss, Kind.ACCOUNT)
    make(toss, attempt, "issue")
    assert "cancel part" not in toss.moves(attempt)
    make(toss, attempt, "cancel all")
    assert (attempt.status, attempt.moved_money, attempt.balance) == ("CANCELED", False, Decimal())


def test_dollars_have_cents(toss: Toss) -> None:
    attempt = opened(toss, Kind.CARD, "99.50", "USD")
    make(toss, attempt, "authenticate", "approve", "cancel part")
    assert b'"totalAmount":99.5,"balanceAmount":74.63,' in toss.webhooks[-1].body
    assert [cancel.amount for cancel in attempt.cancels] == [Decimal("24.87")]


def test_a_look_up_that_lags_answers_with_an_earlier_state(toss: Toss) -> None:
    attempt = opened(toss, Kind.CARD)
    make(toss, attempt, "authenticate", "approve", "cancel all")
    behind = [toss.look_up(attempt, changes)["status"] for changes in range(5)]
    assert behind == ["CANCELED", "DONE", "IN_PROGRESS", "READY", "READY"]


def test_a_body_holds_the_payment_as_it_was_then(toss: Toss) -> None:
    attempt = opened(toss, Kind.CARD)
    make(toss, attempt, "authenticate", "approve")
    body = toss.webhooks[0].body
    make(toss, attempt, "cancel all")
    assert toss.webhooks[0].body == body
    assert bodies(toss)[0]["data"]["cancels"] is None
    assert bodies(toss)[0]["createdAt"] == "2026-03-14T10:02:00.350000"
    assert bodies(toss)[0]["data"]["approvedAt"] == "2026-03-14T10:02:00+09:00"


@given(st.sampled_from(list(Kind)), st.lists(st.integers(0, 9), max_size=12))
def test_money_is_neither_made_nor_lost(kind: Kind, picks: list[int]) -> None:
    toss = Toss(Clock())
    attempt = opened(toss, kind)
    for pick in picks:
        if moves := toss.moves(attempt):
            make(toss, attempt, moves[pick % len(moves)])
    assert 0 <= attempt.balance <= attempt.total
    assert attempt.balance + sum(cancel.amount for cancel in attempt.cancels) == attempt.total
    assert {webhook.status for webhook in toss.webhooks}.isdisjoint(NEVER_TOLD)
    assert attempt.is_reported == bool(toss.webhooks)
    assert not attempt.holds_money or attempt.moved_money
    assert len({webhook.body for webhook in toss.webhooks}) == len(toss.webhooks)


def test_nothing_leaves_an_end(toss: Toss) -> None:
    attempt = opened(toss, Kind.CARD)
    make(toss, attempt, "authenticate", "abort")
    with pytest.raises(IllegalMove):
        toss.move(attempt, "approve")
