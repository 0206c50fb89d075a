"""Alerts on a real PostgreSQL: facts, one start and one end whoever checks, leases, stale checks, plans."""

import asyncio
import datetime as dt
import json
import threading
from collections.abc import Iterator

import psycopg
import pytest

from supatoss.alerts.rules import Limits, judged
from supatoss.alerts.targets import open_target
from supatoss.alerts.watch import Watch
from supatoss.store.alerts import AlertFacts, Look
from tests.database.store import DatabaseStore
from tests.database.support import Database, Row, cancel, payment_event
from tests.database.test_worker_functions import deposit
from tests.receiver import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def second(database: Database) -> Iterator[Database]:
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        yield Database(connection, database.dsn)


def check(database: Database, url: str | None = None, observer: str = "a:1") -> None:
    """One check by a process that has just started."""
    target = open_target(url) if url else None
    asyncio.run(Watch(DatabaseStore(database), Limits(10), target, 60, observer).check())


def read_facts(database: Database, max_items: int = 20) -> AlertFacts:
    return asyncio.run(DatabaseStore(database).read_alert_facts(max_items))


JUDGED = judged(Limits(10, 6))


def note(
    database: Database,
    read_at: dt.datetime,
    *findings: tuple[str, str],
    observer: str = "a:1",
    limits: Limits | None = None,
    own: tuple[str, str] | None = None,
) -> dict[str, int]:
    """One look; answers what is open. own: a rule and a subject that the observer itself sees or does not see."""
    opinions = judged(limits) if limits else JUDGED
    limit_of = {item["rule"]: item.get("limit") for item in opinions}
    records = [{"rule": rule, "subject": subject, "limit": limit_of.get(rule)} for rule, subject in findings]
    if own:
        seen = {"rule": own[0], "subject": own[1], "seen_at": read_at.isoformat()}
        records = [{**record, "seen_at": read_at.isoformat()} for record in records]
        opinions = [*opinions, seen]
    look = Look(read_at, observer, records, opinions)
    return dict(asyncio.run(DatabaseStore(database).note_alerts(look)).open)


def alerts(database: Database) -> list[Row]:
    return database.rows(
        """select rule, ended_at is not null as is_ended, start_told_at is not null as start_told,
                  end_told_at is not null as end_told from supatoss.alerts order by started_at, rule"""
    )


def mismatch(database: Database, number: int = 1) -> None:
    order = f"order-{number}"
    database.insert_payment(order_id=order, payment_key=f"placeholder-{number}", amount=9900)
    database.record(payment_event("DONE", 10, order=order, key=f"key-{number}"))


def mend(database: Database) -> None:
    database.connection.execute("update payments set amount = 10000")
    database.record(*[payment_event("DONE", 10)])


def test_no_facts_are_no_alerts(database: Database, receiver: Receiver) -> None:
    facts = read_facts(database)
    assert facts == AlertFacts(facts.read_at)
    check(database, receiver.url)
    assert alerts(database) == []
    assert receiver.texts == []


def test_facts(database: Database) -> None:
    mismatch(database)
    database.record(deposit(5), payment_event("DONE", 5, order="order-2", key="2a"))
    database.record(payment_event("DONE", 6, order="order-2", key="2b"))
    database.record({"eventType": "PAYMENT_STATUS_CHANGED", "data": {"status": "DONE", "totalAmount": "x"}})
    cancels = [cancel("t-1", 8000, 20), cancel("t-2", 8000, 30)]
    database.record(payment_event("CANCELED", 30, order="order-3", key="key-3", cancels=cancels))
    database.connection.execute("update payments set approved_at = null where order_id = 'order-2'")
    database.connection.execute(
        "update webhook_events set waiting_since = now() - interval '1 hour' where status = 'pending'"
    )
    facts = read_facts(database)
    assert sorted(item.reason or "" for item in facts.failed) == ["amount_mismatch", "double_charge", "malformed"]
    told = {item.reason: item.error for item in facts.failed}
    assert told["amount_mismatch"] == "Toss reports 10000 KRW, the application stored 9900 KRW for this order"
    assert told["malformed"] is None
    assert 3600 <= (facts.oldest_waiting_seconds or 0) < 3700
    assert facts.unapproved == ("order-2",)
    assert [(item.order_id, item.amount, item.canceled) for item in facts.overcancelled] == [
        ("order-3", "10000", "16000")
    ]
    assert facts.recent_events == 6
    assert facts.newest_event_at is not None
    assert not facts.has_more_failed


