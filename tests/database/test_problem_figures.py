"""The wording of the database's own errors is the one that the operators' page reads its figures from."""

import asyncio
import json
from typing import Any

from supatoss.ops.i18n import Language, Translator
from supatoss.ops.problems import Advised, Problem, describe_problem
from supatoss.store.events import EventFilter
from tests.database.store import DatabaseStore
from tests.database.support import Database, payment_event


def described(database: Database) -> Problem:
    """The problem of the only failed event, as its page describes it."""

    async def read() -> Problem | None:
        store = DatabaseStore(database)
        page = await store.find_events(EventFilter(statuses=("failed",)), limit=2, with_payload=True)
        (event,) = page.events
        rows: dict[str, Any] = await store.read_event_rows(event.id)
        return describe_problem(event, json.loads(event.change or "{}"), rows, Translator(Language.KO))

    problem = asyncio.run(read())
    assert problem
    return problem


def test_an_amount_that_differs_and_one_that_was_corrected(database: Database) -> None:
    database.insert_payment(amount=99000)
    database.record(payment_event("DONE", 1, totalAmount=9900))
    assert described(database).figures == ("토스 ₩9,900", "저장 ₩99,000", "차이 ₩89,100")
    assert described(database).advised is Advised.CHECK_AT_TOSS
    database.connection.execute("update payments set amount = 9900")
    assert described(database).figures[-1] == "현재 저장된 금액 ₩9,900"
    assert described(database).advised is Advised.DRY_RUN


def test_a_double_charge(database: Database) -> None:
    database.record(payment_event("DONE", 1, key="key-a"), payment_event("DONE", 2, key="key-b"))
    assert described(database).figures == ("초과 결제 ₩10,000", "이 결제 key-b", "첫 결제 key-a")


def test_a_trigger_that_refuses_the_row(database: Database) -> None:
    database.connection.execute(
        """create function public.guard() returns trigger language plpgsql as $$
           begin raise exception 'stock: none left'; end $$;
           create trigger guard before insert on payments for each row execute function guard()"""
    )
    database.record(payment_event("DONE", 1))
    where, message, state = described(database).figures
    assert where.startswith("오류 위치: trigger guard on payments")
    assert message == "stock: none left"
    assert state == "SQLSTATE P0001: 직접 만든 코드의 오류"


def test_a_constraint_that_refuses_the_row(database: Database) -> None:
    database.insert_payment(order_id="order-x", payment_key="key-1")
    database.record(payment_event("DONE", 1))
    assert described(database).figures[-1] == "SQLSTATE 23505: 이미 있는 값"


def test_a_hook_that_raises(database: Database) -> None:
    database.connection.execute(
        """create function public.on_payment_changed(change text, old public.payments, new public.payments)
           returns void language plpgsql as $$ begin raise exception 'mail: no server'; end $$"""
    )
    database.record(payment_event("DONE", 1))
    figures = described(database).figures
    assert figures[0].startswith("오류 위치: on_payment_changed(")
    assert figures[-1] == "SQLSTATE P0001: 직접 만든 코드의 오류"


def test_a_body_without_what_is_needed(database: Database) -> None:
    database.record({"eventType": "PAYMENT_STATUS_CHANGED", "data": {"status": "DONE"}})
    assert described(database).figures == ("data: paymentKey or orderId is needed",)
