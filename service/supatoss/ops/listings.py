"""What each list shows: its columns, the statuses to choose from, and the fields of its CSV file."""

from typing import Any

from supatoss.alerts.messages import explain, page_of
from supatoss.errors import Reason
from supatoss.ops.formats import korean_time, parse_moment, refunded
from supatoss.ops.i18n import Translator
from supatoss.ops.lists import Cell, Column, Listing
from supatoss.toss.fields import PaymentStatus, PayoutStatus


def _payment(row: dict[str, Any], _texts: Translator) -> dict[str, Any]:
    settled_at = parse_moment(row["settled_at"])
    return {
        **row,
        "refunded": refunded(row["amount"], row["balance"]),
        "settled_on": korean_time(settled_at)[:10] if settled_at else None,
    }


PAYMENTS = Listing(
    "payments",
    (
        Column("created_at", Cell.MOMENT),
        Column("order_id", Cell.ORDER, detail="order_name"),
        Column("status", Cell.STATUS),
        Column("amount", Cell.MONEY),
        Column("refunded", Cell.MONEY),
        Column("method"),
        Column("approved_at", Cell.MOMENT),
        Column("settled_on", Cell.DAY),
    ),
    ("PENDING", *(status.value for status in PaymentStatus)),
    "payment",
    {
        "DONE": "processed",
        **dict.fromkeys(("PENDING", "READY", "IN_PROGRESS", "WAITING_FOR_DEPOSIT"), "pending"),
        "FAILED": "failed",
        "ABORTED": "failed",
    },
    (
        *("created_at", "order_id", "order_name", "status", "amount", "balance", "currency", "method"),
        *("requested_at", "approved_at", "canceled_at", "due_at", "settled_at", "failure_code", "failure_message"),
        *("payment_key", "merchant_id", "receipt_url"),
    ),
    present=_payment,
)


def _subscription(row: dict[str, Any], texts: Translator) -> dict[str, Any]:
    deleted_at = row["billing_key_deleted_at"]
    moment = parse_moment(deleted_at or row["billing_key_issued_at"])
    return {
        **row,
        "cycle": texts.named("cycle", row["billing_cycle"]),
        "billing_key": texts.t("subscriptions.key_deleted" if deleted_at else "subscriptions.key_kept"),
        "billing_key_at": korean_time(moment) if moment else "",
    }


SUBSCRIPTIONS = Listing(
    "subscriptions",
    (
        Column("started_at", Cell.MOMENT),
        Column("customer_key", Cell.CODE),
        Column("tier"),
        Column("status", Cell.STATUS),
        Column("amount", Cell.MONEY, detail="cycle"),
        Column("next_billing_date", Cell.MOMENT),
        Column("current_period_end", Cell.MOMENT),
        Column("billing_key", detail="billing_key_at"),
    ),
    ("ACTIVE", "PAUSED", "CANCELED", "EXPIRED"),
    "subscription",
    {"ACTIVE": "processed", "PAUSED": "pending"},
    (
        *("customer_key", "tier", "status", "amount", "billing_cycle", "started_at", "current_period_start"),
        *("current_period_end", "next_billing_date", "canceled_at", "billing_key_issued_at"),
        *("billing_key_deleted_at", "created_at", "id"),
    ),
    present=_subscription,
)

SETTLEMENTS = Listing(
    "settlements",
    (
        Column("occurred_at", Cell.MOMENT),
        Column("kind", codes="settlement_kind", detail="seller_id"),
        Column("order_id", Cell.ORDER, detail="reference"),
        Column("status", Cell.STATUS),
        Column("amount", Cell.MONEY),
        Column("fee", Cell.MONEY),
        Column("pay_out_amount", Cell.MONEY),
        Column("sold_date", Cell.DAY),
        Column("paid_out_date", Cell.DAY),
    ),
    tuple(status.value for status in PayoutStatus),
    "settlement",
    {"COMPLETED": "processed", "FAILED": "failed", "REQUESTED": "pending", "IN_PROGRESS": "pending"},
    (
        *("occurred_at", "kind", "status", "order_id", "payment_key", "transaction_key", "seller_id", "reference"),
        *("amount", "fee", "pay_out_amount", "currency", "sold_date", "paid_out_date", "settled_at"),
        *("failure_code", "failure_message", "settlement_key"),
    ),
)


def _alert(row: dict[str, Any], texts: Translator) -> dict[str, Any]:
    return {
        **row,
        "page": f"/ops/{page_of(row['rule'], row['subject'])}",
        "explained": explain(row["rule"], row["subject"], row["details"], texts.language.value),
        "help": texts.t("alerts.runbook"),
        "runbook": f"/ops/runbook#{row['rule']}",
    }


ALERTS = Listing(
    "alerts",
    (
        Column("started_at", Cell.MOMENT),
        Column("rule", codes="rule", link="page", detail="explained"),
        Column("subject", Cell.CODE),
        Column("status", Cell.STATUS),
        Column("ended_at", Cell.MOMENT),
        Column("told_at", Cell.MOMENT),
        Column("help", link="runbook"),
    ),
    ("open", "ended"),
    "alert",
    {"open": "failed", "ended": "processed"},
    first_status="open",
    present=_alert,
)


def _refused(row: dict[str, Any], _texts: Translator) -> dict[str, Any]:
    return {**row, "page": f"/ops/refused/{row['id']}"}


REFUSED = Listing(
    "refused",
    (
        Column("received_at", Cell.MOMENT),
        Column("reason", codes="rejected", link="page"),
        Column("event_type"),
        Column("source_address", Cell.CODE),
        Column("http_status"),
    ),
    (*(reason.value for reason in Reason), "acknowledged"),
    "rejected",
    {},
    present=_refused,
)

LISTINGS = (PAYMENTS, SUBSCRIPTIONS, SETTLEMENTS, ALERTS, REFUSED)
