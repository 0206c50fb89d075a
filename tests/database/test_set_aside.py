"""Differences that an operator sets aside stay so, end their alert by name, and hide nothing else."""

import asyncio
import datetime as dt
import json
import re
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.types.json import Jsonb

from scripts.local_stack import ROOT
from supatoss.alerts.rules import Limits
from supatoss.alerts.targets import open_target
from supatoss.alerts.watch import Watch
from supatoss.store.reviews import FindingFilter, OpenFindings
from tests.database.store import DatabaseStore
from tests.database.support import Database, Row
from tests.database.test_races import Step
from tests.receiver import Receiver

DAY, NEXT_DAY = "2026-03-14", "2026-03-15"
TRANSFERRED = {"status": "DONE", "amount": "10000"}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def found(order: str, ours: Row | None = None, theirs: Row | None = None, **fields: str) -> Row:
    named = {"subject": f"key-{order}", "payment_key": f"key-{order}", "order_id": order, "kind": "extra", "day": DAY}
    return {**named, "ours": ours or TRANSFERRED, "theirs": theirs or {}, "outcome": "found", "reason": None, **fields}


def open_run(database: Database, kind: str = "payments", *, applies: bool = False) -> Row:
    request = {"kind": kind, "started_by": "operator", "first_day": DAY, "last_day": NEXT_DAY, "applies": applies}
    seconds = {"lease_seconds": 60, "resume_seconds": 60}
    text = json.dumps({**request, **seconds, "closes_at": f"{NEXT_DAY}T15:00:00Z"})
    return dict(database.call("select supatoss_open_reconciliation_v1(%s)", text))


def advance(database: Database, run: Row, *findings: Row, is_finished: bool = False) -> None:
    step = {
        **{name: run[name] for name in ("id", "lease", "day", "phase", "position", "orders_left_out", "incomplete")},
        "lease_seconds": 60,
        "compared": 0,
        "orders_asked": 0,
        "ends_day": False,
        "is_finished": is_finished,
    }
    given = [Jsonb(finding) for finding in findings]
    assert database.call("select supatoss_advance_reconciliation_v1(%s, '{}', %s::jsonb[])", json.dumps(step), given)


def reconcile(database: Database, *findings: Row, kind: str = "payments") -> None:
    advance(database, open_run(database, kind), *findings, is_finished=True)


OF_DAY = FindingFilter(day=dt.date.fromisoformat(DAY))


def ignore(
    database: Database, wanted: FindingFilter, *, dry_run: bool = False, max_findings: int = 100
) -> OpenFindings:
    return asyncio.run(
        DatabaseStore(database).ignore_findings(
            wanted,
            "paid by bank transfer",
            actor="kim",
            address="203.0.113.7",
            dry_run=dry_run,
            max_findings=max_findings,
        )
    )


def of_order(order: str) -> FindingFilter:
    return FindingFilter(order_id=order)


def outcomes(database: Database) -> list[tuple[str, str]]:
    """Order and outcome of every finding, in the order of the runs."""
    rows = database.rows(
        """select f.order_id, f.outcome from supatoss.reconciliation_findings f
           join supatoss.reconciliations r on r.id = f.reconciliation_id order by r.finished_at, f.order_id"""
    )
    return [(row["order_id"], row["outcome"]) for row in rows]


def check(database: Database, url: str) -> None:
    asyncio.run(Watch(DatabaseStore(database), Limits(10), open_target(url), 60, "a:1").check())


@pytest.mark.usefixtures("commits")
def test_the_very_difference_stays_set_aside_and_another_one_is_open(database: Database) -> None:
    reconcile(database, found("transfer"))
    (item,) = ignore(database, of_order("transfer")).findings
    assert (item.finding.outcome, item.finding.order_id) == ("set_aside", "transfer")
    reconcile(database, found("transfer", day=NEXT_DAY))
    reconcile(database, found("transfer", outcome="needs_person", reason="unknown_to_toss"))
    assert outcomes(database) == [("transfer", "resolved"), ("transfer", "resolved"), ("transfer", "set_aside")]
    reconcile(database, found("transfer", {**TRANSFERRED, "amount": "9000"}))
    reconcile(database, found("transfer", theirs={"status": "CANCELED"}))
    reconcile(database, found("transfer", kind="status"))
    assert outcomes(database)[2:] == [
        ("transfer", outcome) for outcome in ("set_aside", "resolved", "resolved", "found")
    ]
    reconcile(database, found("transfer"))
    assert outcomes(database)[-1] == ("transfer", "set_aside")
    assert [outcome for _, outcome in outcomes(database)].count("set_aside") == 1
    reconcile(database, found("transfer"), kind="settlements")
    assert outcomes(database)[-1] == ("transfer", "found")


@pytest.mark.usefixtures("commits")
def test_one_that_was_ignored_by_mistake_is_opened_again_as_the_document_says(database: Database) -> None:
    reconcile(database, found("transfer"))
    ignore(database, of_order("transfer"))
    text = (ROOT / "docs/reconciliation.md").read_text(encoding="utf-8")
    (statement,) = re.findall(r"`(update supatoss\.[^`]+)`", text)
    database.connection.execute(statement.replace("…", "transfer"))
    reconcile(database, found("transfer"))
    assert outcomes(database) == [("transfer", "resolved"), ("transfer", "found")]


