"""Every rule begins and ends once, with three processes of different settings and the database away in between.

a and b have the target, c has none. What arrived there is printed: pytest -s tests/database/test_alert_stories.py
"""

import asyncio
import datetime as dt
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from supatoss.alerts.rules import Limits, Rule
from supatoss.alerts.targets import AlertNotSent, JsonTarget, Post
from supatoss.alerts.watch import Watch
from supatoss.errors import StoreError, StoreUnavailable
from supatoss.store.client import Function
from supatoss.telemetry import DELIVERIES
from supatoss.toss.client import TossClient
from tests.database.store import DatabaseStore
from tests.database.support import Database, cancel, payment_event
from tests.database.test_worker_functions import deposit

pytestmark = pytest.mark.usefixtures("commits")

LIMITS = {"a": Limits(5, 6), "b": Limits(10), "c": Limits(60, 100)}
WRITES = (Function.NOTE_ALERTS, Function.CLAIM_ALERTS, Function.CONFIRM_ALERTS)
READ_ONLY = "the database is busy or unavailable: SQLSTATE 25006"


class Outage(DatabaseStore):
    """A store whose database can be away, or read-only: nothing is written then."""

    is_away = is_read_only = False

    async def _answer(self, function: Function, arguments: Any, tries: int) -> Any:
        if Outage.is_away:
            raise StoreUnavailable("no answer from the Data API: ConnectError")
        if Outage.is_read_only and function in WRITES:
            raise StoreUnavailable(READ_ONLY)
        return await super()._answer(function, arguments, tries)


