"""What `supatoss reconcile` prints about a run."""

import datetime as dt
import json
from typing import Any

import pytest

from supatoss.cli.comparison import print_report, print_uncompared, told
from supatoss.cli.output import OutputMode
from supatoss.reconcile.records import Days, Source
from supatoss.reconcile.run import Report
from supatoss.store.findings import Finding, FindingCount, FindingKind, FindingOutcome, FindingReason
from supatoss.store.reconciliation import Phase, Run, Scope
from supatoss.store.reviews import UncomparedDays

DAY = dt.date(2026, 11, 16)
CLOSED = dt.datetime(2026, 11, 16, 15, tzinfo=dt.UTC)
FIRST, SECOND = "key 1 (…aaaa)", "key 2 (…wxyz)"


def printed(
    capsys: pytest.CaptureFixture[str],
    mode: OutputMode = OutputMode.TEXT,
    counts: list[FindingCount] | None = None,
    **columns: Any,
) -> str:
    fields = {"compared": 7, "orders_asked": 0, "orders_left_out": False, "incomplete": {}, **columns}
    run = Run("id", "opened", "lease", CLOSED, DAY, Phase.REPAIR, None, 7, finished_at=None, **fields)
    sources = [Source(FIRST, {"shop"}, 7), Source(SECOND, problem=run.incomplete.get(SECOND))]
    print_report(mode, Scope.PAYMENTS, Days(DAY, DAY), Report(run, counts or [], sources), [], applies=False)
    return capsys.readouterr().out


def test_a_day_without_differences(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys).splitlines() == [
        f"{FIRST}: 7 listed, merchant id shop",
        f"{SECOND}: 0 listed",
        "payments of 2026-11-16 (Korea): 7 compared, no differences",
    ]


def test_what_operators_have_set_aside_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    counts = [FindingCount(FindingKind.EXTRA, FindingOutcome.SET_ASIDE, 2)]
    assert printed(capsys, counts=counts).splitlines()[-1] == (
        "payments of 2026-11-16 (Korea): 7 compared, no other differences; 2 ignored by operators"
    )
    document = json.loads(printed(capsys, OutputMode.JSON, counts))
    assert (document["left"], document["set_aside"]) == (0, 2)


def test_what_was_not_compared_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, incomplete={SECOND: "UNAUTHORIZED_KEY", "open orders": "Toss did not answer"}).splitlines()
    assert lines[1:] == [
        f"{SECOND}: UNAUTHORIZED_KEY; its merchant id was NOT compared",
        "open orders: Toss did not answer; not all of them were compared",
        "payments of 2026-11-16 (Korea): 7 compared, no differences in what was compared",
    ]


@pytest.mark.parametrize(
    ("asked", "left_out", "line"),
    [
        (1, False, "1 open order was asked for at Toss by order id"),
        (500, True, "500 open orders were asked for at Toss by order id; a day had more, which were left out"),
    ],
)
def test_open_orders_are_counted(capsys: pytest.CaptureFixture[str], asked: int, line: str, *, left_out: bool) -> None:
    assert line in printed(capsys, orders_asked=asked, orders_left_out=left_out).splitlines()


def test_json_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    counts = [FindingCount(FindingKind.MISSING, FindingOutcome.FOUND, 2)]
    counts += [FindingCount(FindingKind.TIME, FindingOutcome.RESOLVED, 5)]
    document = json.loads(
        printed(capsys, OutputMode.JSON, counts, orders_asked=3, incomplete={SECOND: "UNAUTHORIZED_KEY"})
    )
    assert (document["left"], document["differences"]["missing"], document["differences"]["time"]) == (2, 2, 0)
    assert (document["orders_asked"], document["orders_left_out"]) == (3, False)
    assert document["incomplete"] == {SECOND: "UNAUTHORIZED_KEY"}


@pytest.mark.parametrize(
    ("uncompared", "line"),
    [
        (UncomparedDays(0, []), ""),
        (
            UncomparedDays(1, [DAY]),
            "1 day since the first event never compared (2026-11-16); --since-last compares them\n",
        ),
        (
            UncomparedDays(12, [DAY]),
            "12 days since the first event never compared (2026-11-16, …); --since-last compares them\n",
        ),
    ],
)
def test_days_that_were_never_compared_are_offered(
    capsys: pytest.CaptureFixture[str], uncompared: UncomparedDays, line: str
) -> None:
    print_uncompared(uncompared)
    assert capsys.readouterr().out == line


def finding(outcome: FindingOutcome, reason: FindingReason | None = None, **sides: Any) -> Finding:
    return Finding("s", FindingKind.STATUS, DAY, "key-1", "order-1", outcome=outcome, reason=reason, **sides)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (
            finding(FindingOutcome.FOUND, ours={"status": "PENDING"}, theirs={"status": "DONE"}),
            "would be looked up: status PENDING here, DONE at Toss",
        ),
        (
            finding(FindingOutcome.FOUND, FindingReason.UNKNOWN_TO_TOSS, ours={"status": "DONE", "amount": "9900"}),
            "needs review (unknown to toss): DONE, 9900 here, nothing at Toss",
        ),
        (
            finding(FindingOutcome.REPAIRED, theirs={"status": "DONE", "amount": "9900"}),
            "repaired: DONE, 9900 at Toss, nothing here",
        ),
        (
            finding(FindingOutcome.SET_ASIDE, ours={"paid_at": None}, theirs={"paid_at": "2026-11-16"}),
            "ignored: 2026-11-16 at Toss, nothing here",
        ),
    ],
)
def test_a_difference_is_a_sentence(found: Finding, sentence: str) -> None:
    assert told(found) == sentence
