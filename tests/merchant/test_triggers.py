"""The project's own triggers run in our transactions: what they raise fails one event, and it names them."""

import json
from collections.abc import Callable

import psycopg
import pytest

from supatoss.errors import StoreRefused
from tests.database.store import DatabaseStore
from tests.database.support import Database, Row, at, payment_event, record_of

OUR_PATH = "search_path=pg_catalog, public, extensions, pg_temp"


def payment(name: str) -> Row:
    return payment_event("DONE", 10, order=f"order-{name}", key=f"key-{name}")


def billing(name: str) -> Row:
    data = {"billingKey": f"bk-{name}", "customerKey": f"customer-{name}", "issuedAt": at(10, offset=True)}
    return {"eventType": "BILLING_KEY_ISSUED", "data": data}


def settlement(name: str) -> Row:
    data = {"paymentKey": f"key-{name}", "amount": 9700}
    return {"eventType": "SETTLEMENT_COMPLETED", "createdAt": at(99), "data": data}


EVENTS: dict[str, Callable[[str], Row]] = {"payments": payment, "subscriptions": billing, "settlements": settlement}


def add_trigger(database: Database, table: str, body: str, when: str = "after insert or update") -> None:
    """A trigger that does this to rows that have to do with something odd. Its names are unqualified."""
    kind = "constraint trigger" if "deferred" in when else "trigger"
    when, deferred = (when.replace(" deferred", ""), "deferrable initially deferred" if "deferred" in when else "")
    database.connection.execute(
        f"""
        create or replace function mind_rows() returns trigger language plpgsql as $$
        begin
          if to_jsonb(new)::text like '%odd%' then {body} end if;
          return new;
        end $$;
        create {kind} my_trigger {when} on public.{table} {deferred} for each row execute function mind_rows()
        """
    )


def remove_trigger(database: Database, table: str) -> None:
    database.connection.execute(f"drop trigger my_trigger on {table}")


def events(database: Database) -> list[tuple[str, str | None]]:
    rows = database.rows("select status, reason from webhook_events order by id")
    return [(row["status"], row["reason"]) for row in rows]


def last_error(database: Database) -> str:
    (row,) = database.rows("select last_error from webhook_events where status = 'failed'")
    return str(row["last_error"])


def check_that_only_the_odd_one_failed(database: Database, table: str, state: str) -> None:
    event = EVENTS[table]
    outcomes = database.record(event("1"), event("odd"), event("2"))
    assert [(outcome["status"], outcome["reason"]) for outcome in outcomes] == [
        ("processed", None),
        ("failed", "refused_by_database"),
        ("processed", None),
    ]
    assert len(database.rows(f"select 1 from {table}")) == 2
    assert last_error(database).startswith(f"trigger my_trigger on {table}, function mind_rows()"), last_error(database)
    assert f"(SQLSTATE {state})" in last_error(database)
    assert database.rows("select 1 from webhook_events where payload ->> 'eventType' is null") == []


def replay(database: Database, *, dry_run: bool = False, **reading: object) -> list[str]:
    """Replays every failed event."""
    rows = database.rows("select id, status, reason from webhook_events where status = 'failed'")
    readings = [
        {
            "event": str(row["id"]),
            "seen_status": row["status"],
            "seen_reason": row["reason"],
            "status": "processed",
            **reading,
        }
        for row in rows
    ]
    answer = database.call("select replay_webhook_events_v1(%s, 'kim', %s)", json.dumps(readings), dry_run)
    return [outcome["status"] for outcome in answer]


FAULTS = {
    "42P01": "insert into missing values (1);",
    "42703": "raise notice '%', new.missing;",
    "22P02": "perform 'x'::integer;",
    "22012": "perform 1 / 0;",
    "23502": "create temporary table strict (a int not null) on commit drop; insert into strict values (null);",
    "42501": "perform from pg_authid;",
    "P0001": "raise exception 'not with us';",
    "P0002": "raise no_data_found;",
    "P0004": "assert false, 'never';",
    "MYERR": "raise exception 'ours' using errcode = 'MYERR';",
    "55000": "perform currval('public.orders_seq');",
    "2D000": "commit;",
    "54001": "perform set_config('a.b', repeat('x', 9), true); update payments set user_id = user_id;",
}