def test_lists_are_cut_at_the_oldest_and_money_is_not_hidden_by_the_rest(database: Database) -> None:
    for number in range(4):
        database.record({"eventType": "PAYMENT_STATUS_CHANGED", "data": {"n": number}})
    for number in range(4):
        mismatch(database, number)
    facts = read_facts(database, 3)
    assert sorted(item.reason or "" for item in facts.failed) == ["amount_mismatch"] * 3 + ["malformed"] * 3
    assert facts.has_more_failed


@pytest.mark.usefixtures("commits")
def test_an_old_event_that_is_replayed_is_no_old_backlog(database: Database) -> None:
    database.record(deposit())
    database.connection.execute(
        "update webhook_events set created_at = '2026-01-01', waiting_since = '2026-01-01', status = 'failed'"
    )
    (row,) = database.rows("select id, status, reason from webhook_events")
    reading = {"event": str(row["id"]), "seen_status": "failed", "seen_reason": row["reason"], "status": "pending"}
    database.call("select replay_webhook_events_v1(%s, 'a', false)", json.dumps([reading]))
    assert 0 <= (read_facts(database).oldest_waiting_seconds or -1) < 60


@pytest.mark.usefixtures("commits")
def test_an_alert_goes_once_when_it_starts_and_once_when_it_ends(database: Database, receiver: Receiver) -> None:
    mismatch(database)
    for observer in ("a:1", "b:2", "a:1", "a:3"):  # two processes, and one that was started anew
        check(database, receiver.url, observer)
    (started,) = receiver.texts
    assert started.startswith("🚨 amount_mismatch\n")
    assert "Toss reports 10000 KRW" in started
    assert "결제 금액이 저장된 주문 금액과 다릅니다" in started
    assert "supatoss events list --status failed --order order-1" in started
    mend(database)
    for observer in ("b:2", "a:3", "b:2"):
        check(database, receiver.url, observer)
    assert [text.split(" ")[0] for text in receiver.texts] == ["🚨", "✅"]
    assert alerts(database) == [{"rule": "amount_mismatch", "is_ended": True, "start_told": True, "end_told": True}]
    database.connection.execute("update payments set amount = 9900")
    database.record(payment_event("PARTIAL_CANCELED", 20))
    check(database, receiver.url)
    assert len(receiver.texts) == 3


