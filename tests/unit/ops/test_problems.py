"""What an event's page says is wrong, in figures, and which action it offers first."""

import datetime as dt
from typing import Any

import pytest

from supatoss.inbox.event import EventReason
from supatoss.ops.i18n import Language, Translator
from supatoss.ops.problems import Advised, Problem, describe_problem
from supatoss.store.events import Action
from tests.unit.ops.office import AT, stored_event
from tests.unit.ops.test_texts import OTHER_REASONS

MISMATCH = "Toss reports 9900 KRW, the application stored 99000 KRW for this order"
TWICE = "order order-1 is paid twice: this is payment key-b, the first was key-a"


def described(
    reason: str | None,
    error: str | None,
    *,
    status: str = "failed",
    payment: dict[str, Any] | None = None,
    language: Language = Language.KO,
    **more: Any,
) -> Problem:
    change = {"kind": "payment", "amount": "9900", "currency": "KRW", "customer_key": "c-1"}
    rows = {"payment": payment, "subscriptions": [{"status": "ACTIVE"}, {"status": "CANCELED"}, {"status": "PAUSED"}]}
    event = stored_event(reason=reason, last_error=error, status=status, **more)
    problem = describe_problem(event, change, rows, Translator(language))
    assert problem
    return problem


@pytest.mark.parametrize(
    ("reason", "error", "figures"),
    [
        ("amount_mismatch", MISMATCH, ("토스 ₩9,900", "저장 ₩99,000", "차이 ₩89,100")),
        (
            "amount_mismatch",
            "Toss reports 12.3 USD, the application stored 99000 KRW for this order",
            ("토스 US$12.30", "저장 ₩99,000"),
        ),
        (
            "approval_amount_mismatch",
            "Toss reports 9900, the application stored 99000 for this order",
            ("토스 ₩9,900", "저장 ₩99,000", "차이 ₩89,100"),
        ),
        ("double_charge", TWICE, ("초과 결제 ₩9,900", "이 결제 key-b", "첫 결제 key-a")),
        ("too_many_events", "the order has 500 events", ("주문 order-0001",)),
        ("ambiguous_subscription", "several", ("고객 c-1", "사용 중인 구독 2개")),
        (
            "not_borne_out",
            "the delivery says DONE, Toss shows WAITING_FOR_DEPOSIT",
            ("웹훅: 결제 완료", "토스: 입금 대기"),
        ),
        (
            "misconfigured",
            "Toss, payment: UNAUTHORIZED_KEY (HTTP 401) with key 2 (…wxyz) of TOSS_SECRET_KEY",
            ("토스: UNAUTHORIZED_KEY", "HTTP 401", "사용한 키: key 2 (…wxyz)", "시도 12/12회"),
        ),
        ("unavailable", "Toss, payment: no answer in time", ("토스: no answer in time", "시도 12/12회")),
        (
            "refused_by_database",
            "trigger guard on payments, function guard(): no (really: no) (SQLSTATE P0001)",
            (
                "오류 위치: trigger guard on payments, function guard()",
                "no (really: no)",
                "SQLSTATE P0001: 직접 만든 코드의 오류",
            ),
        ),
        ("refused_by_database", "payments: (SQLSTATE XX999)", ("오류 위치: payments", "SQLSTATE XX999")),
        ("unknown_status", "data.status: PAUSED is none of READY, DONE", ("토스: PAUSED",)),
        ("malformed", "data.orderId: Field required; data.x: odd", ("data.orderId: Field required", "data.x: odd")),
        ("no_stored_amount", "the payment needs approval", ("주문 order-0001",)),
    ],
)
def test_the_figures_say_what_is_wrong(reason: str, error: str, figures: tuple[str, ...]) -> None:
    assert described(reason, error, attempts=12).figures == figures


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("reason", [*EventReason, *OTHER_REASONS])
@pytest.mark.parametrize("error", [None, "", "wording of another release", "a: b: c (SQLSTATE 23505)"])
def test_every_reason_has_a_title_and_what_to_do(language: Language, reason: str, error: str | None) -> None:
    for status in ("failed", "pending", "ignored"):
        problem = described(reason, error, status=status, language=language)
        assert problem.title
        assert problem.advice
        assert all(problem.figures)
        assert problem.detail == (error or "")


def test_nothing_is_wrong_with_an_event_that_is_processed() -> None:
    event = stored_event(status="processed", reason=None, last_error=None)
    assert describe_problem(event, {}, {}, Translator(Language.EN)) is None


@pytest.mark.parametrize(
    ("reason", "status", "advised"),
    [
        ("amount_mismatch", "failed", Advised.CHECK_AT_TOSS),
        ("double_charge", "failed", Advised.CANCEL_AT_TOSS),
        ("malformed", "failed", Advised.CHECK_AT_TOSS),
        ("not_borne_out", "failed", Advised.CHECK_AT_TOSS),
        ("not_borne_out", "ignored", Advised.NONE),
        ("hook_failed", "failed", Advised.DRY_RUN),
        ("unavailable", "failed", Advised.DRY_RUN),
        ("new_in_a_later_release", "failed", Advised.DRY_RUN),
        ("check_deposit", "pending", Advised.WAIT),
        ("operator", "ignored", Advised.NONE),
    ],
)
def test_the_advised_action_comes_first(reason: str, status: str, advised: Advised) -> None:
    assert described(reason, MISMATCH, status=status).advised is advised


def test_a_corrected_amount_is_said_and_leads_to_the_dry_run() -> None:
    problem = described("amount_mismatch", MISMATCH, payment={"amount": "9900", "currency": "KRW"})
    assert problem.figures[-1] == "현재 저장된 금액 ₩9,900"
    assert problem.advised is Advised.DRY_RUN
    problem = described("amount_mismatch", MISMATCH, payment={"amount": "98000", "currency": "KRW"})
    assert problem.advised is Advised.CHECK_AT_TOSS


def test_attempts_are_counted_against_their_limit() -> None:
    waiting = described("check_deposit", None, status="pending", attempts=8, language=Language.EN)
    assert waiting.figures == ("attempt 8 of 12",)
    disagreeing = described("toss_disagrees", None, status="pending", attempts=8, language=Language.EN)
    assert disagreeing.figures == ("attempt 8, retried for 24 hours",)


def test_who_ignored_it_and_why_is_said() -> None:
    at = AT + dt.timedelta(hours=1)
    actions = (
        Action(AT, "anna", "ignore", "an earlier reason", "failed", "ignored"),
        Action(AT, "anna", "unignore", None, "ignored", "failed"),
        Action(at, "bert", "ignore", "a test order", "failed", "ignored"),
    )
    problem = described("operator", "x", status="ignored", actions=actions, language=Language.EN)
    assert problem.figures == ("by bert", "a test order")