@pytest.mark.parametrize("state", sorted(FAULTS))
def test_whatever_a_trigger_raises_fails_one_event(database: Database, state: str) -> None:
    database.connection.execute("create sequence orders_seq")
    database.connection.execute("grant usage on sequence orders_seq to service_role")
    add_trigger(database, "payments", FAULTS[state])
    check_that_only_the_odd_one_failed(database, "payments", state)


@pytest.mark.parametrize(
    "when", ["before insert or update", "after insert or update", "after insert or update deferred"]
)
@pytest.mark.parametrize("table", sorted(EVENTS))
def test_every_table_and_every_time(database: Database, table: str, when: str) -> None:
    add_trigger(database, table, "raise exception 'not with us';", when)
    check_that_only_the_odd_one_failed(database, table, "P0001")
    remove_trigger(database, table)
    assert replay(database) == ["processed"]
    assert len(database.rows(f"select 1 from {table}")) == 3
    assert events(database) == [("processed", None)] * 3


def test_a_trigger_of_statements(database: Database) -> None:
    database.connection.execute(
        """
        create function mind_rows() returns trigger language plpgsql as $$
        begin
          if exists (select from written where order_id like '%odd%') then raise exception 'not with us'; end if;
          return null;
        end $$;
        create trigger my_trigger after insert on payments referencing new table as written
          for each statement execute function mind_rows();
        """
    )
    check_that_only_the_odd_one_failed(database, "payments", "P0001")


def test_the_function_that_raised_is_named_beside_the_trigger(database: Database) -> None:
    database.connection.execute(
        """create function book(p_order text) returns void language plpgsql as $$ begin perform 1 / 0; end $$"""
    )
    add_trigger(database, "payments", "perform book(new.order_id);")
    database.record(payment("odd"))
    assert last_error(database) == (
        "trigger my_trigger on payments, function mind_rows(), in book(text): division by zero (SQLSTATE 22012)"
    )


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("perform v_hidden::uuid;", 'invalid input syntax for type uuid: "…" (SQLSTATE 22P02)'),
        ("perform v_hidden::integer;", 'invalid input syntax for type integer: "…" (SQLSTATE 22P02)'),
        ("perform v_digits::integer;", 'value "…" is out of range for type integer (SQLSTATE 22003)'),
        (
            "perform v_hidden::timestamptz;",
            'invalid input syntax for type timestamp with time zone: "…" (SQLSTATE 22007)',
        ),
        ("perform v_hidden::jsonb;", "invalid input syntax for type json (SQLSTATE 22P02)"),
        ("insert into kept values (v_hidden);", "value too long for type character varying(5) (SQLSTATE 22001)"),
        (
            "insert into kept values ('twice'), ('twice');",
            'duplicate key value violates unique constraint "kept_value_key" (SQLSTATE 23505)',
        ),
        (
            "insert into kept values ('odd');",
            'new row for relation "kept" violates check constraint "kept_value_check" (SQLSTATE 23514)',
        ),
    ],
)
def test_no_value_of_the_body_is_kept_in_the_error(database: Database, statement: str, message: str) -> None:
    database.connection.execute("create table kept (value varchar(5) unique check (value <> 'odd'))")
    database.connection.execute("grant all on kept to service_role")
    add_trigger(
        database,
        "payments",
        f"""declare v_hidden text := new.metadata ->> 'hidden'; v_digits text := new.metadata ->> 'digits';
            begin {statement} end;""",
    )
    event = payment("odd")
    event["data"]["metadata"] = {"hidden": 'a "secret" of\nthe buyer', "digits": "99999999999999999999"}
    database.record(event)
    assert last_error(database) == f"trigger my_trigger on payments, function mind_rows(): {message}"


