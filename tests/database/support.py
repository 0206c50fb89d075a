"""Recording events straight into PostgreSQL, and reading what came of them."""

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row

from supatoss.inbox.event import NewEvent, Proof
from supatoss.inbox.interpret import interpret
from supatoss.toss.delivery import read_body
from supatoss.toss.events import parse_event

Row = dict[str, Any]

EMPTIED = (
    *(
        "reconciliations",
        "operator_actions",
        "operator_batches",
        "operator_sessions",
        "alerts",
        "processes",
        "refused_deliveries",
    ),
    "folded_orders",
)

RECEIVED_AT = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)


def record_of(body: Row) -> Row:
    """The record that the service would send for a body."""
    read = read_body(json.dumps(body, ensure_ascii=False).encode())
    event = parse_event(read.fields)
    return NewEvent(event, read, interpret(event), Proof.SIGNATURE, RECEIVED_AT).to_record()


def at(second: int, *, offset: bool = False) -> str:
    """A time on one fixed day in Korea, so many seconds after nine o'clock."""
    moment = dt.datetime(2026, 3, 14, 9, 0, 0, tzinfo=dt.UTC) + dt.timedelta(seconds=second)
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + ("+09:00" if offset else ".000000")


def payment_event(status: str, second: int, *, order: str = "order-1", key: str | None = "key-1", **data: Any) -> Row:
    """PAYMENT_STATUS_CHANGED as Toss sends it, for an order of 10000 won unless told otherwise."""
    payment = {"paymentKey": key, "orderId": order, "status": status, "totalAmount": 10000, "currency": "KRW", **data}
    if status in ("DONE", "PARTIAL_CANCELED"):
        payment.setdefault("approvedAt", at(second, offset=True))
    return {"eventType": "PAYMENT_STATUS_CHANGED", "createdAt": at(second), "data": payment}


def cancel(key: str, amount: int, second: int) -> Row:
    """One of Toss's Cancel objects."""
    return {
        "transactionKey": key,
        "cancelAmount": amount,
        "cancelStatus": "DONE",
        "canceledAt": at(second, offset=True),
        "cancelReason": "구매자 변심",
    }


@dataclass
class Database:
    """A migrated database and an administrator's connection to it: in autocommit, or in a test's transaction."""

    connection: psycopg.Connection[Any]
    dsn: str

    def record(self, *bodies: Row) -> list[Row]:
        """Records bodies in one call, as the service does, and returns the outcomes."""
        return self.record_records([record_of(body) for body in bodies])

    def record_records(self, records: Sequence[Row]) -> list[Row]:
        answer = self.call("select record_webhook_events_v1(%s)", json.dumps(list(records), ensure_ascii=False))
        return cast("list[Row]", answer)

    def call(self, query: str, *parameters: Any) -> Any:
        """Calls a function as the service would, and returns its answer."""
        with self.connection.transaction():
            self.connection.execute("set local role service_role")
            (answer,) = self.connection.execute(query, parameters).fetchone() or (None,)
            self.connection.execute("set local role none")  # the end of a savepoint would keep it
        return answer

    def rows(self, query: str, *parameters: Any) -> list[Row]:
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query, parameters).fetchall()

    def payment(self, order: str = "order-1") -> Row:
        (row,) = self.rows("select * from payments where order_id = %s", order)
        return row

    def insert_payment(self, **columns: Any) -> None:
        """What an application does before it sends its customer to pay."""
        row = {
            "payment_key": "placeholder-1",
            "order_id": "order-1",
            "order_name": "주문 1",
            "amount": 10000,
            "payment_status": "PENDING",
            **columns,
        }
        names = ", ".join(row)
        marks = ", ".join(["%s"] * len(row))
        self.connection.execute(f"insert into payments ({names}) values ({marks})", list(row.values()))

    def verdicts(self) -> list[tuple[str, str, str | None]]:
        """Event key, status and reason of every event, by event key."""
        rows = self.rows("select event_key, status, reason from webhook_events order by event_key")
        return [(row["event_key"], row["status"], row["reason"]) for row in rows]

    def projection(self) -> list[Row]:
        """Every payments row without what differs from run to run."""
        rows = self.rows(
            "select *, application_state - 'adopted_at' as application_state from payments order by order_id"
        )
        return [
            {name: value for name, value in row.items() if name not in ("id", "created_at", "updated_at")}
            for row in rows
        ]

    @contextmanager
    def rolled_back(self) -> Iterator[None]:
        """Nothing of the block stays."""
        self.connection.execute("begin")
        try:
            yield
        finally:
            self.connection.execute("rollback")

    def clear(self) -> None:
        """Back to no rows: a transaction begins anew, else the tables are emptied."""
        if self.connection.info.transaction_status is not TransactionStatus.IDLE:
            self.connection.execute("rollback")
            self.connection.execute("begin")
            return
        self.connection.execute("truncate payments, subscriptions, settlements, webhook_events")
        # Mostly empty, and a truncation makes new files of a table and its indexes. What hangs on a run goes too.
        for table in EMPTIED:
            self.connection.execute(f"delete from supatoss.{table}")