class Recorder(JsonTarget):
    """A target that two processes share."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1")
        self.is_down = False
        self.arrived: list[tuple[str, str, str]] = []

    async def send(self, post: Post) -> None:
        if self.is_down:
            raise AlertNotSent("ALERT_WEBHOOK_URL answers with HTTP 500")
        body = json.loads(post.content)
        data = body["data"]
        self.arrived.append((data["rule"], data["subject"], body["type"].rsplit(".")[-1]))
        sys.stdout.write(f"{body['type']:24} {body['text']!r}\n")


@dataclass
class World:
    """Three processes, one database, one target, one Toss."""

    database: Database
    recorder: Recorder
    watches: dict[str, Watch]
    now: float = 1000.0
    toss: str = "ok"

    def look(self, rounds: int = 4) -> None:
        """Every process looks once a minute."""

        async def check() -> None:
            for name in self.watches:
                try:
                    await self.watches[name].check()
                except StoreError:
                    assert Outage.is_away or Outage.is_read_only

        for _ in range(rounds):
            asyncio.run(check())
            self.now += 60

    def execute(self, statement: str) -> None:
        self.database.connection.execute(statement)

    def answer(self, request: httpx.Request) -> httpx.Response:
        if self.toss == "away":
            raise httpx.ConnectTimeout("away", request=request)
        if self.toss == "refused":
            return httpx.Response(401, json={"code": "UNAUTHORIZED_KEY", "message": "-"})
        return httpx.Response(404, json={"code": "NOT_FOUND_PAYMENT", "message": "-"})


@pytest.fixture
def world(database: Database) -> Iterator[World]:
    recorder = Recorder()
    world = World(database, recorder, {})
    for name, limits in LIMITS.items():
        toss = TossClient("https://api.example.com", ["test_sk_wxyz"], transport=httpx.MockTransport(world.answer))
        target = recorder if name != "c" else None
        world.watches[name] = Watch(Outage(database), limits, target, 60, name, toss, clock=lambda: world.now)
    yield world
    Outage.is_away = Outage.is_read_only = False


def mismatch(world: World) -> None:
    world.database.insert_payment(amount=9900)
    for second in range(3):
        world.database.record(payment_event("DONE", second))


def mend_mismatch(world: World) -> None:
    world.execute("update payments set amount = 10000")
    world.database.record(*[payment_event("DONE", second) for second in range(3)])


def paid_twice(world: World) -> None:
    world.database.record(payment_event("DONE", 5, key="a"), payment_event("DONE", 6, key="b"))


def mend_paid_twice(world: World) -> None:
    world.database.record(
        payment_event("CANCELED", 9, key="b", cancels=[cancel("t", 10000, 9)], balanceAmount=0),
    )
    world.execute("update webhook_events set status = 'processed' where status = 'failed'")


def regular(world: World) -> None:
    for second in range(20):
        world.database.record(payment_event("DONE", second, order=f"order-{second}", key=f"key-{second}"))
    world.execute("update webhook_events set created_at = now() - interval '7 hours'")


def overcancelled(world: World) -> None:
    cancels = [cancel("t-1", 8000, 20), cancel("t-2", 8000, 30)]
    world.database.record(payment_event("CANCELED", 30, cancels=cancels))


def refund(world: World, status: str = "FAILED", second: int = 30) -> None:
    account = {"accountNumber": "X1", "bankCode": "20", "refundStatus": status}
    world.database.record(
        payment_event("CANCELED", second, cancels=[cancel("t", 10000, 20)], virtualAccount=account),
    )


def count(outcome: str, number: int) -> Callable[[World], None]:
    return lambda _world: DELIVERIES.labels(outcome, "invalid_signature").inc(number)


def pass_three_hours(world: World) -> None:
    world.now += 3 * 3600


def toss(state: str) -> Callable[[World], None]:
    def change(world: World) -> None:
        world.toss = state
        world.now += 600

    return change


def target_is_down(is_down: bool) -> Callable[[World], None]:
    def change(world: World) -> None:
        world.recorder.is_down = is_down
        # Something that is to be sent.
        if is_down:
            world.database.record(payment_event("DONE", 5))
            world.execute("update payments set approved_at = null")
        world.execute("update supatoss.alerts set telling_until = now()")

    return change


def die(world: World) -> None:
    world.execute("insert into supatoss.processes (name, seen_at) values ('d', now() - interval '6 minutes')")
    world.execute("update supatoss.processes set beating_since = now() - interval '1 hour'")


def come_back(world: World) -> None:
    world.execute("update supatoss.processes set seen_at = now() where name = 'd'")


def differ(world: World) -> None:
    world.execute(
        """with run as (
             insert into supatoss.reconciliations (kind, started_by, first_day, last_day, day, closes_at, status)
             values ('payments', 'schedule', '2026-03-14', '2026-03-14', '2026-03-14', '2026-03-14T15:00Z', 'finished')
             returning id)
           insert into supatoss.reconciliation_findings (reconciliation_id, subject, kind, day, ours, theirs)
           select id, 'key-1', 'missing', '2026-03-14', '{}', '{}' from run"""
    )


def fail(column: str) -> Callable[[World], None]:
    return lambda world: world.execute(f"update payments set {column}")


Step = Callable[[World], object]

STORIES: dict[Rule, tuple[list[Step], list[Step], set[str]]] = {
    Rule.EVENT_FAILED: (
        [lambda world: world.database.record({"eventType": "PAYMENT_STATUS_CHANGED", "data": {"n": 1}})],
        [lambda world: world.execute("update webhook_events set status = 'processed'")],
        {"*"},
    ),
    Rule.AMOUNT_MISMATCH: ([mismatch], [mend_mismatch], {"order-1"}),
    Rule.DOUBLE_CHARGE: ([paid_twice], [mend_paid_twice], {"order-1"}),
    Rule.BACKLOG: (
        [
            lambda world: world.database.record(deposit()),
            lambda world: world.execute("update webhook_events set waiting_since = now() - interval '7 minutes'"),
        ],
        [lambda world: world.execute("update webhook_events set status = 'ignored'")],
        {""},
    ),
    Rule.REJECTED_SHARE: ([count("rejected", 20)], [pass_three_hours], {"a", "b", "c"}),
    Rule.SILENCE: ([regular], [lambda world: world.database.record(payment_event("DONE", 9))], {""}),
    Rule.DONE_WITHOUT_APPROVAL: (
        [lambda world: world.database.record(payment_event("DONE", 5)), fail("approved_at = null")],
        [fail("approved_at = now()")],
        {"order-1"},
    ),
    Rule.CANCELS_ABOVE_TOTAL: ([overcancelled], [fail("cancels = null")], {"order-1"}),
    Rule.REFUND_FAILED: ([refund], [lambda world: refund(world, "COMPLETED", 31)], {"order-1"}),
    Rule.NOT_STORED: ([count("failed", 20)], [pass_three_hours], {"a", "b", "c"}),
    Rule.KEY_REFUSED: ([toss("refused")], [toss("ok")], {"key 1 (…wxyz)"}),
    Rule.TOSS_AWAY: ([toss("away")], [toss("ok")], {""}),
    Rule.ALERTS_NOT_SENT: ([target_is_down(True)], [target_is_down(False)], {"a", "b"}),
    Rule.UNKNOWN_TYPE: (
        [
            lambda world: world.execute(
                """insert into supatoss.refused_deliveries (event_type, reason, http_status)
                   values ('NEW_TYPE', 'acknowledged', 200)"""
            )
        ],
        [lambda world: world.execute("delete from supatoss.refused_deliveries")],
        {""},
    ),
    Rule.PROCESS_GONE: ([die], [come_back], {"d"}),
    Rule.RECONCILIATION_DIFFERENCE: (
        [differ],
        [lambda world: world.execute("update supatoss.reconciliation_findings set outcome = 'resolved'")],
        {"2026-03-14"},
    ),
}


def test_there_is_a_story_for_every_rule() -> None:
    assert {*STORIES, Rule.DATABASE_AWAY} == set(Rule)


@pytest.mark.parametrize("rule", STORIES)
def test_a_rule_begins_once_and_ends_once_with_the_database_away_in_between(world: World, rule: Rule) -> None:
    causes, mends, subjects = STORIES[rule]
    world.look()
    assert world.recorder.arrived == []
    for cause in causes:
        cause(world)
    world.look(5)
    Outage.is_away = True
    world.look(5)
    Outage.is_away = False
    world.look(2)
    if rule is not Rule.ALERTS_NOT_SENT:
        assert {phase for name, _, phase in world.recorder.arrived if name == rule} == {"started"}
    for mend in mends:
        mend(world)
    world.look(7)
    arrived = Counter(world.recorder.arrived)
    told = {subject for name, subject, _ in arrived if name == rule}
    assert told == subjects or (subjects == {"*"} and len(told) == 1)
    for subject in told:
        assert arrived[rule.value, subject, "started"] == arrived[rule.value, subject, "ended"] == 1
    for process in LIMITS:
        for phase in ("started", "ended"):
            assert arrived["database_away", process, phase] == 1
    assert max(arrived.values()) == 1
    open_or_untold = "ended_at is null or start_told_at is null or end_told_at is null"
    rows = world.database.rows(f"select rule, subject from supatoss.alerts where {open_or_untold}")
    assert {row["rule"] for row in rows} <= {"done_without_approval"} - ({rule} - {Rule.ALERTS_NOT_SENT})


@pytest.mark.parametrize("kind", ["is_away", "is_read_only"])
def test_what_begins_and_ends_while_the_database_is_away_is_told_by_each_and_kept_afterwards(
    world: World, kind: str
) -> None:
    world.look()
    setattr(Outage, kind, True)
    world.look(3)
    assert world.recorder.arrived == []  # not yet three minutes
    toss("refused")(world)
    world.look(3)
    told = [("database_away", name, "started") for name in "ab"] + [("key_refused", "key 1 (…wxyz)", "started")] * 2
    assert sorted(world.recorder.arrived) == sorted(told)
    toss("ok")(world)
    world.look(3)
    ended = [("key_refused", "key 1 (…wxyz)", "ended")] * 2
    assert sorted(world.recorder.arrived) == sorted(told + ended)
    setattr(Outage, kind, False)
    world.look(3)
    assert Counter(world.recorder.arrived) == Counter(
        told
        + ended
        + [("database_away", name, "ended") for name in "ab"]
        # c has no target: the others tell of it once they can, as does what c saw of the key.
        + [("database_away", "c", phase) for phase in ("started", "ended")]
        + [("key_refused", "key 1 (…wxyz)", phase) for phase in ("started", "ended")]
    )
    rows = world.database.rows(
        "select rule, subject from supatoss.alerts where ended_at is null or end_told_at is null"
    )
    assert rows == []
    assert world.database.rows("select count(*) from supatoss.alerts") == [{"count": 6}]


@pytest.mark.parametrize("order", ["abc", "cab"])
def test_what_begins_while_the_database_is_away_and_goes_on_is_ended_through_it(world: World, order: str) -> None:
    world.watches = {name: world.watches[name] for name in order}
    world.look()
    Outage.is_away = True
    toss("refused")(world)
    world.look(5)
    Outage.is_away = False
    world.look(3)
    toss("ok")(world)
    world.look(3)
    arrived = Counter(item for item in world.recorder.arrived if item[0] == "key_refused")
    assert arrived == {
        ("key_refused", "key 1 (…wxyz)", "started"): 2,  # by a and by b, neither of which could know of the other
        ("key_refused", "key 1 (…wxyz)", "ended"): 1,
    }


def test_a_process_that_dies_in_an_outage_leaves_nothing_open_for_ever(world: World) -> None:
    toss("refused")(world)
    world.look()
    del world.watches["a"], world.watches["b"]
    world.toss = "ok"
    world.watches["c"]._target = world.recorder
    world.look(2)
    assert ("key_refused", "key 1 (…wxyz)", "ended") not in world.recorder.arrived
    minutes = dt.timedelta(minutes=16)
    for row in world.database.rows("select id, sightings from supatoss.alerts"):
        older = {name: (dt.datetime.fromisoformat(at) - minutes).isoformat() for name, at in row["sightings"].items()}
        world.database.connection.execute(
            "update supatoss.alerts set sightings = %s where id = %s", [json.dumps(older), row["id"]]
        )
    world.look(1)  # c has only begun to listen, as after an outage
    assert ("key_refused", "key 1 (…wxyz)", "ended") not in world.recorder.arrived
    world.execute("update supatoss.processes set beating_since = now() - interval '16 minutes'")
    world.look(1)
    assert ("key_refused", "key 1 (…wxyz)", "ended") in world.recorder.arrived