def test_a_constraint_of_the_project_is_named_with_its_table(database: Database) -> None:
    database.connection.execute("alter table payments add column team text not null default 'a'")
    database.connection.execute("alter table payments alter column team drop default")
    database.record(payment("odd"))
    assert last_error(database) == (
        'payments: null value in column "team" of relation "payments" violates not-null constraint (SQLSTATE 23502)'
    )


def test_triggers_find_tables_that_they_name_without_a_schema(database: Database) -> None:
    database.connection.execute("create table credits (order_id text); grant all on credits to service_role")
    for table in (*EVENTS, "webhook_events"):
        add_trigger(database, table, "insert into credits values (tg_table_name);")
    database.record(*[event("odd") for event in EVENTS.values()])
    assert {status for status, _ in events(database)} == {"processed"}
    told = {row["order_id"] for row in database.rows("select order_id from credits")}
    assert told == {*EVENTS, "webhook_events"}


CURABLE = ("08006", "40001", "40P01", "53200", "55P03", "57014", "57P03")


@pytest.mark.parametrize("state", CURABLE)
def test_what_a_retry_cures_fails_the_call_and_stores_nothing(database: Database, state: str) -> None:
    add_trigger(database, "payments", f"raise exception 'later' using errcode = '{state}';")
    with pytest.raises(psycopg.Error) as caught:
        database.record(payment("1"), payment("odd"))
    assert caught.value.sqlstate == state
    assert events(database) == []


@pytest.mark.parametrize("call", ["finish", "replay", "repair"])
def test_so_it_does_on_every_path(database: Database, call: str) -> None:
    database.record(waiting("odd"))
    (claimed,) = claim(database)
    if call == "replay":
        database.connection.execute("update webhook_events set status = 'failed', lease_until = null")
    add_trigger(database, "payments", "raise exception 'later' using errcode = '40001';")
    repair = {"payment_key": "key-odd", "order_id": "order-odd", "price": "1", "event": record_of(payment("odd"))}
    before = events(database)
    calls: dict[str, Callable[[], object]] = {
        "finish": lambda: finish(database, claimed),
        "replay": lambda: replay(database, change=record_of(payment("odd"))["change"]),
        "repair": lambda: database.call("select supatoss_repair_payment_v1(%s)", json.dumps(repair)),
    }
    with pytest.raises(psycopg.errors.SerializationFailure):
        calls[call]()
    assert events(database) == before


@pytest.mark.parametrize("table", sorted(EVENTS))
def test_a_row_that_a_trigger_silently_leaves_out(database: Database, table: str) -> None:
    add_trigger(database, table, "return null;", "before insert")
    event = EVENTS[table]
    outcomes = database.record(event("1"), event("odd"), event("2"))
    assert [outcome["status"] for outcome in outcomes] == ["processed", "failed", "processed"]
    assert last_error(database) == f"a trigger on {table} keeps the row from being written (SQLSTATE SUPA2)"


def test_an_update_that_a_trigger_silently_leaves_out(database: Database) -> None:
    database.insert_payment(order_id="order-odd", payment_key="placeholder-odd")
    add_trigger(database, "payments", "return null;", "before update")
    assert database.record(payment("odd"))[0]["reason"] == "refused_by_database"
    remove_trigger(database, "payments")
    assert replay(database) == ["processed"]
    add_trigger(database, "payments", "return null;", "before update")
    canceled = payment_event("CANCELED", 20, order="order-odd", key="key-odd")
    outcomes = database.record(canceled, payment("1"), settlement("odd"))
    assert [outcome["status"] for outcome in outcomes] == ["failed", "processed", "failed"]
    assert database.payment("order-odd")["payment_status"] == "DONE"


def test_a_subscription_that_a_trigger_silently_leaves_as_it_is(database: Database) -> None:
    database.record(billing("odd"))
    add_trigger(database, "subscriptions", "return null;", "before update")
    deleted = {"eventType": "BILLING_DELETED", "createdAt": at(99), "data": {"billingKey": "bk-odd", "reason": None}}
    assert database.record(deleted)[0]["reason"] == "refused_by_database"
    remove_trigger(database, "subscriptions")
    assert replay(database) == ["processed"]
    assert [row["status"] for row in database.rows("select status from subscriptions")] == ["CANCELED"]


