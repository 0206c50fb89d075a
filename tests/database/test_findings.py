"""A step of a reconciliation may bring two findings about one subject, and one transaction twice."""

import json

from psycopg.types.json import Jsonb

from tests.database.support import Database, Row

DAY = "2026-03-14"


def finding(subject: str, reason: str) -> Row:
    return {
        "subject": subject,
        "kind": "missing",
        "day": DAY,
        "ours": {},
        "theirs": {},
        "outcome": "needs_person",
        "reason": reason,
    }


def test_what_comes_twice_in_one_step_is_kept_once(database: Database) -> None:
    request = {
        "kind": "settlements",
        "started_by": "operator",
        "first_day": DAY,
        "last_day": DAY,
        "closes_at": f"{DAY}T15:00:00Z",
        "applies": False,
        "lease_seconds": 60,
        "resume_seconds": 60,
    }
    run = database.call("select supatoss_open_reconciliation_v1(%s)", json.dumps(request))
    step = {
        "id": run["id"],
        "lease": run["lease"],
        "lease_seconds": 60,
        "day": DAY,
        "phase": "compare",
        "position": None,
        "compared": 0,
        "orders_asked": 0,
        "orders_left_out": False,
        "incomplete": {},
        "ends_day": False,
        "is_finished": False,
    }
    transaction = {"transaction_key": "t-1", "subject": "key-1", "currency": "MUSD"}
    findings = [finding("unnamed:1", "first"), finding("unnamed:2", "only"), finding("unnamed:1", "second")]
    for _ in range(2):
        assert database.call(
            "select supatoss_advance_reconciliation_v1(%s, %s, %s)",
            json.dumps(step),
            [Jsonb(transaction), Jsonb(transaction)],
            [Jsonb(found) for found in findings],
        )
    rows = database.rows("select subject, reason from supatoss.reconciliation_findings order by subject")
    assert [tuple(row.values()) for row in rows] == [("unnamed:1", "second"), ("unnamed:2", "only")]
    assert database.rows("select currency from supatoss.reconciliation_transactions") == [{"currency": "MUSD"}]
