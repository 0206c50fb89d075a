"""The merchant's application, as its guide describes it: what it does with its tables, one method a step.

Most of it runs as the service role; an order may be inserted by the signed-in user. Each step is a request of its own.
"""

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

Row = dict[str, Any]

USER = "00000000-0000-0000-0000-000000000001"
PRODUCT = "00000000-0000-0000-0000-0000000000a1"
PRICE = 9900
APPROVED_AT = "2026-03-14T09:00:10+09:00"
PERIOD = dt.timedelta(days=30)


class NotOneRow(AssertionError):
    """`.single()` of the application's client: it takes any other number of rows for an error."""


@dataclass
class Application:
    """The application's requests. user_inserts: orders are inserted by the signed-in user."""

    connection: psycopg.Connection[Any]
    user_inserts: bool = False

    @contextmanager
    def request(self, role: str = "service_role") -> Iterator[psycopg.Cursor[Row]]:
        """One request of the Data API: a transaction with a role and the claims of the user."""
        with self.connection.transaction(), self.connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute(f"set local role {role}")
            claims = json.dumps({"sub": USER, "role": role})
            cursor.execute("select set_config('request.jwt.claims', %s, true)", [claims])
            yield cursor
            cursor.execute("set local role none")  # the end of a savepoint would keep it

    def single(self, query: str, *parameters: Any, role: str = "service_role") -> Row:
        """Exactly one row, or an error."""
        with self.request(role) as cursor:
            rows = cursor.execute(query, parameters).fetchall()
        if len(rows) != 1:
            raise NotOneRow(f"{len(rows)} rows of {query}")
        return rows[0]

    def insert(self, table: str, row: Row, *, role: str = "service_role", and_then: str = "") -> Row:
        """insert().select().single()."""
        names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
        query = f"insert into {table} ({names}) values ({marks}) {and_then} returning *"
        return self.single(query, *row.values(), role=role)

    # -- order and approval --

    def order(self, order_id: str, amount: int = PRICE, **columns: Any) -> Row:
        """The order with its price, before the payment window opens."""
        row = {
            "user_id": USER,
            "product_id": PRODUCT,
            "payment_key": f"placeholder-{order_id}",
            "order_id": order_id,
            "order_name": "월 이용권",
            "amount": amount,
            "payment_status": "PENDING",
            **columns,
        }
        return self.insert("payments", row, role="authenticated" if self.user_inserts else "service_role")

    def check_price(self, order_id: str, amount: int = PRICE) -> None:
        """Before the approval: the price that the window came back with against the order's."""
        row = self.single("select amount, payment_status from payments where order_id = %s", order_id)
        assert row["amount"] == amount, "the application would refuse the payment"

    def approved(self, order_id: str, payment_key: str, approved_at: str = APPROVED_AT) -> Row:
        """After Toss has confirmed the payment."""
        return self.single(
            "update payments set payment_key = %s, payment_status = 'DONE', payment_method = '카드', approved_at = %s,"
            " receipt_url = 'https://dashboard.tosspayments.com/receipt' where order_id = %s returning *",
            payment_key,
            approved_at,
            order_id,
        )

    # -- subscription and renewal --

    def subscribe(self, customer_key: str, billing_key: str, tier: str = "PRO", **columns: Any) -> Row:
        """After Toss has issued the billing key."""
        now = dt.datetime.now(dt.UTC)
        row = {
            "user_id": USER,
            "product_id": PRODUCT,
            "billing_key": billing_key,
            "customer_key": customer_key,
            "status": "ACTIVE",
            "tier": tier,
            "started_at": now,
            "current_period_start": now,
            "current_period_end": now + PERIOD,
            "next_billing_date": now + PERIOD,
            "amount": PRICE,
            **columns,
        }
        return self.insert("subscriptions", row)

    def due(self, customer_key: str) -> list[Row]:
        """What the daily run finds."""
        with self.request() as cursor:
            return cursor.execute(
                "select * from subscriptions where status = 'ACTIVE' and next_billing_date <= now()"
                " and customer_key = %s",
                [customer_key],
            ).fetchall()

    def book_renewal(self, subscription: Row, order_id: str, payment_key: str) -> Row:
        """The charge has succeeded at Toss. Where this fails, it is booked as failed, and made again tomorrow."""
        row = {
            "user_id": subscription["user_id"],
            "product_id": subscription["product_id"],
            "payment_key": payment_key,
            "order_id": order_id,
            "order_name": "월 이용권 자동결제",
            "amount": int(subscription["amount"]),
            "currency": "KRW",
            "payment_method": "카드",
            "payment_status": "DONE",
            "requested_at": APPROVED_AT,
            "approved_at": APPROVED_AT,
            "receipt_url": "https://dashboard.tosspayments.com/receipt",
            "metadata": Jsonb({"subscription_id": str(subscription["id"])}),
        }
        return self.insert("payments", row)

    def link_renewal(self, subscription: Row, payment: Row) -> Row:
        """The renewal's own row, by the ids that the inserts gave back."""
        return self.insert(
            "subscription_payments", {"subscription_id": subscription["id"], "payment_id": payment["id"]}
        )

    def advance(self, subscription: Row) -> Row:
        """The next month."""
        return self.single(
            "update subscriptions set current_period_start = now(), current_period_end = now() + interval '30 days',"
            " next_billing_date = now() + interval '30 days' where id = %s returning *",
            subscription["id"],
        )

    # -- what else reads and writes --

    def statistics(self) -> dict[str, Decimal]:
        """Today's sums by status."""
        with self.request() as cursor:
            rows = cursor.execute(
                "select payment_status, sum(amount) as total from payments where date(created_at) = current_date"
                " group by payment_status"
            ).fetchall()
        return {row["payment_status"]: row["total"] for row in rows}

    def old_webhook_function(self, body: Row) -> None:
        """The function that took the webhooks before, and still does while the switch is made."""
        data, event_type = body.get("data", body), body.get("eventType", "DEPOSIT_CALLBACK")
        with self.request() as cursor:
            cursor.execute(
                "insert into webhook_events (event_type, payment_key, payload) values (%s, %s, %s)",
                [event_type, data.get("paymentKey"), Jsonb(body)],
            )
            if event_type == "BILLING_DELETED":
                cursor.execute(
                    "update subscriptions set status = 'CANCELED', canceled_at = now() where billing_key = %s",
                    [data["billingKey"]],
                )
            elif data["status"] == "DONE":
                cursor.execute(
                    "update payments set payment_status = 'DONE', approved_at = %s where payment_key = %s",
                    [data["approvedAt"], data["paymentKey"]],
                )
            elif "CANCELED" in data["status"]:
                cursor.execute(
                    "update payments set payment_status = 'CANCELED', canceled_at = now() where payment_key = %s",
                    [data["paymentKey"]],
                )
            cursor.execute(
                "update webhook_events set processed = true, processed_at = now()"
                " where payment_key = %s and event_type = %s",
                [data.get("paymentKey"), event_type],
            )

    def own_rows(self, table: str, columns: str = "*") -> Sequence[Row]:
        """What the signed-in user sees."""
        with self.request("authenticated") as cursor:
            return cursor.execute(f"select {columns} from {table}").fetchall()