def test_a_mismatch_that_cannot_be_marked_does_not_count(database: Database) -> None:
    database.insert_payment(order_id="order-odd", amount=9000)
    add_trigger(database, "webhook_events", "if new.status = 'failed' then return null; end if;", "before update")
    (outcome,) = database.record(payment("odd"))
    assert (outcome["status"], outcome["reason"]) == ("failed", "refused_by_database")
    assert database.payment("order-odd")["payment_status"] == "PENDING"


@pytest.mark.parametrize("body", ["return null;", "raise exception 'not with us';"])
def test_an_inbox_that_takes_no_such_event_refuses_that_one(database: Database, body: str) -> None:
    add_trigger(database, "webhook_events", body, "before insert")
    outcomes = database.record(payment("1"), payment("odd"), payment("2"))
    assert [outcome["outcome"] for outcome in outcomes] == ["created", "refused", "created"]
    assert outcomes[1]["id"] is None
    assert "not with us" not in outcomes[1]["reason"]
    assert events(database) == [("processed", None)] * 2
    assert len(database.rows("select 1 from payments")) == 2


@pytest.mark.anyio
async def test_only_the_delivery_that_the_inbox_refuses_is_answered_as_not_stored(database: Database) -> None:
    add_trigger(database, "webhook_events", "raise exception 'not with us';", "before insert")
    store = DatabaseStore(database)
    results = await store.record_webhook_events([record_of(payment("1")), record_of(payment("odd"))])
    assert [result.outcome for result in results] == ["created", "refused"]
    assert "trigger my_trigger on webhook_events" in str(results[1].problem)
    with pytest.raises(StoreRefused, match="my_trigger"):
        await store.record_webhook_events([record_of(payment("odd"))])


def test_an_inbox_that_refuses_what_is_processed_keeps_it_as_failed(database: Database) -> None:
    add_trigger(database, "webhook_events", "if new.processed then raise exception 'no'; end if;")
    outcomes = database.record(payment("1"), payment("odd"))
    assert [outcome["status"] for outcome in outcomes] == ["processed", "failed"]
    assert last_error(database) == "trigger my_trigger on webhook_events, function mind_rows(): no (SQLSTATE P0001)"


def test_triggers_may_write_our_tables_again(database: Database) -> None:
    add_trigger(
        database,
        "payments",
        """if pg_trigger_depth() = 1 then
             update payments set metadata = '{"seen": true}' where id = new.id;
             insert into webhook_events (event_type, payload) values ('LOG', '{}');
           end if;""",
    )
    assert database.record(payment("odd"), payment("1"))[0]["status"] == "processed"
    assert database.payment("order-odd")["metadata"] == {"seen": True}
    assert len(events(database)) == 3


def test_a_trigger_may_change_the_row(database: Database) -> None:
    add_trigger(database, "payments", "new.receipt_url = 'changed'; new.updated_at = now();", "before insert or update")
    for event in (payment("odd"), payment_event("CANCELED", 20, order="order-odd", key="key-odd")):
        assert database.record(event)[0]["status"] == "processed"
    row = database.payment("order-odd")
    assert (row["payment_status"], row["receipt_url"]) == ("CANCELED", "changed")


@pytest.mark.parametrize("is_local", ["true", "false"])
def test_a_trigger_that_moves_the_search_path_moves_nothing_of_ours(database: Database, is_local: str) -> None:
    for table in EVENTS:
        add_trigger(database, table, f"perform set_config('search_path', 'nowhere', {is_local});")
    for _ in range(2):
        outcomes = database.record(*[event(f"odd-{is_local}") for event in EVENTS.values()], payment("1"))
        assert [outcome["status"] for outcome in outcomes] == ["processed"] * 4
        database.connection.execute("set search_path = public")


def waiting(name: str) -> Row:
    data = {"paymentKey": f"key-{name}", "orderId": f"order-{name}", "depositedAt": at(0, offset=True)}
    return {"eventType": "VIRTUAL_ACCOUNT_DEPOSIT", "data": {**data, "secret": "s"}}