def test_who_did_it_and_why_is_kept(database: Database) -> None:
    reconcile(database, found("transfer"))
    (item,) = ignore(database, of_order("transfer")).findings
    (action,) = database.rows("select * from supatoss.operator_actions")
    told = [action[name] for name in ("actor", "address", "action", "reason", "status_before", "status_after")]
    assert told == ["kim", "203.0.113.7", "ignore", "paid by bank transfer", "found", "set_aside"]
    assert (str(action["finding_id"]), action["event_id"]) == (item.id, None)
    shown = database.call("select supatoss_ops_reconciliations_v1(null)")
    assert (shown["findings"], shown["open"], shown["runs"][0]["open"]) == ([], 0, 0)
    assert [(row["order_id"], row["actor"], row["why"]) for row in shown["set_aside"]] == [
        ("transfer", "kim", "paid by bank transfer")
    ]


def test_a_dry_run_changes_nothing(database: Database) -> None:
    reconcile(database, found("transfer"))
    assert len(ignore(database, OF_DAY, dry_run=True).findings) == 1
    assert outcomes(database) == [("transfer", "found")]
    assert database.rows("select 1 from supatoss.operator_actions") == []


def test_only_open_ones_that_match_are_set_aside_as_many_as_allowed(database: Database) -> None:
    reconcile(database, found("a"), found("b"), found("c", day=NEXT_DAY), found("d", outcome="repaired"))
    assert [item.finding.order_id for item in ignore(database, OF_DAY, dry_run=True).findings] == ["a", "b"]
    assert [
        item.finding.order_id for item in ignore(database, FindingFilter(payment_key="key-c"), dry_run=True).findings
    ] == ["c"]
    capped = ignore(database, OF_DAY, max_findings=1)
    assert ([item.finding.order_id for item in capped.findings], capped.has_more) == (["a"], True)
    assert outcomes(database) == [("a", "set_aside"), ("b", "found"), ("c", "found"), ("d", "repaired")]
    assert ignore(database, of_order("d")).findings == []
    assert ignore(database, of_order("a")).findings == []
    with pytest.raises(psycopg.errors.CheckViolation):
        database.call("select supatoss_ignore_findings_v1('{}', ' ', 'kim', true, 1)")


class Finds(Step):
    """The step of a run, on a second connection, that finds the difference again."""

    def __init__(self, database: Database, run: Row) -> None:
        self.reconciliation = run
        super().__init__(database)

    def run(self) -> None:
        advance(self.database, self.reconciliation, found("transfer"), is_finished=True)


@pytest.mark.usefixtures("commits")
def test_a_run_that_finds_it_at_the_same_moment_waits_and_sees_it(database: Database) -> None:
    reconcile(database, found("transfer"))
    run = open_run(database)
    with (
        psycopg.connect(database.dsn, autocommit=True) as second,
        psycopg.connect(database.dsn, autocommit=True) as observer,
    ):
        with database.connection.transaction():
            ignore(database, of_order("transfer"))
            other = Finds(Database(second, database.dsn), run)
            assert other.is_waiting(observer)
        other.finish()
    assert outcomes(database) == [("transfer", "resolved"), ("transfer", "set_aside")]


def test_a_run_that_works_on_it_leaves_it_aside_unless_it_has_repaired_it(database: Database) -> None:
    run = open_run(database, applies=True)
    advance(database, run, found("a"), found("b"))
    ignore(database, OF_DAY)
    advance(database, run, found("a", outcome="needs_person"), found("b", outcome="repaired"), is_finished=True)
    assert outcomes(database) == [("a", "set_aside"), ("b", "repaired")]


@pytest.mark.usefixtures("commits")
def test_the_alert_of_a_day_ends_by_name_and_does_not_begin_again(database: Database, receiver: Receiver) -> None:
    reconcile(database, found("transfer"), found("lost", kind="missing"))
    check(database, receiver.url)
    ignore(database, of_order("transfer"))
    check(database, receiver.url)
    assert len(receiver.texts) == 1  # the other one is open
    reconcile(database, found("transfer"), found("lost", kind="missing", outcome="repaired"))
    check(database, receiver.url)
    assert receiver.texts[1].startswith("☑️ reconciliation_difference ignored by kim · kim 무시 처리\n")
    reconcile(database, found("transfer"))
    check(database, receiver.url)
    assert len(receiver.texts) == 2
    # Another difference of the day is told of, and what was set aside before says nothing about its end.
    reconcile(database, found("transfer"), found("lost", kind="missing"))
    check(database, receiver.url)
    reconcile(database, found("transfer"), found("lost", kind="missing", outcome="repaired"))
    check(database, receiver.url)
    assert [text.split("\n")[0] for text in receiver.texts[2:]] == [
        "🚨 reconciliation_difference",
        "✅ reconciliation_difference resolved · 해결됨",
    ]