def test_two_processes_that_check_at_once_send_once(database: Database, second: Database, receiver: Receiver) -> None:
    for number in range(5):
        mismatch(database, number)
    start = threading.Barrier(2)

    def run(own: Database, observer: str) -> None:
        start.wait(20)
        for _ in range(5):
            check(own, receiver.url, observer)

    threads = [threading.Thread(target=run, args=item) for item in ((database, "a:1"), (second, "b:2"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert "".join(receiver.texts).count("🚨") == 5
    assert [row["start_told"] for row in alerts(database)] == [True] * 5


def test_what_could_not_be_sent_is_sent_later_and_not_by_others_meanwhile(
    database: Database, receiver: Receiver
) -> None:
    mismatch(database)
    receiver.statuses = [500]
    check(database, receiver.url)
    check(database, receiver.url, "b:2")
    assert (receiver.texts, receiver.statuses) == ([], [])
    assert [row["start_told"] for row in alerts(database)] == [False]
    database.connection.execute("update supatoss.alerts set telling_until = now()")  # a minute later
    check(database, receiver.url, "b:2")
    assert len(receiver.texts) == 1


@pytest.mark.usefixtures("commits")
def test_an_alert_that_ended_before_it_could_be_sent_is_sent_with_its_end(
    database: Database, receiver: Receiver
) -> None:
    mismatch(database)
    receiver.statuses = [500]
    check(database, receiver.url)
    mend(database)
    database.connection.execute("update supatoss.alerts set telling_until = now()")
    check(database, receiver.url)
    assert [text.split(" ")[0] for text in receiver.texts] == ["🚨", "✅"]


def test_a_process_that_dies_after_claiming_leaves_the_alert_to_others(database: Database) -> None:
    mismatch(database)
    note(database, read_facts(database).read_at, ("amount_mismatch", "e"))
    assert len(asyncio.run(DatabaseStore(database).claim_alerts(20, 60))) == 1
    assert asyncio.run(DatabaseStore(database).claim_alerts(20, 60)) == []
    database.connection.execute("update supatoss.alerts set telling_until = now()")
    (again,) = asyncio.run(DatabaseStore(database).claim_alerts(20, 60))
    assert (again.phase, again.attempts) == ("start", 2)


def test_a_process_without_a_target_leaves_alerts_to_those_that_have_one(
    database: Database, receiver: Receiver
) -> None:
    mismatch(database)
    check(database)
    assert alerts(database) == [{"rule": "amount_mismatch", "is_ended": False, "start_told": False, "end_told": False}]
    check(database, receiver.url, "b:2")
    check(database)
    assert len(receiver.texts) == 1


@pytest.mark.usefixtures("commits")
def test_the_first_target_hears_of_today_and_not_of_the_whole_past(database: Database, receiver: Receiver) -> None:
    database.connection.execute(
        """insert into supatoss.alerts (rule, subject, started_at, seen_at, ended_at)
           select 'backlog', '', now() - age, now() - age, now() - age
           from unnest(array[interval '2 days', interval '1 hour']) as age"""
    )
    check(database, receiver.url)
    assert "".join(receiver.texts).count("🚨") == 1
    assert "".join(receiver.texts).count("✅") == 1


@pytest.mark.usefixtures("commits")
def test_a_look_at_older_facts_neither_ends_nor_starts(database: Database) -> None:
    old, new, newer = (read_facts(database).read_at for _ in range(3))
    assert note(database, new, ("silence", "")) == {"silence": 1}
    assert note(database, old) == {"silence": 1}
    assert note(database, newer) == {}
    assert note(database, new, ("silence", "")) == {}
    assert note(database, read_facts(database).read_at, ("silence", "")) == {"silence": 1}


MINUTE = dt.timedelta(minutes=1)


def test_a_look_without_an_opinion_ends_nothing(database: Database) -> None:
    first = read_facts(database).read_at
    note(database, first, ("silence", ""), ("backlog", ""))
    assert note(database, first + MINUTE, limits=Limits(10)) == {"silence": 1}
    assert note(database, first + 60 * MINUTE, limits=Limits(10)) == {"silence": 1}
    assert note(database, first + 61 * MINUTE, limits=Limits(10, 6)) == {}


def test_a_laxer_limit_ends_nothing_while_somebody_stricter_looks(database: Database) -> None:
    first = read_facts(database).read_at
    strict, lax = Limits(5), Limits(60)
    for minute in range(30):
        note(database, first + minute * MINUTE, ("backlog", ""), observer="a:1", limits=strict)
        assert note(database, first + (minute + 0.5) * MINUTE, observer="b:2", limits=lax) == {"backlog": 1}
    (row,) = database.rows("select started_at from supatoss.alerts")
    assert row["started_at"] == first
    assert note(database, first + 43 * MINUTE, observer="b:2", limits=lax) == {"backlog": 1}
    assert note(database, first + 45 * MINUTE, observer="b:2", limits=lax) == {}


def test_what_one_process_sees_is_ended_by_it_or_after_its_silence(database: Database) -> None:
    first = read_facts(database).read_at
    mine, theirs = ("rejected_share", "a:1"), ("rejected_share", "b:2")
    note(database, first, mine, observer="a:1", own=mine)
    assert note(database, first + MINUTE, observer="b:2", own=theirs) == {"rejected_share": 1}
    assert note(database, first + 2 * MINUTE, observer="a:1", own=mine) == {}
    now = dt.datetime.now(dt.UTC)
    note(database, now + 4 * MINUTE, mine, observer="a:1", own=mine)
    assert note(database, now + 18 * MINUTE, observer="b:2", own=theirs) == {"rejected_share": 1}
    assert note(database, now + 20 * MINUTE, observer="b:2", own=theirs) == {}


def test_what_two_processes_see_of_one_key_ends_when_neither_does(database: Database) -> None:
    first = read_facts(database).read_at
    key = ("key_refused", "key 2 (…wxyz)")
    for observer in ("a:1", "b:2"):
        note(database, first, key, observer=observer, own=key)
    assert note(database, first + MINUTE, observer="c:3", own=key) == {"key_refused": 1}
    assert note(database, first + 2 * MINUTE, observer="a:1", own=key) == {"key_refused": 1}
    assert note(database, first + 3 * MINUTE, observer="b:2", own=key) == {}


def test_a_process_that_says_goodbye_takes_its_view_with_it(database: Database) -> None:
    first = read_facts(database).read_at
    mine = ("rejected_share", "a:1")
    note(database, first, mine, observer="a:1", own=mine)
    asyncio.run(DatabaseStore(database).forget_process("a:1"))
    assert database.rows("select name from supatoss.processes") == []
    assert note(database, first + MINUTE, observer="b:2", own=("rejected_share", "b:2")) == {}


def test_a_process_that_is_silent_without_a_goodbye_is_an_alert_for_a_day(
    database: Database, receiver: Receiver
) -> None:
    for observer in ("a:1", "b:2"):
        check(database, receiver.url, observer)
    database.connection.execute(
        "update supatoss.processes set seen_at = now() - interval '6 minutes' where name = 'a:1'"
    )
    check(database, receiver.url, "b:2")
    assert receiver.texts == []  # b has only begun to listen
    database.connection.execute("update supatoss.processes set beating_since = now() - interval '6 minutes'")
    for _ in range(3):
        check(database, receiver.url, "b:2")
    assert [text.split("\n")[0] for text in receiver.texts] == ["🚨 process_gone"]
    assert "process a:1 hasn't been seen" in receiver.texts[0]
    database.connection.execute("update supatoss.alerts set seen_at = seen_at - interval '1 hour'")
    database.connection.execute(
        "update supatoss.processes set seen_at = now() - interval '25 hours' where name = 'a:1'"
    )
    for _ in range(2):
        check(database, receiver.url, "b:2")
    assert [text.split("\n")[0] for text in receiver.texts] == [
        "🚨 process_gone",
        "✅ process_gone resolved · 해결됨",
    ]
    assert database.rows("select name from supatoss.processes") == [{"name": "b:2"}]


@pytest.mark.usefixtures("commits")
def test_a_process_that_came_in_the_place_of_a_silent_one_ends_its_alert_for_good(
    database: Database, receiver: Receiver
) -> None:
    for observer in ("m:web:1", "m:worker:1", "n:web:1"):
        check(database, receiver.url, observer)
    minutes = "interval '6 minutes'"
    database.connection.execute(
        f"""update supatoss.processes
            set created_at = created_at - {minutes}, beating_since = created_at - {minutes},
                seen_at = case when name = 'm:web:1' then seen_at - {minutes} else seen_at end"""
    )
    check(database, receiver.url, "n:web:1")  # the worker of the same machine, and this one, are nobody's successors
    assert [text.split("\n")[1] for text in receiver.texts] == [
        "process m:web:1 hasn't been seen for five minutes: it crashed or hangs"
    ]
    for _ in range(3):
        check(database, receiver.url, "m:web:2")
    assert [text.split("\n")[0] for text in receiver.texts[1:]] == ["✅ process_gone resolved · 해결됨"]
    asyncio.run(DatabaseStore(database).forget_process("m:web:2"))
    assert read_facts(database).gone == ()
    assert database.rows("select name from supatoss.processes order by name") == [
        {"name": "m:worker:1"},
        {"name": "n:web:1"},
    ]


def test_after_an_outage_a_laxer_look_ends_nothing_that_a_stricter_one_will_see_again(database: Database) -> None:
    old = dt.datetime.now(dt.UTC) - 20 * MINUTE
    note(database, old, ("backlog", ""), observer="a:1", limits=Limits(5))
    assert note(database, old + 20 * MINUTE, observer="b:2", limits=Limits(60)) == {"backlog": 1}
    assert note(database, old + 34 * MINUTE, observer="b:2", limits=Limits(60)) == {"backlog": 1}
    assert note(database, old + 36 * MINUTE, observer="b:2", limits=Limits(60)) == {}


@pytest.mark.usefixtures("commits")
def test_after_an_outage_every_process_has_its_time_to_come_back(database: Database) -> None:
    for observer in ("a:1", "b:2", "c:3"):
        check(database, None, observer)
    database.connection.execute(
        "update supatoss.processes set seen_at = now() - interval '10 minutes', beating_since = '2026-01-01'"
    )
    for observer in ("a:1", "b:2", "a:1"):
        check(database, None, observer)
    assert alerts(database) == []
    minutes = "update supatoss.processes set beating_since = now() - interval '5 minutes' where name = 'a:1'"
    database.connection.execute(minutes)
    assert read_facts(database).gone == ()  # c was heard of ten minutes ago, and a has looked a moment short of five
    check(database, None, "a:1")
    assert read_facts(database).gone == ("c:3",)


def test_a_process_that_looks_once_an_hour_is_not_gone_in_between(database: Database) -> None:
    asyncio.run(Watch(DatabaseStore(database), Limits(10), None, 3600, "a:1").check())
    check(database, None, "b:2")
    database.connection.execute("update supatoss.processes set beating_since = '2026-01-01'")
    database.connection.execute("update supatoss.processes set seen_at = now() - interval '2 hours' where name = 'a:1'")
    assert read_facts(database).gone == ()
    database.connection.execute("update supatoss.processes set seen_at = now() - interval '4 hours' where name = 'a:1'")
    assert read_facts(database).gone == ("a:1",)


def test_many_events_about_one_order_are_one_alert_and_hide_no_other(database: Database, receiver: Receiver) -> None:
    database.insert_payment(order_id="order-1", payment_key="placeholder-1", amount=9900)
    for second in range(25):
        database.record(payment_event("DONE", second, approvedAt=f"2026-03-14T09:00:{second:02}+09:00"))
    database.record(payment_event("DONE", 50, order="order-2", key="2a"))
    database.record(payment_event("DONE", 51, order="order-2", key="2b"))
    (row,) = database.rows("select count(*) from webhook_events where reason = 'amount_mismatch'")
    assert row["count"] == 25
    check(database, receiver.url)
    rows = database.rows(
        "select rule, subject, (details ->> 'events')::integer as events from supatoss.alerts order by 1"
    )
    assert rows == [
        {"rule": "amount_mismatch", "subject": "order-1", "events": 25},
        {"rule": "double_charge", "subject": "order-2", "events": 1},
    ]


@pytest.mark.usefixtures("commits")
def test_an_alert_does_not_end_while_its_event_fails_whatever_fails_before_it(
    database: Database, receiver: Receiver
) -> None:
    mismatch(database, 99)
    check(database, receiver.url)
    for number in range(25):
        mismatch(database, number)
    database.connection.execute("update webhook_events set created_at = '2026-01-01' where order_id <> 'order-99'")
    check(database, receiver.url)
    rows = database.rows("select subject from supatoss.alerts where ended_at is null and rule = 'amount_mismatch'")
    assert len(rows) == 21
    assert {"subject": "order-99"} in rows
    assert "✅" not in "".join(receiver.texts)


@pytest.mark.usefixtures("commits")
def test_an_alert_whose_events_are_ignored_is_set_aside_and_not_resolved(
    database: Database, receiver: Receiver
) -> None:
    mismatch(database)
    check(database, receiver.url)
    (event,) = database.rows("select id from webhook_events")
    ids = json.dumps([str(event["id"])])
    database.call("select ignore_webhook_events_v1(%s, 'refunded at Toss', 'kim', false)", ids)
    check(database, receiver.url)
    assert receiver.texts[1].startswith("☑️ amount_mismatch ignored by kim · kim 무시 처리\n")


def test_a_refund_to_an_account_that_failed_is_an_alert_until_it_is_done(
    database: Database, receiver: Receiver
) -> None:
    cancels = [cancel("t-1", 10000, 20)]
    account = {"accountNumber": "X1", "bankCode": "20", "refundStatus": "FAILED"}
    database.record(payment_event("CANCELED", 30, cancels=cancels, virtualAccount=account))
    assert read_facts(database).unrefunded == ("order-1",)
    check(database, receiver.url)
    assert receiver.texts[0].startswith("🚨 refund_failed\norder order-1: ")
    database.connection.execute("update payments set updated_at = now() - interval '2 days'")
    assert read_facts(database).unrefunded == ("order-1",)
    database.connection.execute("update supatoss.alerts set started_at = now() - interval '15 days'")
    assert read_facts(database).unrefunded == ()


@pytest.mark.parametrize(
    "change",
    [
        "drop index webhook_events_event_key_key",
        """drop index webhook_events_event_key_key;
           create index webhook_events_event_key_key on webhook_events (event_key)""",
        """drop index webhook_events_event_key_key;
           create unique index webhook_events_event_key_key on webhook_events (event_key, created_at)""",
    ],
)
def test_a_write_check_fails_without_the_unique_key_of_the_inbox(database: Database, change: str) -> None:
    database.call("select supatoss_check_write_v1()")
    database.connection.execute(change)
    with pytest.raises(psycopg.DatabaseError, match="the unique key of webhook_events is missing") as problem:
        database.call("select supatoss_check_write_v1()")
    assert problem.value.sqlstate == "SUPA3"


def test_a_write_check_writes_one_row_and_fails_where_nothing_can_be_written(database: Database) -> None:
    for _ in range(3):
        asyncio.run(DatabaseStore(database).check_write())
    assert database.rows("select count(*) from supatoss.write_checks") == [{"count": 1}]
    with database.connection.transaction():
        database.connection.execute("set local transaction_read_only = on")
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            asyncio.run(DatabaseStore(database).check_write())


SMALL = {
    "supatoss_read_alert_facts_v1": {
        "alerts_open_key",
        "payments_order_id_key",
        "processes_pkey",
        "webhook_events_pkey",
        "webhook_events_unfinished_created_at_idx",
        "webhook_events_failed_money_idx",
        "webhook_events_failed_other_idx",
        "webhook_events_reason_idx",
        "webhook_events_created_at_idx",
        "payments_unapproved_idx",
        "payments_cancelled_idx",
    },
    # PostgreSQL 15 takes the second one while the table is empty.
    "supatoss_oldest_waiting_seconds_v1": {"webhook_events_waiting_idx", "webhook_events_unfinished_created_at_idx"},
}


@pytest.mark.parametrize("function", SMALL)
@pytest.mark.usefixtures("commits")
def test_the_facts_are_read_by_small_indexes_alone(database: Database, function: str) -> None:
    (row,) = database.rows("select prosrc from pg_proc where proname = %s", function)
    with database.connection.transaction(force_rollback=True):
        # As on large tables, where these plans are the cheap ones anyway.
        database.connection.execute("set local enable_seqscan = off")
        (plan,) = database.rows("explain (format json) " + row["prosrc"].replace("max_items", "20").replace("%", "%%"))
    nodes = list(plan_nodes(plan["QUERY PLAN"][0]["Plan"]))
    assert {node["Index Name"] for node in nodes if "Index Name" in node} <= SMALL[function]
    scanned = {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"}
    assert not scanned & {"webhook_events", "payments"}


def plan_nodes(node: Row) -> Iterator[Row]:
    yield node
    for child in node.get("Plans", ()):
        yield from plan_nodes(child)
