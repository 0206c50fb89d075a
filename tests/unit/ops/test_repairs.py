"""Repairing differences on the page: first a dry run, then the password, then one line of what became of them."""

from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest

from supatoss.errors import TossUnavailable
from supatoss.reconcile.repair import Repairs
from supatoss.store.client import Function
from supatoss.store.findings import Finding, FindingOutcome, FindingReason, Repair
from supatoss.store.reconciliation import Scope
from supatoss.store.reviews import FindingFilter, OpenFinding
from tests.unit.ops.office import PASSWORD, Office
from tests.unit.ops.test_pages import FINDING

pytestmark = pytest.mark.anyio

PAGE = "/ops/reconciliations"
ACTION = f"{PAGE}/repair"
BEFORE = {"status": "PENDING", "amount": "9900", "currency": "KRW", "payment_key": "placeholder"}
AFTER = {**BEFORE, "status": "DONE", "payment_key": "tpay0001"}


class Repairer:
    """Answers what it was given, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[FindingFilter, bool, str]] = []
        self.trouble: Exception | None = None
        found = Finding.of(FINDING)
        item = OpenFinding(FINDING["id"], Scope.PAYMENTS, found)
        done = found.with_outcome(FindingOutcome.REPAIRED)
        left = found.with_outcome(FindingOutcome.NEEDS_PERSON, FindingReason.AMOUNT_MISMATCH)
        self.answer = Repairs([(item, Repair(done, BEFORE, AFTER)), (item, Repair(left))], has_more=False)

    def __call__(self, *_arguments: Any) -> "Repairer":
        return self

    async def repair(self, wanted: FindingFilter, *, actor: str, address: str | None, dry_run: bool) -> Repairs:
        self.asked.append((wanted, dry_run, actor))
        if self.trouble:
            raise self.trouble
        return self.answer


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def repairer() -> Iterator[Repairer]:
    fake = Repairer()
    with patch("supatoss.ops.reconciliations.FindingRepairer", fake):
        yield fake


@pytest.fixture
async def office() -> Office:
    office = Office()
    await office.sign_in()
    office.store.answers[Function.OPS_RECONCILIATIONS] |= {"findings": [FINDING], "open": 1}
    return office


async def test_the_dry_run_shows_what_would_change(office: Office, repairer: Repairer) -> None:
    page = await office.post(ACTION, mode="dry_run", day="2026-11-24")
    assert page.status_code == 200
    for shown in (
        "1 of 2 can be repaired",
        "PENDING → <strong>DONE</strong>",
        "→ <strong>tpay0001</strong>",
        "Refund the payment",
    ):
        assert shown in page.text
    assert "₩9,900 →" not in page.text  # what stays is not listed
    assert f'name="ids" value="{FINDING["id"]},{FINDING["id"]}"' in page.text
    ((wanted, dry_run, _),) = repairer.asked
    assert (str(wanted.day), wanted.ids, dry_run) == ("2026-11-24", (), True)


async def test_a_repair_needs_a_password_that_was_given_just_now(office: Office, repairer: Repairer) -> None:
    office.store.sessions.age(601)
    page = await office.post(ACTION, mode="apply", ids=FINDING["id"])
    assert page.status_code == 403
    assert "Enter your password again." in page.text
    assert [dry_run for _, dry_run, _ in repairer.asked] == [True]  # the preview again, and nothing else
    page = await office.post(ACTION, mode="apply", ids=FINDING["id"], password=PASSWORD, day="2026-11-24")
    assert (page.status_code, page.headers["location"]) == (303, f"{PAGE}?day=2026-11-24")
    wanted, dry_run, actor = repairer.asked[-1]
    assert (wanted, dry_run, actor) == (FindingFilter(ids=(FINDING["id"],)), False, "operator")
    text = (await office.get(PAGE)).text
    assert "Repaired: 1. Still need review: 1." in text


async def test_what_was_not_shown_first_is_not_repaired(office: Office, repairer: Repairer) -> None:
    assert (await office.post(ACTION, mode="apply", day="2026-11-24")).status_code == 404
    assert (await office.post(ACTION, mode="apply")).status_code == 404
    assert (await office.post(ACTION, mode="apply", ids="x")).status_code == 404
    assert (await office.post(ACTION, mode="apply", ids=FINDING["id"], csrf="0" * 64)).status_code == 403
    assert repairer.asked == []


async def test_a_toss_that_does_not_answer_is_said_calmly(office: Office, repairer: Repairer) -> None:
    repairer.trouble = TossUnavailable("payment", "timeout")
    page = await office.post(ACTION, mode="dry_run")
    assert page.status_code == 503
    assert "Toss does not answer" in page.text


async def test_a_toss_that_fell_silent_halfway_is_said_beside_the_rest(office: Office, repairer: Repairer) -> None:
    repairer.answer = Repairs(repairer.answer.repairs, True, TossUnavailable("payment", "timeout"))
    page = await office.post(ACTION, mode="dry_run")
    assert "Toss stopped answering" in page.text
    assert "There are more." in page.text


async def test_nothing_open_is_nothing_to_repair(office: Office, repairer: Repairer) -> None:
    repairer.answer = Repairs([], has_more=False)
    page = await office.post(ACTION, mode="dry_run")
    assert "No open differences." in page.text
    assert 'value="apply"' not in page.text
