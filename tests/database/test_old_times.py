"""Korean wall time in columns without a zone: found by evidence, and every old row is corrected exactly once."""

import datetime as dt
import json
from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.database.conftest import migrate
from tests.database.support import Database, payment_event
from tests.database.test_adopted_project import GUIDE, USER, run_as

PAID_AT = dt.datetime(2024, 1, 1, 1, tzinfo=dt.UTC)
"""10:00 in Korea, and what stands in the guide's rows is 10:00."""

NINE_HOURS = dt.timedelta(hours=9)


@pytest.fixture
def guide(empty_database: str) -> Iterator[Database]:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(GUIDE.read_text())
        connection.execute("alter function add_credits() set search_path = public")
        yield Database(connection, empty_database)


@pytest.fixture
def adopted(guide: Database) -> Database:
    migrate(guide.dsn)
    guide.connection.execute("set timezone = 'UTC'")
    return guide


def zones(database: Database, table: str = "public.payments") -> dict[str, str]:
    rows = database.rows("select column_name, zone from supatoss.column_zones where table_name = %s", table)
    return {row["column_name"]: row["zone"] for row in rows}


def correct(database: Database, table: str = "public.payments", batch: int = 1) -> int:
    """What `supatoss correct-times --apply` does."""
    corrected = 0
    after = None
    while True:
        answer = database.call("select supatoss_correct_times_v1(%s, %s, %s)", table, after, batch)
        corrected += int(answer["corrected"])
        after = answer["last_id"]
        if after is None:
            return corrected


def approved_at(database: Database, order: str = "order_1") -> dt.datetime:
    value = database.payment(order)["approved_at"]
    assert isinstance(value, dt.datetime)
    return value


def test_the_guide_s_approved_at_is_korean_and_all_else_is_utc(adopted: Database) -> None:
    found = zones(adopted)
    assert found.pop("approved_at") == "Asia/Seoul"
    assert set(found.values()) == set(zones(adopted, "public.subscriptions").values()) == {"UTC"}
    told = adopted.call("select supatoss_old_times_v1()")
    assert told["tables"] == [{"table": "public.payments", "rows": 2, "triggers": ["payments_add_credits"]}]
    (evidence,) = (one["evidence"] for one in told["columns"] if one["column"] == "approved_at")
    assert evidence.startswith("1 rows are 8 hours or more after the row was written last, 0 within")


def test_rows_of_before_are_corrected_once_and_nothing_else_of_them_changes(adopted: Database) -> None:
    assert approved_at(adopted) == PAID_AT + NINE_HOURS
    adopted.insert_payment(order_id="new", payment_key="new", approved_at="2026-01-01T10:00:00+09:00")
    before = adopted.rows("select * from payments where order_id = 'order_1'")
    credits_before = adopted.rows("select credits from profiles order by id")
    assert (correct(adopted), correct(adopted)) == (2, 0)
    after = adopted.rows("select * from payments where order_id = 'order_1'")
    assert {name for name in after[0] if after[0][name] != before[0][name]} == {"approved_at", "times_in_utc"}
    assert approved_at(adopted) == PAID_AT
    assert approved_at(adopted, "new") == dt.datetime(2026, 1, 1, 1, tzinfo=dt.UTC)
    assert adopted.rows("select credits from profiles order by id") == credits_before
    assert adopted.call("select supatoss_old_times_v1()")["tables"][0]["rows"] == 0


def another_column(database: Database) -> None:
    database.connection.execute("update payments set receipt_url = 'https://x' where order_id = 'order_1'")


def the_whole_row_as_it_was_read(database: Database) -> None:
    database.connection.execute(
        "update payments set approved_at = %s, order_name = '새 이름' where order_id = 'order_1'",
        [approved_at(database)],
    )


def the_same_time_with_its_offset(database: Database) -> None:
    database.connection.execute(
        "update payments set approved_at = '2024-01-01T10:00:00+09:00' where order_id = 'order_1'"
    )


def a_cancel_without_the_time_of_approval(database: Database) -> None:
    body = payment_event("CANCELED", 10, order="order_1", key="tviva20240101000001", totalAmount=9900)
    assert database.record(body)[0]["status"] == "processed"
    state = database.payment("order_1")["application_state"]
    assert dt.datetime.fromisoformat(state["approved_at"]) == PAID_AT


def a_user_s_own_update(database: Database) -> None:
    database.connection.execute('drop policy if exists "own updates" on payments')
    database.connection.execute('create policy "own updates" on payments for update using (auth.uid() = user_id)')
    with database.connection.transaction():
        database.connection.execute("set local role authenticated")
        database.connection.execute("select set_config('request.jwt.claims', %s, true)", [json.dumps({"sub": USER})])
        database.connection.execute("update payments set order_name = '내 주문'")


@pytest.mark.parametrize(
    "write",
    [
        another_column,
        the_whole_row_as_it_was_read,
        the_same_time_with_its_offset,
        a_cancel_without_the_time_of_approval,
        a_user_s_own_update,
    ],
)
def test_a_row_that_is_written_before_its_turn_is_right(adopted: Database, write: Callable[[Database], None]) -> None:
    write(adopted)
    assert approved_at(adopted) == PAID_AT
    assert correct(adopted, batch=100) == 1  # the other row
    assert approved_at(adopted) == PAID_AT
    write(adopted)
    assert approved_at(adopted) == PAID_AT


def test_another_time_of_approval_is_taken_as_it_is(adopted: Database) -> None:
    adopted.connection.execute("update payments set approved_at = '2024-01-05T00:00:00Z' where order_id = 'order_1'")
    correct(adopted)
    assert approved_at(adopted) == dt.datetime(2024, 1, 5, tzinfo=dt.UTC)