def claim(database: Database) -> list[Row]:
    return list(database.call("select claim_webhook_events_v1(10, 90)"))


def finish(database: Database, claimed: Row) -> Row:
    change = record_of(payment(claimed["order_id"].removeprefix("order-")))["change"]
    attempt = {"event": claimed["id"], "lease": claimed["lease"], "status": "processed", "change": change}
    return dict(database.call("select finish_webhook_event_v1(%s)", json.dumps(attempt)))


@pytest.mark.parametrize("when", ["after insert or update", "after insert or update deferred"])
def test_the_worker_fails_one_event(database: Database, when: str) -> None:
    add_trigger(database, "payments", "insert into missing values (1);", when)
    database.record(waiting("odd"), waiting("1"))
    finished = {row["order_id"]: finish(database, row)["status"] for row in claim(database)}
    assert finished == {"order-odd": "failed", "order-1": "processed"}
    assert "trigger my_trigger on payments" in last_error(database)


def test_an_event_that_cannot_be_claimed_is_left(database: Database) -> None:
    database.record(waiting("odd"), waiting("1"))
    add_trigger(database, "webhook_events", "raise exception 'no';", "before update")
    assert [row["order_id"] for row in claim(database)] == ["order-1"]


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_replay_reports_what_the_trigger_still_raises(database: Database, dry_run: bool) -> None:
    add_trigger(database, "payments", "insert into missing values (1);", "after insert or update deferred")
    database.record(payment("odd"))
    assert replay(database, dry_run=dry_run) == ["failed"]
    remove_trigger(database, "payments")
    assert replay(database, dry_run=dry_run) == ["processed"]


def test_a_repair_is_kept_as_a_failed_event(database: Database) -> None:
    add_trigger(database, "payments", "insert into missing values (1);")
    repair = {"payment_key": "key-odd", "order_id": "order-odd", "price": "1", "event": record_of(payment("odd"))}
    answer = database.call("select supatoss_repair_payment_v1(%s)", json.dumps(repair))
    assert (answer["status"], answer["reason"]) == ("failed", "refused_by_database")
    assert "trigger my_trigger on payments" in last_error(database)
    (event,) = database.rows("select id from webhook_events")
    assert answer["event"] == str(event["id"])
    remove_trigger(database, "payments")
    assert replay(database) == ["processed"]
    add_trigger(database, "settlements", "insert into missing values (1);")
    answer = database.call(
        "select supatoss_repair_settlement_v1(%s)", json.dumps({"event": record_of(settlement("odd"))})
    )
    assert (answer["status"], answer["reason"]) == ("failed", "refused_by_database")


def test_what_was_processed_stays_so_when_the_same_is_seen_later(database: Database) -> None:
    record = {**record_of(payment("odd")), "is_observation": True, "proof": "toss_api"}
    assert database.record_records([record])[0]["status"] == "processed"
    add_trigger(database, "payments", "insert into missing values (1);")
    later = {**record, "occurred_at": "2026-03-15T00:00:00+00:00"}
    assert [(row["outcome"], row["status"]) for row in database.record_records([later])] == [("duplicate", "processed")]


def test_functions_that_write_the_projects_tables_have_its_search_path(database: Database) -> None:
    """Every function of ours has a search_path; those that can run the project's code have the one that it expects."""
    rows = database.rows(
        r"""
        select p.proname, array_to_string(p.proconfig, '; ') as config,
               p.prosrc ~ '(insert into|update|delete from) public\.(payments|subscriptions|settlements|webhook_events)'
                 or p.prosrc ~ 'set constraints all immediate' and p.prosrc ~ 'record_batch|update' as writes
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where n.nspname = 'supatoss' or (n.nspname = 'public' and p.proname ~ '_v\d$')
        """
    )
    assert len(rows) > 50
    for row in rows:
        if row["writes"]:
            assert OUR_PATH in (row["config"] or ""), row["proname"]
        else:
            assert "search_path" in (row["config"] or ""), row["proname"]
