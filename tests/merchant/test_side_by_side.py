"""The old webhook function and supatoss beside each other during the switch: both URLs are registered.

The old function writes less than Toss says: a partial cancel becomes CANCELED, a late DONE revives a cancelled row.
Toss's truth is back with the next delivery of the order, a duplicate too, or with the next reconciliation.
"""

import asyncio
import datetime as dt
import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import pytest

from supatoss.reconcile.payments import PaymentReconciler
from supatoss.store.findings import Finding, FindingKind, FindingOutcome
from supatoss.toss.models import Payment, PaymentAnswer
from tests.database.store import DatabaseStore
from tests.database.support import Database, Row, at, cancel, payment_event
from tests.merchant.application import APPROVED_AT, PRICE, Application
from tests.merchant.steps import KEY, ORDER, Step


def told(status: str, second: int, *cancels: Row) -> Row:
    balance = PRICE - sum(item["cancelAmount"] for item in cancels)
    return payment_event(
        status,
        second,
        order=ORDER,
        key=KEY,
        totalAmount=PRICE,
        approvedAt=APPROVED_AT,
        balanceAmount=balance,
        cancels=list(cancels) or None,
        method="카드",
    )


FIRST, SECOND = cancel("t1", 3000, 20), cancel("t2", 1000, 30)
DONE = told("DONE", 10)
PARTIAL = told("PARTIAL_CANCELED", 20, FIRST)
MORE = told("PARTIAL_CANCELED", 30, FIRST, SECOND)
REFUND = told("CANCELED", 20, cancel("t1", PRICE, 20))


class Records:
    """Toss's API, as it answers about the payment of this file."""

    def __init__(self, body: Row) -> None:
        self.fields = body["data"]

    async def payments(self, keys: Sequence[str]) -> list[PaymentAnswer]:
        answer = PaymentAnswer(dt.datetime.now(dt.UTC), self.fields, Payment.model_validate(self.fields))
        return [answer for _ in keys]


def reconcile(project: Database, body: Row) -> None:
    finding = Finding(KEY, FindingKind.STATUS, dt.date(2026, 3, 14), KEY, ORDER, None)
    reconciler = PaymentReconciler(DatabaseStore(project), cast("Any", Records(body)))
    (result,) = asyncio.run(reconciler.repair([finding]))
    assert result.finding.outcome is FindingOutcome.REPAIRED


def shown(project: Database) -> dict[str, Any]:
    """What the row says, without what differs from run to run."""
    mine = ("id", "created_at", "updated_at", "application_state", "projected_state")
    return {name: value for name, value in project.payment(ORDER).items() if name not in mine}


def buy(application: Application) -> None:
    application.order(ORDER)
    application.approved(ORDER, KEY)


def without_old_function(project: Database, *bodies: Row) -> dict[str, Any]:
    with project.connection.transaction(force_rollback=True):
        buy(Application(project.connection))
        project.record(*bodies)
        return shown(project)


MENDED: dict[str, tuple[list[Row], Callable[[Database, list[Row]], object]]] = {
    "the next event": ([MORE], lambda project, _: project.record(MORE)),
    "a duplicate of the first": ([], lambda project, bodies: project.record(bodies[0])),
    "a duplicate of the last": ([], lambda project, bodies: project.record(bodies[-1])),
    "a reconciliation": ([], lambda project, bodies: reconcile(project, bodies[-1])),
}


@pytest.mark.parametrize("mended", MENDED)
@pytest.mark.parametrize(("bodies", "wrong"), [([DONE, PARTIAL], "CANCELED"), ([DONE, REFUND], "DONE")])
def test_what_the_old_function_writes_is_mended(project: Database, bodies: list[Row], wrong: str, mended: str) -> None:
    more, mend = MENDED[mended]
    if more and wrong == "DONE":
        more, mend = [told("CANCELED", 40, cancel("t1", PRICE, 20))], lambda project, _: project.record(*more)
    expected = without_old_function(project, *bodies, *more)
    expected.pop("occurred_at")
    application = Application(project.connection)
    late = [partial(application.old_webhook_function, body) for body in (bodies if wrong == "CANCELED" else [DONE])]
    for order in itertools.permutations(bodies):
        with project.connection.transaction(force_rollback=True):
            buy(application)
            for body in order:
                project.record(body)
            for old in late:
                old()
            assert shown(project)["payment_status"] == wrong
            mend(project, bodies)
            found = shown(project)
            found.pop("occurred_at")
            assert found == expected


def test_every_order_of_both_ends_with_toss_s_truth(project: Database) -> None:
    """The last delivery is ours, whichever it is: a duplicate."""
    application = Application(project.connection)
    expected = without_old_function(project, DONE, PARTIAL)
    steps: list[Step] = [partial(project.record, body) for body in (DONE, PARTIAL)]
    steps += [partial(application.old_webhook_function, body) for body in (DONE, PARTIAL)]
    steps.append(partial(buy, application))
    for order in itertools.permutations(steps):
        with project.connection.transaction(force_rollback=True):
            for step in order:
                step()
            project.record(DONE)
            assert shown(project) == expected
            assert project.rows("select 1 from webhook_events where status in ('failed', 'pending')") == []


def test_a_duplicate_of_a_row_that_nobody_touched_writes_nothing(project: Database) -> None:
    project.record(DONE, PARTIAL)
    before = project.payment(ORDER)
    project.record(DONE)
    assert project.payment(ORDER) == before


def test_a_billing_key_that_both_see_deleted(project: Database) -> None:
    application = Application(project.connection)
    deleted = {"eventType": "BILLING_DELETED", "createdAt": at(20), "data": {"billingKey": "bk-100", "reason": None}}
    for order in itertools.permutations([partial(project.record, deleted)] * 2):
        for place in range(3):
            steps: list[Step] = list(order)
            steps.insert(place, partial(application.old_webhook_function, deleted))
            with project.connection.transaction(force_rollback=True):
                application.subscribe("customer-100", "bk-100")
                application.subscribe("customer-101", "bk-101")
                for step in steps:
                    step()
                rows = project.rows(
                    "select billing_key, status from subscriptions where customer_key like 'customer-%%'"
                )
                assert {row["billing_key"]: row["status"] for row in rows} == {"bk-100": "CANCELED", "bk-101": "ACTIVE"}