def test_the_last_word_of_other_triggers_counts_where_an_application_writes(adopted: Database) -> None:
    before = adopted.payment("order_1")["updated_at"]
    another_column(adopted)
    assert adopted.payment("order_1")["updated_at"] > before


def test_a_database_in_korean_time(guide: Database) -> None:
    """now() was Korean wall time; what JavaScript wrote as `…Z` was UTC, and approved_at as ever Korean."""
    guide.connection.execute(f"alter database {guide.connection.info.dbname} set timezone to 'Asia/Seoul'")
    guide.connection.execute("alter table payments disable trigger user; delete from webhook_events")
    guide.connection.execute("""
        update payments set created_at = created_at + interval '9 hours', updated_at = updated_at + interval '9 hours',
                            requested_at = requested_at + interval '9 hours',
                            canceled_at = case when order_id = 'order_1' then timestamp '2024-01-01 01:00:02' end;
        alter table payments enable trigger user;
    """)
    migrate(guide.dsn)
    guide.connection.execute("set timezone = 'UTC'")
    assert zones(guide) == {
        "created_at": "Asia/Seoul",
        "updated_at": "Asia/Seoul",
        "requested_at": "Asia/Seoul",
        "approved_at": "Asia/Seoul",
        "canceled_at": "UTC",
    }
    for table in ("public.payments", "public.webhook_events", "public.subscriptions"):
        assert zones(guide, table)["created_at"] == "Asia/Seoul"
    correct(guide)
    row = guide.payment("order_1")
    assert row["created_at"] == row["requested_at"] == dt.datetime(2024, 1, 1, 0, 59, tzinfo=dt.UTC)
    assert row["approved_at"] == PAID_AT
    assert row["canceled_at"] == row["updated_at"] == dt.datetime(2024, 1, 1, 1, 0, 2, tzinfo=dt.UTC)
    with psycopg.connect(guide.dsn) as connection:  # in the zone of the database
        connection.execute("insert into webhook_events (event_type, payload) values ('X', '{}')")
        (age,) = connection.execute(
            "select now() - created_at from webhook_events where event_type = 'X'"
        ).fetchone() or (None,)
    assert age == dt.timedelta()


def test_a_default_that_names_its_zone(guide: Database) -> None:
    guide.connection.execute("alter table payments alter column created_at set default timezone('utc', now())")
    guide.connection.execute(
        "alter table payments alter column updated_at set default (now() at time zone 'Asia/Seoul')"
    )
    migrate(guide.dsn)
    assert (zones(guide)["created_at"], zones(guide)["updated_at"]) == ("UTC", "Asia/Seoul")
    guide.connection.execute("set timezone = 'America/New_York'")
    guide.insert_payment(order_id="now", payment_key="now")
    (row,) = guide.rows("select now() - created_at as c, now() - updated_at as u from payments where order_id = 'now'")
    assert max(row["c"], row["u"]) < dt.timedelta(minutes=1)


def test_where_rows_say_both_nothing_is_corrected(guide: Database) -> None:
    guide.connection.execute("""
        alter table payments disable trigger user;
        update payments set approved_at = created_at + interval '1 minute', payment_status = 'DONE'
        where order_id = 'order_2';
        alter table payments enable trigger user;
    """)
    migrate(guide.dsn)
    assert zones(guide)["approved_at"] == "unclear"
    told = guide.call("select supatoss_old_times_v1()")
    assert told["tables"] == []
    assert "1 within 8 hours" in next(one["evidence"] for one in told["columns"] if one["column"] == "approved_at")
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        correct(guide)


def test_users_see_the_correction_like_any_other_row(adopted: Database) -> None:
    correct(adopted)
    (row,) = run_as(adopted, "authenticated", "select approved_at from payments")
    assert row == (PAID_AT,)


def test_reconciliation_reads_the_right_day_before_the_turn_of_a_row(adopted: Database) -> None:
    """20:00 in Korea stands as 20:00 UTC, which is the next day there."""
    adopted.connection.execute("""
        alter table payments disable trigger all;
        update payments set approved_at = '2024-01-01T20:00:00Z' where order_id = 'order_1';
        alter table payments enable trigger all;
    """)
    assert approved_at(adopted) == dt.datetime(2024, 1, 1, 20, tzinfo=dt.UTC)
    run = adopted.call(
        "insert into supatoss.reconciliations (kind, started_by, first_day, last_day, day, closes_at)"
        " values ('payments', 'operator', '2024-01-01', '2024-01-02', '2024-01-01', now()) returning id::text"
    )
    query = "select supatoss_read_reconciliation_page_v1(%s, %s, %s, null, 10)"
    for _ in range(2):
        (subject,) = adopted.call(query, run, "2024-01-01T00:00:00+09:00", "2024-01-02T00:00:00+09:00")
        at = dt.datetime.fromisoformat(subject["standing"]["row"]["approved_at"])
        assert at == dt.datetime(2024, 1, 1, 11, tzinfo=dt.UTC)
        assert adopted.call(query, run, "2024-01-02T00:00:00+09:00", "2024-01-03T00:00:00+09:00") == []
        correct(adopted)


def test_a_row_that_somebody_is_writing_is_left_to_the_next_run(adopted: Database) -> None:
    with psycopg.connect(adopted.dsn) as writer:
        writer.execute("select 1 from payments where order_id = 'order_1' for update")
        assert correct(adopted, batch=100) == 1
        writer.rollback()
    assert correct(adopted, batch=100) == 1
    assert approved_at(adopted) == PAID_AT
